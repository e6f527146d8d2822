"""Runs podman and podman-compose as script/containers sets them up, and speaks to what they run."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ADDON = ROOT / "addon"
CONTAINERS = ROOT / "script" / "containers"
PATIENCE = 180.0  # seconds; this machine may be slow and busy


def run(
    *command: str | Path, check: bool = True, data: bytes | None = None, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command with script/containers; variables go into its environment."""
    # The tests' own Python brings podman-compose.
    own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    # A test's standard input is closed; without one podman would hand over nothing.
    given: dict[str, Any] = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
    done = subprocess.run(
        [CONTAINERS, *command],
        cwd=ADDON,
        env=os.environ | own | variables,
        capture_output=True,
        check=False,
        **given,
    )
    if check and done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise AssertionError(f"{command} ended with {done.returncode}:\n{said[-4000:]}")
    return done


def podman(*arguments: str | Path, check: bool = True) -> str:
    """What podman prints."""
    return run("podman", *arguments, check=check).stdout.decode().strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Container:
    """A running service in a container that shares the machine's network."""

    name: str
    port: int

    @property
    def token(self) -> str:
        return podman("exec", self.name, "cat", "/data/token")

    def inspect(self, field: str) -> str:
        return podman("inspect", self.name, "--format", "{{." + field + "}}")

    def ask(
        self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """GET, or POST where there is a body."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, body, dict(headers or {}))
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return bytes(answer.read())

    def ready(self) -> dict[str, Any]:
        """Wait until it has spoken; returns its health."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self.ask("/ready")
                return dict(json.loads(self.ask("/health")))
            except (OSError, http.client.HTTPException, urllib.error.HTTPError):
                time.sleep(0.2)
        raise AssertionError(f"not ready:\n{self.log()}")

    def say(self, text: str, token: str) -> bytes:
        """A text's WAV."""
        body = json.dumps({"input": text, "response_format": "wav"}).encode()
        return self.ask("/v1/audio/speech", body, {"Authorization": f"Bearer {token}"})

    def voices(self, token: str) -> list[str]:
        headers = {"Authorization": f"Bearer {token}"}
        answer = json.loads(self.ask("/v1/voices", headers=headers))
        return [voice["id"] for voice in answer["voices"]]

    def enrol(self, fields: Mapping[str, str], recording: bytes, token: str) -> None:
        """Send the form that the page sends."""
        edge = uuid.uuid4().hex
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        head = 'Content-Disposition: form-data; name="file"; filename="voice.wav"'
        parts += [f"--{edge}\r\n{head}\r\nContent-Type: audio/wav\r\n\r\n".encode(), recording]
        parts += [f"\r\n--{edge}--\r\n".encode()]
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": f"multipart/form-data; boundary={edge}",
        }
        self.ask("/v1/voices", b"".join(parts), headers)

    def log(self) -> str:
        done = run("podman", "logs", self.name, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def stop(self) -> int:
        """Stop it as Docker and Supervisor do; returns its exit status."""
        podman("stop", "--time", "120", self.name)
        return int(self.inspect("State.ExitCode"))
