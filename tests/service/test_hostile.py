"""A real service under hostile load: its memory stays bounded and others are still served."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import resource
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from service.doorman import MOST
from service.uploads import MAX_UPLOAD
from tests.lab.speech_service import SpeechService

pytestmark = pytest.mark.slow
WANTED = 10_000  # connections
GROWTH = 300  # MiB; far above what is seen, far below what no limit would take
HEAD = b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n"
STARTS = (b"", b"GET / HT", HEAD, HEAD + b"\r\n" + b'{"input": "')
BOUNDARY = "b"
FORM = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=file; filename=a.wav\r\n\r\n".encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpeechService]:
    with SpeechService(tmp_path_factory.mktemp("hostile"), "", cache_mb=0) as service:
        yield service


def memory(service: SpeechService) -> float:
    """Resident memory in MiB."""
    pages = Path(f"/proc/{service.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize() / 2**20


def speak(service: SpeechService, text: str) -> int:
    body = json.dumps({"input": text, "response_format": "pcm"}).encode()
    url = f"{service.url}/v1/audio/speech"
    with urllib.request.urlopen(url, body, timeout=60) as answer:
        return len(answer.read())


@pytest.fixture
def many_files() -> Iterator[int]:
    """As many connections as this machine allows, ten thousand at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = min(WANTED + 200, hard) if hard != resource.RLIM_INFINITY else WANTED + 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    yield min(WANTED, max(soft, allowed) - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_thousands_of_slow_connections(service: SpeechService, many_files: int) -> None:
    before = memory(service)
    lines: list[asyncio.StreamWriter] = []
    answers: list[int] = []

    async def crowd() -> None:
        for first in range(0, many_files, 50):
            await asyncio.gather(*(one(number) for number in range(first, first + 50)))

    async def one(number: int) -> None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", service.port)
            lines.append(writer)
            writer.write(STARTS[number % len(STARTS)])

    async def trickle(crowding: asyncio.Task[None]) -> None:
        while not crowding.done():
            for writer in lines[-2 * MOST :]:
                with contextlib.suppress(OSError):
                    writer.write(b"x")
            await asyncio.sleep(0.5)

    crowding = asyncio.create_task(crowd())
    trickling = asyncio.create_task(trickle(crowding))
    while not crowding.done():
        answers.append(await asyncio.to_thread(speak, service, f"Number {len(answers)}."))
    answers.append(await asyncio.to_thread(speak, service, "All are here."))
    await trickling
    after = memory(service)
    print(f"{len(lines)} connections, {len(answers)} answers, {before:.0f} to {after:.0f} MiB")
    for writer in lines:
        writer.transport.abort()
    assert len(lines) >= many_files * 0.99
    assert min(answers) > 10_000
    assert after - before < GROWTH


def test_an_endless_upload_ends_at_the_limit(service: SpeechService) -> None:
    before = memory(service)

    def endless() -> Iterator[bytes]:
        yield FORM
        while True:
            yield b"\0" * 65_536

    with pytest.raises((urllib.error.HTTPError, OSError)) as refused:
        urllib.request.urlopen(form(service, endless()), timeout=60)
    status = getattr(refused.value, "code", 413)  # or the line was cut while it was still sending
    assert status == 413
    assert memory(service) - before < GROWTH
    assert speak(service, "After that.") > 10_000


def test_two_hours_in_a_small_file_are_refused(service: SpeechService) -> None:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8000, 1, format="FLAC") as sound:
        for _ in range(120):
            sound.write(np.zeros(60 * 8000, np.int16))
    data = file.getvalue()
    assert len(data) < MAX_UPLOAD // 10
    before = memory(service)
    ending = f"\r\n--{BOUNDARY}--\r\n".encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(form(service, FORM + data + ending), timeout=60)
    with refused.value as answer:
        error = json.load(answer)["error"]
    assert (refused.value.code, error["code"]) == (400, "bad_recording")
    assert "120" in error["message"]
    assert memory(service) - before < GROWTH


def form(service: SpeechService, body: bytes | Iterator[bytes]) -> urllib.request.Request:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    url = f"{service.url}/v1/voices/check"
    return urllib.request.Request(url, body, {"Content-Type": kind}, method="POST")  # type: ignore[arg-type]
