"""What the service adds: the plain voice through HTTP against the plain voice called directly."""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time

from demo import HOST, ROOT, free_port, stop, wait_until_ready, without_settings

from engines.plain import PlainVoice

SENTENCES = (
    "The washing machine is done.",
    "Somebody is at the front door.",
    "It is twenty one degrees in the living room, and it will rain at six.",
    "Dinner is ready.",
    "The window in the bathroom has been open for two hours.",
)


def main() -> int:
    """Run both and print one table; returns the process's exit status."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="times that all sentences are said")
    parser.add_argument("--json", action="store_true", help="print figures for machines")
    options = parser.parse_args()
    texts = SENTENCES * options.rounds
    direct = [directly(voice, text) for voice in (PlainVoice(),) for text in ("Warm up.", *texts)]
    with tempfile.TemporaryDirectory(prefix="gptsovits-bench-") as data:
        port = free_port()
        command = [sys.executable, "-m", "service", "--port", str(port), "--data", data]
        service = subprocess.Popen(
            [*command, "--log-level", "warning", "--cache-mb", "0"],
            cwd=ROOT,
            env=without_settings(),
        )
        try:
            wait_until_ready(service, port)
            served = [through_http(port, text) for text in ("Warm up.", *texts)]
        finally:
            stop(service)
    figures = {
        "sentences": len(texts),
        "direct_ms": round(statistics.median(direct[1:]) * 1000, 2),
        "http_first_byte_ms": round(statistics.median(first for first, _ in served[1:]) * 1000, 2),
        "http_total_ms": round(statistics.median(total for _, total in served[1:]) * 1000, 2),
    }
    figures["ratio"] = round(figures["http_total_ms"] / figures["direct_ms"], 2)
    if options.json:
        print(json.dumps(figures))
        return 0
    print(f"medians of {figures['sentences']} sentences, one at a time")
    print(f"plain voice, called directly     {figures['direct_ms']:8.2f} ms  (baseline)")
    print(f"through HTTP, first byte         {figures['http_first_byte_ms']:8.2f} ms")
    print(f"through HTTP, last byte          {figures['http_total_ms']:8.2f} ms")
    print(f"ratio of last byte to baseline   {figures['ratio']:8.2f}")
    return 0


def directly(voice: PlainVoice, text: str) -> float:
    """Seconds that the synthesizer alone takes."""
    started = time.perf_counter()
    for _ in voice.speak(text, "en"):
        pass
    return time.perf_counter() - started


def through_http(port: int, text: str) -> tuple[float, float]:
    """Seconds to the first and to the last byte of the service's answer."""
    body = json.dumps({"input": text, "response_format": "wav"})
    started = time.perf_counter()
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request("POST", "/v1/audio/speech", body)
    response = connection.getresponse()
    response.read(1)
    first = time.perf_counter() - started
    response.read()
    total = time.perf_counter() - started
    connection.close()
    if response.status != 200:
        raise RuntimeError(f"the service answered {response.status}")
    return first, total


if __name__ == "__main__":
    sys.exit(main())
