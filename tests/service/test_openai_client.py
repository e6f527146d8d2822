"""OpenAI's own client library, pointed at this service."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import openai
import pytest

from tests.service.conftest import (
    CHUNK_SECONDS,
    CHUNKS_PER_SENTENCE,
    FakeSynthesizer,
    RunningService,
    StartService,
)

SENTENCE_BYTES = CHUNKS_PER_SENTENCE * CHUNK_SECONDS * 64000


@pytest.fixture
async def service(start_service: StartService) -> RunningService:
    return await start_service(token="secret")


@pytest.fixture
async def client(service: RunningService) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{service.url}/v1", api_key="secret", max_retries=0
    ) as client:
        yield client


async def test_it_speaks(client: openai.AsyncOpenAI) -> None:
    answer = await client.audio.speech.create(
        model="gpt-sovits", voice="plain", input="Dinner is ready.", response_format="pcm"
    )
    assert len(await answer.aread()) == pytest.approx(SENTENCE_BYTES, rel=0.01)
    assert answer.response.headers["X-Speech-Rung"] == "fake"


async def test_it_hears_the_beginning_before_the_end_is_made(
    client: openai.AsyncOpenAI, synthesizer: FakeSynthesizer, service: RunningService
) -> None:
    synthesizer.gate.clear()
    synthesizer.free_chunks = 1
    async with client.audio.speech.with_streaming_response.create(
        model="gpt-sovits", voice="plain", input="Dinner is ready.", response_format="wav"
    ) as answer:
        pieces = answer.iter_bytes(64)
        first = await anext(pieces)
        made_by_then = synthesizer.chunks_made
        synthesizer.gate.set()
        rest = [piece async for piece in pieces]
    assert first.startswith(b"RIFF")
    assert made_by_then == 1
    assert sum(map(len, rest)) > 3 * CHUNK_SECONDS * 64000


async def test_it_raises_its_own_errors(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await client.audio.speech.create(model="tts-1", voice="alloy", input="Hi.")
    assert (missing.value.code, missing.value.param) == ("voice_not_found", "voice")


async def test_a_wrong_key_is_refused(client: openai.AsyncOpenAI) -> None:
    stranger = client.with_options(api_key="wrong")
    with pytest.raises(openai.AuthenticationError):
        await stranger.audio.speech.create(model="tts-1", voice="plain", input="Hi.")


async def test_a_format_that_nothing_here_encodes_is_refused_with_those_that_are(
    client: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.audio.speech.create(
            model="tts-1", voice="plain", input="Hi.", response_format="aac"
        )
    assert (refused.value.code, refused.value.param) == ("bad_request", "response_format")
    assert {"mp3", "opus", "flac", "wav", "pcm"} <= set(re.findall(r"\w+", refused.value.message))
