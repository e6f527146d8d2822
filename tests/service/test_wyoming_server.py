"""The Wyoming door, spoken to with the protocol's own client library."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from tests.service.conftest import (
    CHUNK_SECONDS,
    CHUNKS_PER_SENTENCE,
    FakeSynthesizer,
    StartService,
    eventually,
)

SENTENCE_BYTES = round(CHUNKS_PER_SENTENCE * CHUNK_SECONDS * 64000)


@pytest.fixture
async def client(start_service: StartService) -> AsyncIterator[AsyncTcpClient]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    await start_service(wyoming_port=port, max_text=200)
    async with AsyncTcpClient("127.0.0.1", port) as client:
        yield client


async def until(client: AsyncTcpClient, last: type) -> list[Event]:
    events: list[Event] = []
    async with asyncio.timeout(60):
        while not events or not last.is_type(events[-1].type):
            event = await client.read_event()
            assert event is not None
            events.append(event)
    return events


def pcm(events: list[Event]) -> bytes:
    chunks = [AudioChunk.from_event(each) for each in events if AudioChunk.is_type(each.type)]
    assert {(chunk.rate, chunk.width, chunk.channels) for chunk in chunks} == {(32000, 2, 1)}
    return b"".join(chunk.audio for chunk in chunks)


async def test_every_voice_is_described_as_installed(client: AsyncTcpClient) -> None:
    await client.write_event(Describe().event())
    (event,) = await until(client, Info)
    (program,) = Info.from_event(event).tts
    assert program.supports_synthesize_streaming
    assert [(each.name, each.installed, each.languages) for each in program.voices] == [
        ("plain", True, ["en", "de"])
    ]


async def test_a_whole_text_is_spoken(client: AsyncTcpClient) -> None:
    wanted = Synthesize("Dinner. Is ready.", voice=SynthesizeVoice(name="plain"))
    await client.write_event(wanted.event())
    events = await until(client, AudioStop)
    assert AudioStart.is_type(events[0].type)
    assert len(pcm(events)) == pytest.approx(2 * SENTENCE_BYTES + 0.3 * 64000, rel=0.01)


async def test_text_that_streams_in_is_spoken_while_it_comes(
    client: AsyncTcpClient, synthesizer: FakeSynthesizer
) -> None:
    await client.write_event(SynthesizeStart(voice=SynthesizeVoice(language="de")).event())
    await client.write_event(SynthesizeChunk("Das Essen ist fertig. Alle").event())
    events = [*await until(client, AudioChunk)]
    await client.write_event(SynthesizeChunk(" an den Tisch.").event())
    await client.write_event(Synthesize("Das Essen ist fertig. Alle an den Tisch.").event())
    await client.write_event(SynthesizeStop().event())
    events += await until(client, SynthesizeStopped)
    assert len(pcm(events)) == pytest.approx(2 * SENTENCE_BYTES + 0.3 * 64000, rel=0.01)
    assert [(each.text, each.language) for each in synthesizer.said] == [
        ("Das Essen ist fertig.", "de"),
        ("Alle an den Tisch.", "de"),
    ]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (Synthesize("Hi", voice=SynthesizeVoice(name="nobody")).event(), "voice_not_found"),
        (Synthesize("").event(), "bad_text"),
        (Synthesize("a" * 201).event(), "text_too_long"),
        (Synthesize("FAIL").event(), "synthesis_failed"),
        (Event("synthesize", {}), "bad_request"),
        (Event("synthesize", {"text": "Hi", "voice": 5}), "bad_request"),
    ],
)
async def test_what_cannot_be_spoken_is_told(
    client: AsyncTcpClient, event: Event, code: str
) -> None:
    await client.write_event(event)
    events = await until(client, Error)
    assert Error.from_event(events[-1]).code == code
    await client.write_event(Synthesize("And on it goes.").event())
    assert pcm(await until(client, AudioStop))


async def test_a_client_that_leaves_stops_the_work(
    client: AsyncTcpClient, synthesizer: FakeSynthesizer
) -> None:
    synthesizer.gate.clear()
    await client.write_event(Synthesize("First comes one. Then comes two.").event())
    await asyncio.to_thread(synthesizer.waiting.wait, 60)
    await client.disconnect()
    await asyncio.sleep(0.05)
    synthesizer.gate.set()
    await eventually(lambda: synthesizer.closed == 1)
    await asyncio.sleep(0.05)
    assert [each.text for each in synthesizer.said] == ["First comes one."]
