"""A stream that never pauses long, whatever keeps its next chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from engines.audio import AudioChunk
from service import steady as module
from service.steady import CRUMB, steady
from tests.service.conftest import StartService

RATE = 24_000


def _chunk(seconds: float, sentence: int = 0) -> AudioChunk:
    return AudioChunk(np.full(round(seconds * RATE), 0.5, np.float32), RATE, sentence)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, _impatient: None) -> list[float]:
    """The time by the module's clock, to be set by a test."""
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


async def test_chunks_in_time_are_handed_on_as_they_are() -> None:
    async def prompt() -> AsyncIterator[AudioChunk]:
        yield _chunk(0.1)
        yield _chunk(0.2, 1)

    heard = [chunk async for chunk in steady(prompt())]
    assert [len(chunk.samples) for chunk in heard] == [2400, 4800]
    assert all(chunk.samples.all() for chunk in heard)


async def test_a_player_that_has_run_dry_is_given_the_silence_it_waited(
    clock: list[float],
) -> None:
    late = asyncio.Event()

    async def slow() -> AsyncIterator[AudioChunk]:
        yield _chunk(1.0)
        await late.wait()
        yield _chunk(0.1, 1)

    stream = steady(slow())
    await anext(stream)
    clock[0] += 4.0
    silence = await anext(stream)
    assert len(silence.samples) == 3 * RATE
    assert not silence.samples.any()
    clock[0] += 2.0
    assert len((await anext(stream)).samples) == 2 * RATE
    late.set()
    rest = [chunk async for chunk in stream]
    assert rest[-1].sentence == 1
    assert rest[-1].samples.all()


async def test_a_player_that_still_plays_is_given_a_crumb(clock: list[float]) -> None:
    async def stuck() -> AsyncIterator[AudioChunk]:
        yield _chunk(30.0)
        await asyncio.Event().wait()

    stream = steady(stuck())
    await anext(stream)
    clock[0] += 4.0
    assert len((await anext(stream)).samples) == round(CRUMB * RATE)
    await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_impatient")
async def test_nothing_is_sent_before_the_first_sound() -> None:
    async def failing() -> AsyncIterator[AudioChunk]:
        await asyncio.sleep(0.1)
        raise RuntimeError("no sound at all")
        yield _chunk(0.1)

    with pytest.raises(RuntimeError, match="no sound at all"):
        await anext(steady(failing()))


@pytest.mark.usefixtures("_impatient")
async def test_leaving_ends_what_is_awaited() -> None:
    ended = asyncio.Event()

    async def stuck() -> AsyncIterator[AudioChunk]:
        yield _chunk(0.1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    stream = steady(stuck())
    await anext(stream)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert ended.is_set()


@pytest.mark.usefixtures("_impatient")
async def test_a_writer_who_thinks_is_bridged_with_silence(start_service: StartService) -> None:
    service = await start_service()
    url = f"{service.url}/v1/audio/speech/stream"
    async with service.session.ws_connect(url) as socket:
        await socket.send_json({"type": "start", "response_format": "pcm"})
        await socket.send_json({"type": "text", "text": "Let me think. Hm"})
        assert (await socket.receive_json())["type"] == "audio"
        heard = await socket.receive_bytes()
        assert any(heard)
        async with asyncio.timeout(60):
            while any(await socket.receive_bytes()):
                pass
        await socket.send_json({"type": "text", "text": "m. Yes."})
        await socket.send_json({"type": "end"})
        later = [message async for message in socket]
    assert any(any(each.data) for each in later[:-1])
    assert later[-1].json()["type"] == "done"
