"""The process asks to be started anew when a device is lost to it, and not for ever."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.errors import DeviceError
from service import restart, watching
from service.job import Job
from service.jobs import JobQueue
from service.ladder import Ladder
from service.restart import MOST, STATUS, WINDOW, Restarts
from service.utterance import SpokenChunk, Utterance
from tests.lab.ground import REPOSITORY
from tests.service.conftest import eventually
from tests.service.test_ladder import CHUNK, WORDS, FakeRung, plain, speaking


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [5000.0]
    monkeypatch.setattr(restart, "_now", lambda: now[0])
    return now


def test_restarts_are_counted_over_restarts(tmp_path: Path, clock: list[float]) -> None:
    file = tmp_path / "restarts.json"
    for _ in range(MOST):
        assert Restarts(file).allowed()
        assert Restarts(file).note()
        clock[0] += 60
    assert not Restarts(file).allowed()
    clock[0] += WINDOW - 60 * MOST + 1
    assert Restarts(file).allowed()


def test_another_boot_starts_at_nothing(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "restarts.json"
    for _ in range(MOST):
        Restarts(file).note()
    monkeypatch.setattr(restart, "_boot", lambda: "another")
    assert Restarts(file).allowed()


@pytest.mark.parametrize("kept", [b"", b"[]", b'{"boot": 1}', b"\xff", b'{"times": 3, "boot": ""}'])
def test_a_broken_memory_is_an_empty_one(tmp_path: Path, kept: bytes) -> None:
    file = tmp_path / "restarts.json"
    file.write_bytes(kept)
    assert Restarts(file).allowed()


def test_what_cannot_be_counted_does_not_happen(tmp_path: Path) -> None:
    assert not Restarts(tmp_path / "no folder" / "restarts.json").note()


def lost() -> Ladder:
    ladder = Ladder([FakeRung("gpu", DeviceError("gone", sticky=True)), plain()])
    speaking(ladder)
    return ladder


@pytest.fixture
def queue() -> JobQueue:
    def speak(utterance: Utterance, cancelled: object) -> Iterator[SpokenChunk]:
        yield SpokenChunk(CHUNK, "plain")

    return JobQueue(speak, 2)


async def test_it_waits_until_nobody_is_spoken_to(
    tmp_path: Path, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "IDLE_EVERY", 0.005)
    asked = asyncio.Event()
    job = Job("a")
    queue.submit(job)
    restarts = Restarts(tmp_path / "restarts.json")
    task = asyncio.create_task(watching.restart_when_lost(lost(), queue, restarts, asked.set))
    await asyncio.sleep(0.1)
    assert not asked.is_set()
    queue.cancel(job)
    await eventually(asked.is_set)
    await task
    assert len(json.loads((tmp_path / "restarts.json").read_text())["times"]) == 1


async def test_after_some_restarts_it_stays_and_says_so(
    tmp_path: Path,
    queue: JobQueue,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watching, "IDLE_EVERY", 0.005)
    restarts = Restarts(tmp_path / "restarts.json")
    for _ in range(MOST):
        restarts.note()
    asked = asyncio.Event()
    task = asyncio.create_task(watching.restart_when_lost(lost(), queue, restarts, asked.set))
    await eventually(lambda: "did not cure this" in caplog.text)
    await asyncio.sleep(0.05)
    assert not asked.is_set()
    assert caplog.text.count("did not cure this") == 1
    task.cancel()


PROGRAM = """
import sys
from service import __main__, app
from service.plain_rung import PlainRung
from engines.errors import DeviceError

class Gpu(PlainRung):
    name = "gpu"
    def speak(self, utterance, cancelled):
        if "LOSE" in utterance.text:
            raise DeviceError("an illegal address", sticky=True)
        return super().speak(utterance, cancelled)

made = app.create_app
__main__.create_app = lambda settings, **rest: made(settings, lambda: (Gpu(), PlainRung()), **rest)
sys.exit(__main__.main())
"""


@pytest.mark.slow
def test_the_process_ends_with_a_status_of_its_own_after_it_has_answered(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    flags = ["--port", str(unused_tcp_port), "--data", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *flags], cwd=REPOSITORY, stderr=subprocess.PIPE
    ) as service:
        assert service.stderr is not None
        lines = iter(service.stderr.readline, b"")
        assert any(b"ready: gpu speaks" in line for line in lines)
        body = json.dumps({"input": "LOSE it.", "response_format": "pcm"}).encode()
        url = f"http://127.0.0.1:{unused_tcp_port}/v1/audio/speech"
        with urllib.request.urlopen(url, body, timeout=60) as answer:
            assert answer.headers["X-Speech-Rung"] == "plain"
            assert len(answer.read()) > 10_000
        said = service.stderr.read().decode()
        assert service.wait(60) == STATUS
    assert "restarting: needs restart: device_failed: an illegal address" in said


def test_the_words_are_still_said(tmp_path: Path) -> None:
    assert speaking(lost(), WORDS) == ["plain"]
