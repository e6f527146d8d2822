"""Starts the service, speaks a text through its HTTP API, and says what came of it."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TEXT = "The washing machine is done."
BOX = ROOT / "service" / "demo" / "recipe.json"
CLONED = {"voice": "demo"}
HOST = "127.0.0.1"
USUAL_PORT = 9880
START_SECONDS = 60.0


def main() -> int:
    """Run the demo; returns the process's exit status."""
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument("text", nargs="?", default=TEXT, help=f"what to say (default: {TEXT!r})")
    parser.add_argument("--out", type=Path, default=ROOT / "demo.wav", help="file to write")
    parser.add_argument("--serve", action="store_true", help="keep the service running")
    parser.add_argument(
        "--home", action="store_true", help="speak through a real Home Assistant and a real player"
    )
    options = parser.parse_args()
    if options.home:
        command = [sys.executable, "-m", "tests.lab", "demo", options.text]
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    with tempfile.TemporaryDirectory(prefix="gptsovits-demo-") as data:
        return demonstrate(options, data)


def demonstrate(options: argparse.Namespace, data: str) -> int:
    """Start the service, speak, and stop it again (or stay)."""
    port = free_port()
    print(f"Starting the service on port {port} ...", flush=True)
    command = [sys.executable, "-m", "service", "--port", str(port), "--data", data]
    quiet = [] if options.serve else ["--log-level", "warning"]
    service = subprocess.Popen([*command, *quiet], cwd=ROOT, env=without_settings())
    try:
        wait_until_ready(service, port)
        if BOX.exists():
            unbox(port)
        else:
            print("The plain voice speaks. A cloned one needs a model: install it on the page.")
        speak(options.text, port, options.out, CLONED if BOX.exists() else {})
        if options.serve:
            print(f"\nThe page: http://{HOST}:{port}/   (stop with Ctrl-C)", flush=True)
            service.wait()
        else:
            print(f"The page: http://{HOST}:{port}/   (`script/demo --serve` keeps it open)")
    except KeyboardInterrupt:
        pass
    except RuntimeError as error:
        print(f"script/demo: {error}", file=sys.stderr)
        return 1
    finally:
        stop(service)
    return 0


def free_port() -> int:
    """The service's usual port where nobody has it, else any free one."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RuntimeError("no free port")


def without_settings() -> dict[str, str]:
    """This environment without the service's settings, which could change what the demo shows."""
    return {key: value for key, value in os.environ.items() if not key.startswith("GPTSOVITS_")}


def wait_until_ready(service: subprocess.Popen[bytes], port: int) -> None:
    """Wait for the self-test to be spoken."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if service.poll() is not None:
            raise RuntimeError(f"the service ended with status {service.returncode}; see above")
        with (
            contextlib.suppress(OSError),
            contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=5)) as connection,
        ):
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the service was not ready within {START_SECONDS:g} s")


def unbox(port: int) -> None:
    """Install the model of the package and enrol its voice, as the page's button does."""
    started = time.monotonic()
    job = ask(port, "POST", "/v1/models", {"source": "box"})
    while job["state"] not in ("done", "failed", "cancelled"):
        time.sleep(0.1)
        job = ask(port, "GET", f"/v1/models/jobs/{job['id']}")
    if job["state"] != "done":
        raise RuntimeError(f"the demo model: {job['message']}")
    # Until it is in memory the plain voice would stand in.
    while (model := ask(port, "GET", f"/v1/models/{job['model']}"))["state"] == "loading":
        time.sleep(0.1)
    if model["state"] == "failed":
        raise RuntimeError(f"the demo model: {model['reason']}")
    print(f"Installed:   the demo model and its voice, in {time.monotonic() - started:.1f} s")


def ask(port: int, method: str, path: str, body: object = None) -> dict[str, Any]:
    """An answer of the service's JSON API."""
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=60)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        answer: dict[str, Any] = json.load(response)
    if response.status >= 400:
        raise RuntimeError(f"refused: {answer['error']['message']}")
    return answer


def speak(text: str, port: int, out: Path, how: dict[str, object]) -> None:
    """Say the text, keep it as a WAV file, and print what was measured."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(HOST, port, timeout=120)
    body = json.dumps({"input": text, "response_format": "pcm", **how})
    connection.request("POST", "/v1/audio/speech", body)
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"refused: {json.load(response)['error']['message']}")
    pcm = response.read(1)
    first = time.monotonic() - started
    pcm += response.read()
    total = time.monotonic() - started
    rate = int(response.headers["X-Audio-Sample-Rate"])
    part = out.with_suffix(".part")
    with wave.open(str(part), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    part.replace(out)
    seconds = len(pcm) / 2 / rate
    print(f"Said:        {text}")
    spoke = response.headers
    print(f"Rung:        {spoke['X-Speech-Rung']} (voice {spoke['X-Speech-Voice']})")
    print(f"Audio:       {seconds:.2f} s at {rate} Hz, in {out}")
    print(f"First byte:  {first * 1000:.0f} ms")
    print(f"Total:       {total * 1000:.0f} ms ({seconds / total:.0f} times real time)")


def stop(service: subprocess.Popen[bytes]) -> None:
    """End the service as a container would."""
    if service.poll() is None:
        service.send_signal(signal.SIGTERM)
        try:
            service.wait(20)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()


if __name__ == "__main__":
    sys.exit(main())
