"""A real service that is killed, whose disk is full or read-only, whose clock jumps."""

from __future__ import annotations

import http.client
import json
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.lab.ground import REPOSITORY
from tests.lab.speech_service import SpeechService
from tests.service.recordings import SAID, spoken, wav

pytestmark = pytest.mark.slow
STORY = " ".join(f"This is sentence number {number} of the story." for number in range(100))
BOUNDARY = "b"


def ask(
    service: SpeechService, path: str, body: bytes | None = None, kind: str = "application/json"
) -> tuple[int, Any]:
    request = urllib.request.Request(service.url + path, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def speak(service: SpeechService, text: str, **fields: object) -> int:
    body = json.dumps({"input": text, "response_format": "pcm", **fields}).encode()
    with urllib.request.urlopen(f"{service.url}/v1/audio/speech", body, timeout=60) as answer:
        return len(answer.read())


def form(name: str) -> bytes:
    fields = {"name": name, "language": "en", "transcript": SAID, "consent": "true"}
    fields["consent_name"] = "Anna"
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    text = "".join(f'{head}"{key}"\r\n\r\n{value}\r\n' for key, value in fields.items())
    file = f'{head}"file"; filename="a.wav"\r\n\r\n'
    return (text + file).encode() + wav(spoken()) + f"\r\n--{BOUNDARY}--\r\n".encode()


def enrol(service: SpeechService, name: str) -> tuple[int, Any]:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return ask(service, "/v1/voices", form(name), kind)


def enrol_for_ever(service: SpeechService, tried: list[str]) -> None:
    while True:
        tried.append(f"voice-{len(tried)}")
        enrol(service, f"Voice {len(tried) - 1}")


def voices(service: SpeechService) -> set[str]:
    return {voice["id"] for voice in ask(service, "/v1/voices")[1]["voices"]}


def disk(service: SpeechService, limit: int) -> None:
    """Let every write of the service fail from so many bytes of a file on, as on a full disk."""
    hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (limit, hard))


def test_killed_while_it_takes_in_voices(tmp_path: Path) -> None:
    tried: list[str] = []
    for number in range(3):
        with SpeechService(tmp_path, "") as service:
            known = voices(service)
            assert known <= {"plain", *tried}
            assert speak(service, f"Round {number}.") > 10_000
            for voice in known - {"plain"}:
                with urllib.request.urlopen(f"{service.url}/v1/voices/{voice}/reference") as file:
                    assert len(file.read()) > 100_000
            threading.Timer(0.15 + 0.1 * number, service.signal, (signal.SIGKILL,)).start()
            with pytest.raises((OSError, http.client.HTTPException)):
                enrol_for_ever(service, tried)
    with SpeechService(tmp_path, "") as service:
        assert enrol(service, "Mum")[0] == 201
        left = {path.name for path in (tmp_path / "data" / "voices").iterdir()}
        assert left == {".lock", *voices(service) - {"plain"}}


def test_killed_while_it_speaks(tmp_path: Path) -> None:
    with SpeechService(tmp_path, "") as service:
        line = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        body = json.dumps({"input": STORY, "response_format": "pcm"})
        line.request("POST", "/v1/audio/speech", body)
        answer = line.getresponse()
        assert answer.status == 200
        answer.read(1000)
        service.signal(signal.SIGKILL)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
        line.close()
    cache = tmp_path / "data" / "cache"
    halves = {*cache.glob("*/*.part"), cache / "plain" / "a clip.part"}
    (cache / "plain").mkdir(parents=True, exist_ok=True)
    (cache / "plain" / "a clip.part").write_bytes(b"half")
    with SpeechService(tmp_path, "") as service:
        assert speak(service, "Back again.") > 10_000
        # What was said just now may still be on its way to the disk.
        assert not halves & {*cache.glob("*/*.part")}
        for clip in cache.glob("*/*.flac"):
            assert soundfile.info(clip).duration < 3, "half a story was kept as a whole one"


