"""Cloned voices, spoken by the service with a real converted model of random weights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engines.audio import Recording, load_recording
from engines.errors import CheckpointError, DeviceError
from engines.prompt import Enroller
from engines.synthesizer import Synthesizer
from engines.text import phonemize
from service import model_rung
from service.app import HEALTH, create_app
from service.config import Settings
from service.health import Health
from service.model_rung import ModelRung
from service.voice import Consent, Style, Voice, VoiceFacts
from service.voices import VoiceStore
from tests.engines.conftest import (  # noqa: F401 - fixtures
    golden,
    tiny_files,
    tiny_model,
)
from tests.service.conftest import eventually

REFERENCE = Path(__file__).parents[1] / "golden" / "ref.wav"
FACTS = VoiceFacts(
    "Mum", "en", "The kettle is on.", "2026-01-01T00:00:00Z", Consent("Mum", "2026-01-01", "Yes.")
)


class Running:
    def __init__(self, url: str, health: Health, session: aiohttp.ClientSession) -> None:
        self.url, self.health, self.session = url, health, session

    async def say(self, text: str, **fields: object) -> tuple[int, str, int]:
        body = {"input": text, "response_format": "pcm", **fields}
        async with self.session.post(f"{self.url}/v1/audio/speech", json=body) as response:
            rung = response.headers.get("X-Speech-Rung", "")
            return response.status, rung, len(await response.read())


Start = Callable[[], Awaitable[Running]]


@pytest.fixture
def mum(tmp_path: Path) -> Voice:
    store = VoiceStore(tmp_path / "voices", ("en",), "1", "plain", lambda voice: None)
    return store.enrol(FACTS, load_recording(REFERENCE))


@pytest.fixture
async def start(tmp_path: Path, tiny_model: Path, mum: Voice) -> AsyncIterator[Start]:  # noqa: F811
    runners: list[web.AppRunner] = []
    async with aiohttp.ClientSession() as session:

        async def begin() -> Running:
            app = create_app(Settings(data=tmp_path, model=str(tiny_model)))
            runner = web.AppRunner(app, handler_cancellation=True)
            runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            health = app[HEALTH]
            await eventually(lambda: health.ready and ready(health))
            return Running(f"http://{host}:{port}", health, session)

        yield begin
        for runner in runners:
            await runner.cleanup()


def ready(health: Health) -> bool:
    return health.snapshot()["model"]["state"] == "ready"


async def test_a_cloned_voice_speaks_and_is_kept(
    start: Start, tmp_path: Path, mum: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await start()
    status, rung, size = await service.say("Dinner is ready.", voice=mum.id)
    assert (status, rung) == (200, "onnxruntime")
    assert size > 16_000
    assert (await service.say("Dinner is ready.", voice=mum.id))[1:] == ("cache", size)
    assert len(list((tmp_path / "voices" / mum.id).glob("prompt-*.npz"))) == 1

    def never(*arguments: object) -> None:
        raise AssertionError("the prompt was made a second time")

    monkeypatch.setattr(Enroller, "enrol", never)
    again = await start()
    assert (await again.say("Good night.", voice=mum.id))[1] == "onnxruntime"


async def test_how_it_is_drawn_is_part_of_what_is_kept(start: Start, mum: Voice) -> None:
    service = await start()
    drawn = [
        {},
        {"seed": 0},
        {"seed": 1},
        {"seed": 1},
        {"seed": 1, "temperature": 0.5},
        {"top_k": 1},
    ]
    heard = [(await service.say("Dinner is ready.", voice=mum.id, **fields))[1] for fields in drawn]
    cloned = "onnxruntime"
    assert heard == [cloned, "cache", cloned, "cache", cloned, cloned]
    # The plain voice draws nothing.
    assert [(await service.say("Hi.", **fields))[1] for fields in drawn[:3]] == [
        "plain",
        *["cache"] * 2,
    ]


async def test_a_text_is_read_as_it_is_asked_for(
    start: Start, mum: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def reader(text: str, *arguments: Any, **options: Any) -> Any:
        spoken = phonemize(text, *arguments, **options)
        read.append(spoken[0].text)
        return spoken

    service = await start()
    monkeypatch.setattr(model_rung, "phonemize", reader)
    for how in ({}, {"normalize": "exact"}, {"normalize": "exact"}):
        assert (await service.say("It is 4 °C.", voice=mum.id, **how))[0] == 200
    assert "It is four degrees Celsius." in read
    assert read[-1] == "It is four C."
    assert read.count("It is four C.") == 1, "what was said before is not said anew"


async def test_a_style_is_spoken_from_its_own_reference(
    start: Start, tmp_path: Path, mum: Voice
) -> None:
    style = Style("happy", "en", "How wonderful!", FACTS.created, Consent("Mum", "2026", "Yes."))
    recording = load_recording(REFERENCE)
    other = Recording(recording.samples[::-1].copy(), recording.sample_rate)
    store = VoiceStore(tmp_path / "voices", ("en",), "1", "plain", lambda voice: None)
    store.add_style(mum.id, style, other)
    service = await start()
    rungs = [
        (await service.say("Dinner is ready.", voice=mum.id, **fields))[1]
        for fields in ({}, {"style": "happy"}, {"style": "Happy"}, {})
    ]
    assert rungs == ["onnxruntime", "onnxruntime", "cache", "cache"]
    prompts = [path.read_bytes() for path in (tmp_path / "voices" / mum.id).glob("*prompt-*.npz")]
    assert len(set(prompts)) == 2
    assert (await service.say("Hi.", voice=mum.id, style="sad"))[0] == 404


async def test_the_plain_voice_stays_with_its_rung(start: Start) -> None:
    service = await start()
    assert (await service.say("Dinner is ready."))[1] == "plain"
    assert (await service.say("Good night.", voice="plain", fallback="none"))[1] == "plain"


async def test_when_the_model_fails_the_plain_voice_stands_in(
    start: Start, mum: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await start()

    def lost(*arguments: Any, **options: Any) -> None:
        raise DeviceError("the device is gone")

    monkeypatch.setattr(Synthesizer, "speak", lost)
    assert (await service.say("Dinner is ready.", voice=mum.id))[:2] == (200, "plain")
    health = service.health.snapshot()
    assert (health["status"], health["rung"]) == ("degraded", "plain")
    assert "the device is gone" in health["reason"]
    assert (await service.say("Dinner is ready.", voice=mum.id, fallback="none"))[0] == 500
    monkeypatch.undo()
    service.health.ladder._steps[0].retry_at = 0.0
    await eventually(lambda: service.health.snapshot()["status"] == "ok")
    assert (await service.say("Dinner is ready.", voice=mum.id))[1] == "onnxruntime"


async def test_a_language_that_the_model_does_not_know_falls_to_the_plain_voice(
    start: Start, mum: Voice
) -> None:
    service = await start()
    plain = set(service.health.ladder.languages) - set(ModelRung.languages)
    spoken = [await service.say("Hallo.", voice=mum.id, language=tag) for tag in plain & {"de"}]
    assert [answer[1] for answer in spoken] == ["plain"] * len(spoken)


async def test_another_model_is_another_sound(tmp_path: Path, mum: Voice) -> None:
    revisions = {
        VoiceStore(
            tmp_path / "voices",
            ("en",),
            "1",
            "plain",
            lambda voice: None,
            cloned=lambda voice, facts, identity=identity: ("onnxruntime", identity),
        )
        .get(mum.id)
        .revision
        for identity in ("", "a", "b")
    }
    assert len(revisions) == 3


async def test_a_model_that_cannot_be_loaded_is_told_and_stood_in_for(
    start: Start, mum: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise CheckpointError("the weights are damaged")

    service = await start()
    health = service.health
    assert (health.rung, health.snapshot()["status"]) == ("onnxruntime", "ok")
    monkeypatch.setattr("service.model_rung.open_backend", broken)
    ((rung,),) = health.models._rungs.values()
    assert rung.unload()
    with pytest.raises(CheckpointError):
        rung.load()
    told = health.snapshot()
    assert (told["rung"], told["status"], told["model"]["state"]) == ("plain", "degraded", "failed")
    assert told["reason"] == "the weights are damaged"
    assert (await service.say("Dinner is ready.", voice=mum.id))[:2] == (200, "plain")
    monkeypatch.undo()
    monkeypatch.setattr("service.model_fleet.RETRY_AFTER", 0.0)
    await eventually(lambda: ready(health))
    assert (await service.say("Dinner is ready.", voice=mum.id))[:2] == (200, "onnxruntime")
