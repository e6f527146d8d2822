"""The ladder, with rungs that are made to fail, to keep silent, to hang and to recover."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from engines.audio import AudioChunk
from engines.errors import DeviceError, TextError
from service import ladder as ladder_module
from service.app import create_app
from service.config import Settings
from service.errors import LanguageUnavailable, SynthesisFailed, TextRefused
from service.ladder import Fallback, Ladder
from service.rung_worker import Bounds, RungSlow
from service.utterance import Utterance

CHUNK = AudioChunk(np.full(12000, 0.1, np.float32), 24000)
SILENCE = AudioChunk(np.zeros(12000, np.float32), 24000)
WORDS = Utterance("Hello.", "mum", "en")


class FakeRung:
    """Does what its script says: a chunk is spoken, an exception raised, an event waited for."""

    def __init__(
        self,
        name: str,
        *script: AudioChunk | Exception | threading.Event,
        patience: float | None = None,
        bounds: Bounds | None = None,
        voices: tuple[str, ...] = ("mum", ""),
    ) -> None:
        self.name = name
        self.languages = ("en", name)
        self.patience = patience
        self.bounds = bounds
        self.ready = True
        self.failure: str | None = None
        self.script = script
        self.voices = voices
        self.asked = 0
        self.stopped = threading.Event()

    def speaks(self, utterance: Utterance) -> bool:
        return utterance.voice in self.voices

    def speak(self, utterance: Utterance, cancelled: Callable[[], bool]) -> Iterator[AudioChunk]:
        self.asked += 1
        for item in self.script:
            match item:
                case Exception():
                    raise item
                case threading.Event():
                    item.wait(60)
                case _:
                    yield item
            if cancelled():
                self.stopped.set()
                return


def speaking(ladder: Ladder, utterance: Utterance = WORDS) -> list[str]:
    return [chunk.rung for chunk in ladder.speak(utterance)]


def plain() -> FakeRung:
    return FakeRung("plain", CHUNK)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The ladder's clock, to be moved by hand."""
    now = [1000.0]
    monkeypatch.setattr(ladder_module, "monotonic", lambda: now[0])
    return now


def test_the_best_rung_speaks() -> None:
    assert speaking(Ladder([FakeRung("gpu", CHUNK, CHUNK), plain()])) == ["gpu", "gpu"]


@pytest.mark.parametrize("failure", [DeviceError("lost"), RuntimeError("a bug")])
def test_a_rung_that_fails_is_stepped_down_from(failure: Exception) -> None:
    gpu = FakeRung("gpu", failure)
    ladder = Ladder([gpu, plain()])
    steps: list[tuple[str, ...]] = []
    ladder.on_step = lambda *step: steps.append(step)
    assert speaking(ladder) == ["plain"]
    assert speaking(ladder) == ["plain"]
    assert gpu.asked == 1
    assert (ladder.rung, ladder.best) == ("plain", "gpu")
    assert ladder.reason is not None
    assert [step[:2] for step in steps] == [("gpu", "plain")]


def test_a_text_that_a_rung_cannot_say_is_no_reason_to_step_down() -> None:
    ladder = Ladder([FakeRung("gpu", TextError("text: no")), plain()])
    assert speaking(ladder) == ["plain"]
    assert ladder.rung == "gpu"


def test_a_rung_that_fails_midway_has_the_sentence_said_again() -> None:
    failing = FakeRung("gpu", CHUNK, DeviceError("lost"))
    assert speaking(Ladder([failing, plain()])) == ["gpu", "plain"]


def test_what_a_rung_leaves_silent_is_said_by_the_next() -> None:
    gpu = FakeRung("gpu", SILENCE)
    ladder = Ladder([gpu, plain()])
    steps: list[tuple[str, ...]] = []
    ladder.on_step = lambda *step: steps.append(step)
    for _ in range(4):
        assert speaking(ladder)[-1] == "plain"
    assert gpu.asked == 3
    assert steps == [("gpu", "plain", "rung_silent")]


def test_a_silent_text_among_others_is_no_reason_to_step_down() -> None:
    gpu = FakeRung("gpu")
    ladder = Ladder([gpu, plain()])
    for script in (SILENCE, SILENCE, CHUNK) * 2:
        gpu.script = (script,)
        speaking(ladder)
    assert ladder.rung == "gpu"


def test_the_last_rung_may_be_silent() -> None:
    ladder = Ladder([FakeRung("plain", SILENCE)])
    assert speaking(ladder) == ["plain"]
    assert ladder.reason is None


@pytest.mark.parametrize("spoken_first", [(), (CHUNK,)])
def test_a_rung_that_hangs_is_left_behind(spoken_first: tuple[AudioChunk, ...]) -> None:
    never = threading.Event()
    gpu = FakeRung("gpu", *spoken_first, never, CHUNK, patience=0.05)
    ladder = Ladder([gpu, plain()])
    assert speaking(ladder) == [*["gpu"] * len(spoken_first), "plain"]
    assert ladder.reason is not None
    assert ladder.reason.startswith(RungSlow.code)
    never.set()
    assert gpu.stopped.wait(60)


@pytest.mark.parametrize(
    ("failure", "error", "code"),
    [
        (DeviceError("lost"), SynthesisFailed, "device_failed"),
        (TextError("text: nothing to say"), TextRefused, "bad_text"),
        (TextError("language: not here"), LanguageUnavailable, "language_unavailable"),
        (RuntimeError("a bug"), SynthesisFailed, "synthesis_failed"),
    ],
)
def test_the_last_failure_is_told(failure: Exception, error: type, code: str) -> None:
    ladder = Ladder([FakeRung("gpu", DeviceError("first")), FakeRung("plain", failure)])
    with pytest.raises(error) as raised:
        speaking(ladder)
    assert raised.value.code == code


