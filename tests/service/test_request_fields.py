"""What a request may say beside its text, behind every door."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service import jobs
from service.chimes import GAP, built_in
from service.sampling import Sampling
from tests.service.conftest import (
    CHUNK_SECONDS,
    CHUNKS_PER_SENTENCE,
    FakeSynthesizer,
    RunningService,
    StartService,
    eventually,
)
from tests.service.test_chimes import write
from tests.service.test_prerender import finished, prerender

RATE = 32_000
SENTENCE = CHUNKS_PER_SENTENCE * CHUNK_SECONDS
SAMPLING = {
    "seed": 4_294_967_295,
    "top_k": 5,
    "top_p": 0.8,
    "temperature": 0.7,
    "repetition_penalty": 1.2,
}
FIELDS = {**SAMPLING, "pause": 0.7, "lead_in": 0.25, "chime": "ding"}
BEFORE = 0.25 + built_in("ding").seconds + GAP


async def sound(service: RunningService, **fields: object) -> np.ndarray:
    fields = {"input": "First comes one. Then comes two.", "response_format": "pcm", **fields}
    async with service.post(**fields) as response:
        assert response.status == 200, await response.text()
        return np.frombuffer(await response.read(), "<i2") / 32768


async def test_sampling_reaches_whoever_speaks(start_service: StartService) -> None:
    service = await start_service()
    await sound(service, **SAMPLING)
    await sound(service, input="Three.")
    assert [each.sampling for each in service.synthesizer.said] == [
        *[Sampling(4_294_967_295, 5, 0.8, 0.7, 1.2)] * 2,
        Sampling(0, None, None, None, None),
    ]


@pytest.mark.parametrize("pause", [0, 0.3, 2.5])
async def test_the_pause_between_sentences_is_the_requests_own(
    start_service: StartService, pause: float
) -> None:
    service = await start_service(sentence_pause=1.0)
    heard = await sound(service, pause=pause)
    assert len(heard) / RATE == pytest.approx(2 * SENTENCE + pause, abs=0.02)
    again = await sound(service, pause=pause)
    assert len(again) / RATE == pytest.approx(2 * SENTENCE + pause, abs=0.02)
    assert len(await sound(service)) / RATE == pytest.approx(2 * SENTENCE + 1, abs=0.02)
    assert len(service.synthesizer.said) == 4


async def test_silence_then_chime_then_speech(start_service: StartService) -> None:
    service = await start_service()
    heard = await sound(service, **FIELDS)
    assert len(heard) / RATE == pytest.approx(BEFORE + 2 * SENTENCE + 0.7, abs=0.02)
    cuts = [round(at * RATE) for at in (0.24, BEFORE)]
    level = [np.abs(part).max() for part in np.split(heard, cuts)]
    assert level[0] < 0.001
    assert level[1] > 0.2
    assert level[2] == pytest.approx(0.1, abs=0.03)


async def test_the_chime_plays_while_the_speech_is_being_made(start_service: StartService) -> None:
    service = await start_service()
    service.synthesizer.gate.clear()
    async with service.post(input="One.", response_format="pcm", chime="ding") as response:
        chime = await response.content.readexactly(round(1.1 * RATE) * 2)
        made = service.synthesizer.chunks_made
        service.synthesizer.gate.set()
        rest = await response.read()
    assert made == 0
    assert np.abs(np.frombuffer(chime, "<i2")).max() > 3000
    assert response.headers["X-Speech-Rung"] == "pending"
    whole = (len(chime) + len(rest)) / 2 / RATE
    assert whole == pytest.approx(BEFORE - 0.25 + SENTENCE, abs=0.02)


async def test_a_chime_waits_for_its_turn_and_an_expired_request_has_none(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await start_service()
    service.synthesizer.gate.clear()
    first = asyncio.create_task(service.post(input="One.").__aenter__())
    await asyncio.to_thread(service.synthesizer.waiting.wait, 60)
    late = service.post(input="Two.", chime="ding", expires=50)
    asking = asyncio.create_task(late.__aenter__())
    await eventually(lambda: service.queue_depth() == 2)
    assert not asking.done()
    now = jobs.monotonic
    monkeypatch.setattr(jobs, "monotonic", lambda: now() + 100)
    service.synthesizer.gate.set()
    response = await asking
    assert response.status == 504
    assert (await response.json())["error"]["code"] == "expired"
    await (await first).read()


async def test_the_cache_speaks_with_any_chime(start_service: StartService) -> None:
    service = await start_service()
    plain = await sound(service)
    for fields in ({"chime": "gong"}, {"lead_in": 1}, {"chime": "ding", "lead_in": 2}):
        heard = await sound(service, **fields)
        assert len(heard) > len(plain)
        np.testing.assert_allclose(heard[-20_000:], plain[-20_000:], atol=0.002)
    assert len(service.synthesizer.said) == 2


async def test_how_a_text_is_read_reaches_the_voice_and_is_kept_apart(
    start_service: StartService,
) -> None:
    service = await start_service()
    for how in ({}, {"normalize": "exact"}, {"normalize": "speakable"}, {"normalize": "exact"}):
        await sound(service, input="It is 4 °C.", **how)
    assert [each.normalize for each in service.synthesizer.said] == ["speakable", "exact"]


async def test_a_chime_is_as_loud_as_the_voice_was(
    start_service: StartService, synthesizer: FakeSynthesizer
) -> None:
    service = await start_service()
    await sound(service, input="The fake speaks at a level of its own: 0.1.")
    first = np.abs(await sound(service, chime="ding")).max()
    assert first == pytest.approx(np.abs(built_in("ding").at(0.1).samples).max(), rel=0.02)


async def test_own_chimes_are_listed_and_played(
    start_service: StartService, tmp_path: Path
) -> None:
    service = await start_service()
    write(tmp_path / "chimes" / "kitchen.wav", seconds=0.5)
    async with service.session.get(f"{service.url}/v1/chimes") as response:
        listed = (await response.json())["chimes"]
    assert {"name": "kitchen", "seconds": 0.5, "built_in": False} in listed
    assert {"name": "gong", "seconds": 2.6, "built_in": True} in listed
    heard = await sound(service, chime="kitchen", pause=0)
    assert len(heard) / RATE == pytest.approx(0.5 + GAP + 2 * SENTENCE, abs=0.02)


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        *[("seed", value, [0, 2**32 - 1]) for value in (-1, 2**32, 1.5, True, "1")],
        *[("top_k", value, [1, 100]) for value in (0, 101, 15.0, None)],
        *[("top_p", value, [0, 1]) for value in (0, 1.01, False, 10**400)],
        *[("temperature", value, [0.05, 2.0]) for value in (0, 2.1, "hot")],
        *[("repetition_penalty", value, [1.0, 2.0]) for value in (0.9, 2.1, [])],
        *[("pause", value, [0, 5.0]) for value in (-0.1, 5.1, float("nan"))],
        *[("lead_in", value, [0, 5.0]) for value in (-0.1, 5.1, float("inf"))],
        *[("chime", value, None) for value in ("", "../ding", "ding\n", 7)],
        *[("style", value, 30) for value in ("", "a" * 31, 7)],
        *[("normalize", value, ["speakable", "exact"]) for value in ("", "off", False)],
    ],
)
async def test_a_wrong_value_is_refused_by_name_with_its_limit(
    start_service: StartService, field: str, value: object, limit: object
) -> None:
    service = await start_service()
    async with service.post(input="Hi", **{field: value}) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["param"]) == (400, "bad_request", field)
    assert error["message"].startswith(f"{field}: ")
    assert limit is None or error["limit"] == limit
    assert service.synthesizer.said == []


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("chime", "nothing", "chime_not_found"), ("style", "happy", "style_not_found")],
)
async def test_an_unknown_name_is_answered_with_those_that_there_are(
    start_service: StartService, field: str, value: str, code: str
) -> None:
    service = await start_service()
    async with service.post(input="Hi", **{field: value}) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["param"]) == (404, code, field)
    assert isinstance(error["limit"], list)


async def test_every_door_takes_them(start_service: StartService) -> None:
    service = await start_service()
    seconds = BEFORE + SENTENCE
    body: dict[str, Any] = {"input": "For a clip.", **FIELDS}
    async with service.session.post(f"{service.url}/v1/clips", json=body) as response:
        assert (await response.json())["seconds"] == pytest.approx(seconds, abs=0.02)
    _, batch = await prerender(service, texts=["Tonight."], **FIELDS)
    assert (await finished(service, batch["id"]))["done"] == 1
    heard = await sound(service, input="Tonight.", pause=0.7)
    assert len(heard) / RATE == pytest.approx(SENTENCE, abs=0.02)
    service.synthesizer.gate.clear()
    async with service.session.ws_connect(f"{service.url}/v1/audio/speech/stream") as socket:
        await socket.send_json({"type": "start", "response_format": "pcm", **FIELDS})
        await socket.send_json({"type": "text", "text": "While it is written."})
        await socket.send_json({"type": "end"})
        opening = await socket.receive_json()
        service.synthesizer.gate.set()
        messages = [message async for message in socket]
    assert opening["rung"] == "pending"
    assert messages[-1].json() == {
        "type": "done",
        "seconds": pytest.approx(seconds, abs=0.02),
        "rung": "fake",
    }
    said = [each.sampling for each in service.synthesizer.said]
    assert said == [Sampling(**SAMPLING)] * 3
