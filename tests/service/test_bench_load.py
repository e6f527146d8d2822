"""The load bench itself: it finds no fault where there is none, and faults where there are."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.lab.ground import REPOSITORY

pytestmark = pytest.mark.slow


def soak(*flags: str) -> tuple[int, dict[str, object]]:
    command = [sys.executable, "script/bench_load.py", "--json", "--soak", "30", *flags]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False, timeout=300)
    return done.returncode, json.loads(done.stdout)


def test_our_service_answers_all_of_it() -> None:
    status, facts = soak()
    assert (status, facts["wrong"], facts["requests"]) == (0, 0, 30)


class Faulty(BaseHTTPRequestHandler):
    """Speaks in the voice that its path names, other sounds every time."""

    made = 0

    def do_POST(self) -> None:
        type(self).made += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("X-Speech-Voice", self.path.split("/")[1])
        self.end_headers()
        self.wfile.write(bytes([0, 32, self.made % 256, 32]) * 1000)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def faulty() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("voice", ["plain", "somebody"], ids=["other sounds", "another voice"])
def test_wrong_answers_are_found(faulty: str, voice: str) -> None:
    status, facts = soak("--url", f"{faulty}/{voice}")
    assert (status, facts["wrong"]) == (1, 30)