def test_when_all_else_fails_rungs_that_are_down_are_tried() -> None:
    gpu, last = FakeRung("gpu", DeviceError("lost")), FakeRung("plain", CHUNK)
    ladder = Ladder([gpu, last])
    speaking(ladder)
    gpu.script, last.script = (CHUNK,), (DeviceError("now this one"),)
    assert speaking(ladder) == ["gpu"]


@pytest.mark.parametrize(
    ("fallback", "rungs"),
    [
        (Fallback.NONE, ["gpu"]),
        (Fallback.CPU, ["gpu", "cpu"]),
        (Fallback.PLAIN, ["gpu", "cpu", "plain"]),
    ],
)
def test_a_request_says_how_far_down_it_goes(fallback: Fallback, rungs: list[str]) -> None:
    ladder = Ladder([FakeRung(name, DeviceError(name)) for name in ("gpu", "cpu", "plain")])
    with pytest.raises(SynthesisFailed) as failed:
        speaking(ladder, Utterance("Hi", "mum", "en", fallback=fallback))
    assert str(failed.value) == rungs[-1]
    assert [rung["name"] for rung in ladder.snapshot() if not rung["up"]] == rungs


@pytest.mark.parametrize("fallback", Fallback)
def test_the_plain_voice_is_spoken_by_the_plain_rung(fallback: Fallback) -> None:
    ladder = Ladder([FakeRung("gpu", CHUNK), FakeRung("plain", CHUNK, voices=())])
    assert speaking(ladder, Utterance("Hi", "plain", "en", fallback=fallback)) == ["plain"]


def test_a_rung_comes_back_after_two_good_tries(clock: list[float]) -> None:
    gpu = FakeRung("gpu", DeviceError("lost"))
    ladder = Ladder([gpu, plain()])
    steps: list[tuple[str, ...]] = []
    speaking(ladder)
    ladder.on_step = lambda *step: steps.append(step)
    ladder.probe()
    assert gpu.asked == 1, "its time had not come"
    gpu.script = (CHUNK,)
    clock[0] += 5
    ladder.probe()
    assert ladder.rung == "plain"
    ladder.probe()
    assert ladder.rung == "gpu"
    assert speaking(ladder) == ["gpu"]
    assert steps == [("plain", "gpu", "recovered")]


@pytest.mark.parametrize(
    "script",
    [
        (DeviceError("still lost"),),
        (),
        (SILENCE,),
        (AudioChunk(np.full(100, 0.1, np.float32), 24000),),
    ],
    ids=["fails", "says nothing", "silence", "too short"],
)
def test_a_rung_that_sounds_wrong_waits_longer_each_time(
    clock: list[float], script: tuple[AudioChunk | Exception, ...]
) -> None:
    gpu = FakeRung("gpu", DeviceError("lost"))
    ladder = Ladder([gpu, plain()])
    speaking(ladder)
    gpu.script = script
    waits = []
    for _ in range(9):
        asked, waited = gpu.asked, 0
        while gpu.asked == asked:
            clock[0] += 1
            waited += 1
            ladder.probe()
        waits.append(waited)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert ladder.rung == "plain"


def test_languages_of_all_rungs_are_offered() -> None:
    assert Ladder([FakeRung("gpu"), plain()]).languages == ("en", "gpu", "plain")


async def test_no_request_goes_unanswered_while_rungs_break(tmp_path: Path) -> None:
    hang = threading.Event()
    gpu = FakeRung("gpu", CHUNK, patience=0.1, voices=("plain", ""))
    cpu = FakeRung("cpu", CHUNK, patience=0.1, voices=("plain", ""))
    app = create_app(
        Settings(data=tmp_path, max_queue=100, cache_mb=0), lambda: (gpu, cpu, plain())
    )
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    url = f"http://{host}:{port}"
    rungs: list[str] = []

    async def ask(session: aiohttp.ClientSession, count: int) -> set[str]:
        async def one(number: int) -> str:
            body = {"input": f"Announcement number {number}.", "response_format": "pcm"}
            async with session.post(f"{url}/v1/audio/speech", json=body) as response:
                assert response.status == 200
                assert len(await response.read()) > 10_000
                return response.headers["X-Speech-Rung"]

        return set(await asyncio.gather(*(one(number) for number in range(count))))

    async with aiohttp.ClientSession() as session:
        assert await ask(session, 10) == {"gpu"}
        gpu.script = (hang, CHUNK)
        assert await ask(session, 10) == {"cpu"}
        cpu.script = (CHUNK, DeviceError("lost"))
        assert await ask(session, 10) == {"cpu", "plain"}
        async with session.get(f"{url}/health") as response:
            health = await response.json()
        async with session.get(f"{url}/metrics") as response:
            metrics = await response.text()
        rungs = [rung["name"] for rung in health["rungs"] if not rung["up"]]
        hang.set()
    await runner.cleanup()
    assert (health["status"], health["rung"], rungs) == ("degraded", "plain", ["gpu", "cpu"])
    assert 'after="cpu",before="gpu",code="rung_slow"} 1.0' in metrics
    assert 'after="plain",before="cpu",code="device_failed"} 1.0' in metrics