def test_a_full_disk_does_not_silence_the_house(tmp_path: Path) -> None:
    clip = json.dumps({"input": "Hello.", "response_format": "wav"}).encode()
    with SpeechService(tmp_path, "") as service:
        assert enrol(service, "Dad")[0] == 201
        disk(service, 0)
        assert speak(service, "The disk is full.") > 10_000
        assert speak(service, "The disk is full.") > 10_000
        for status, answer in (
            enrol(service, "Mum"),
            ask(service, "/v1/clips", clip),
            patch(service, "dad", {"name": "Father"}),
        ):
            assert (status, answer["error"]["code"]) == (507, "storage_failed")
            assert "cannot be" in answer["error"]["message"]
            assert str(tmp_path) not in answer["error"]["message"]
        assert voices(service) == {"plain", "dad"}
        disk(service, resource.RLIM_INFINITY)
        assert enrol(service, "Mum")[0] == 201
        assert ask(service, "/v1/clips", clip)[0] == 200
        assert patch(service, "dad", {"name": "Father"})[1]["name"] == "Father"
        left = {path.name for path in (tmp_path / "data" / "voices").iterdir()}
        assert left == {".lock", "dad", "mum"}


def patch(service: SpeechService, voice: str, fields: dict[str, str]) -> tuple[int, Any]:
    line = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    line.request("PATCH", f"/v1/voices/{voice}", json.dumps(fields))
    answer = line.getresponse()
    status, body = answer.status, json.load(answer)
    line.close()
    return status, body


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[SpeechService]:
    """A service whose data folder can be neither made nor written, whoever runs it."""
    (tmp_path / "data").write_text("a file where the folder should be")
    with SpeechService(tmp_path, "") as service:
        yield service


def test_a_folder_that_cannot_be_written_does_not_silence_the_house(
    unwritable: SpeechService,
) -> None:
    assert speak(unwritable, "Nothing can be kept.") > 10_000
    status, answer = enrol(unwritable, "Mum")
    assert (status, answer["error"]["code"]) == (507, "storage_failed")
    assert voices(unwritable) == {"plain"}
    assert "the data folder cannot be written" in unwritable.log.read_text()
    assert speak(unwritable, "And still it speaks.") > 10_000


CLOCK = """
import sys, time
real = time.time
shift = [0.0]
time.time = lambda: real() + shift[0]
import asyncio
from service import __main__
start = asyncio.run

def run(main):
    async def both():
        async def jump():
            while True:
                for shift[0] in (-3e8, 0.0, 3e8):
                    await asyncio.sleep(0.05)
        task = asyncio.create_task(jump())
        return await main
    return start(both())

__main__.asyncio.run = run
sys.exit(__main__.main())
"""


def test_a_clock_that_jumps_by_ten_years_changes_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    flags = ["--port", str(port), "--data", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-c", CLOCK, *flags], cwd=REPOSITORY, stderr=subprocess.PIPE
    ) as program:
        assert program.stderr is not None
        assert any(b"ready: plain speaks" in line for line in program.stderr)
        body = {"input": "What time is it?", "response_format": "wav", "expires": 30}
        url = f"http://127.0.0.1:{port}"
        for number in range(10):
            said = json.dumps({**body, "input": f"Number {number}."}).encode()
            with urllib.request.urlopen(f"{url}/v1/clips", said, timeout=60) as answer:
                clip = json.load(answer)
            time.sleep(0.04)
            with urllib.request.urlopen(f"{url}/{clip['path']}", timeout=60) as answer:
                assert len(answer.read()) > 10_000
        program.send_signal(signal.SIGTERM)
        said_last = program.stderr.read().decode()
        assert program.wait(60) == 0
    assert "Traceback" not in said_last


def test_nothing_that_waits_asks_the_clock_on_the_wall() -> None:
    allowed = {"mqtt_jobs.py"}  # a job's age has to survive the machine's restart
    asks = {
        path.name
        for path in (REPOSITORY / "service").glob("*.py")
        if re.search(r"\btime\.time\b|\bimport time\b.*\btime\(\)", path.read_text())
    }
    assert asks <= allowed
