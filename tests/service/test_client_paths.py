"""Names that clients send never become paths or addresses: watched from inside a real service."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from service.openapi import document
from tests.lab.ground import REPOSITORY
from tests.lab.process import free_port

pytestmark = pytest.mark.slow
MARK = "canary7f3a"
# Writes down every file and every address that the process asks for.
WATCH = """
import os, sys
from service import __main__
log = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
FILES = ("open", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir")
WATCHED = {*FILES, "shutil.rmtree", "glob.glob", "subprocess.Popen", "socket.connect"}
WATCHED |= {"socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}

def watch(event, arguments):
    if event in WATCHED:
        os.write(log, f"{event} {arguments!r}\\n".encode("utf-8", "replace"))

def watched(real):
    def ask(path, *arguments, **named):
        watch("open", (path,))
        return real(path, *arguments, **named)
    return ask

sys.addaudithook(watch)
os.stat, os.lstat = watched(os.stat), watched(os.lstat)  # these two have no event
sys.exit(__main__.main())
"""
NAMES = (
    MARK,
    f"../{MARK}",
    f"../../../../etc/{MARK}",
    f"/etc/{MARK}.wav",
    f"..\\{MARK}",
    f"file:///etc/{MARK}",
    f"http://127.0.0.1:9/{MARK}.wav",
    f"http://{MARK}.example/a.wav",
)
FILLED = {"input": "Hi.", "texts": ["Hi."], "text": "Hi.", "text_lang": "en", "prompt_lang": "en"}
FILLED |= {"ref_audio_path": "plain", "source": "folder", "folder": "x", "weights": {}}
BOUNDARY = "b"


@dataclass
class Watched:
    """A service that is watched."""

    url: str
    log: Path

    def ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> int:
        request = urllib.request.Request(
            self.url + path, body, {"Content-Type": kind}, method=method.upper()
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def seen(self) -> list[str]:
        """What it has asked for that a client named, and every address that it called."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        calls = ("socket.connect", "socket.sendto")
        return [line for line in lines if MARK in line or line.startswith(calls)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    port = free_port()
    log = folder / "asked.log"
    flags = ["--port", str(port), "--data", str(folder / "data")]
    with subprocess.Popen(
        [sys.executable, "-c", WATCH, str(log), *flags], cwd=REPOSITORY, stderr=subprocess.PIPE
    ) as program:
        assert program.stderr is not None
        assert any(b"ready: plain speaks" in line for line in program.stderr)
        yield Watched(f"http://127.0.0.1:{port}", log)
        program.terminate()
        program.stderr.read()
        assert program.wait(60) == 0


def test_the_watch_sees(service: Watched) -> None:
    text = service.log.read_text(encoding="utf-8")
    assert "open (" in text
    assert "server_id" in text


PATHS = [
    (method, path)
    for path, methods in document()["paths"].items()
    for method in methods
    if "{" in path
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_names_in_addresses(service: Watched, method: str, path: str) -> None:
    for name in NAMES:
        hostile = path
        for parameter in ("{id}", "{style}", "{file}"):
            hostile = hostile.replace(parameter, quote(name, safe=""))
        assert 400 <= service.ask(method, hostile, b"{}") < 500
    assert service.seen() == []


BODIES = [
    (method, path, field)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
    for kind, content in operation.get("requestBody", {"content": {}})["content"].items()
    if kind == "application/json" and "{" not in path
    for field in content["schema"]["properties"]
]


@pytest.mark.parametrize(("method", "path", "field"), BODIES)
def test_names_in_fields(service: Watched, method: str, path: str, field: str) -> None:
    rules = document()["paths"][path][method]["requestBody"]["content"]["application/json"]
    filled = {key: FILLED[key] for key in FILLED.keys() & rules["schema"]["properties"].keys()}
    for value in (*NAMES, {NAMES[1]: 1}, [NAMES[1]]):
        service.ask(method, path, json.dumps({**filled, field: value}).encode())
    assert service.seen() == []


def test_names_in_queries(service: Watched) -> None:
    fields = [each["name"] for each in document()["paths"]["/tts"]["get"]["parameters"]]
    filled = {key: FILLED[key] for key in FILLED.keys() & set(fields)}
    for field, name in itertools.product(fields, NAMES):
        service.ask("GET", f"/tts?{urlencode({**filled, field: name})}")
    for half, name in itertools.product(("gpt", "sovits"), NAMES):
        query = urlencode({"weights_path": name})
        assert service.ask("GET", f"/set_{half}_weights?{query}") == 400
    assert service.seen() == []


@pytest.mark.parametrize("path", ["/v1/voices", "/v1/voices/check", "/v1/models"])
def test_names_of_files_in_forms(service: Watched, path: str) -> None:
    for name in NAMES:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"'
        body = f"{head}\r\n\r\nRIFF\r\n--{BOUNDARY}--\r\n".encode()
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        assert service.ask("POST", path, body, kind) >= 400
    assert service.seen() == []
