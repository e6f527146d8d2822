"""The HTTP door, over a real socket, with a synthesizer that does what the test wants."""

from __future__ import annotations

import asyncio
import io
import struct

import aiohttp
import numpy as np
import pytest
import soundfile

from engines.audio import AudioChunk
from service import app as app_module
from tests.service.conftest import (
    CHUNK_SECONDS,
    CHUNKS_PER_SENTENCE,
    FakeSynthesizer,
    StartService,
    eventually,
)

SENTENCE_SECONDS = CHUNKS_PER_SENTENCE * CHUNK_SECONDS


async def test_speech_names_its_rung_voice_and_rate(start_service: StartService) -> None:
    service = await start_service()
    async with service.post(input="Dinner is ready.", response_format="wav") as response:
        body = await response.read()
    assert response.status == 200
    assert response.content_type == "audio/wav"
    assert response.headers["X-Speech-Rung"] == "fake"
    assert response.headers["X-Speech-Voice"] == "plain"
    assert response.headers["X-Audio-Sample-Rate"] == "32000"
    assert len(response.headers["X-Request-Id"]) == 12
    assert struct.unpack("<I", body[40:44]) == (0xFFFFFFFF,)
    assert (len(body) - 44) / 2 / 32000 == pytest.approx(SENTENCE_SECONDS, abs=0.01)


async def test_first_bytes_leave_before_the_last_chunk_is_made(
    start_service: StartService,
) -> None:
    service = await start_service()
    service.synthesizer.gate.clear()
    service.synthesizer.free_chunks = 1
    async with service.post(input="One.", response_format="pcm") as response:
        first = await response.content.readany()
        made_by_then = service.synthesizer.chunks_made
        service.synthesizer.gate.set()
        rest = await response.read()
    assert made_by_then == 1
    assert 0 < len(first) < CHUNK_SECONDS * 64000 * 1.01
    assert len(first) + len(rest) == pytest.approx(SENTENCE_SECONDS * 64000, rel=0.02)


async def test_a_client_that_leaves_stops_the_work_within_one_chunk(
    start_service: StartService,
) -> None:
    service = await start_service()
    service.synthesizer.gate.clear()
    posting = asyncio.create_task(service.post(input="A long story. " * 50).__aenter__())
    await asyncio.to_thread(service.synthesizer.waiting.wait, 60)
    posting.cancel()
    await eventually(lambda: service.queue_depth() == 0)
    made = service.synthesizer.chunks_made
    service.synthesizer.gate.set()
    await eventually(lambda: service.synthesizer.closed == 1)
    assert service.synthesizer.chunks_made - made <= 1
    assert len(service.synthesizer.said) == 1


async def test_full_queue_is_503_with_retry_after_before_any_byte(
    start_service: StartService,
) -> None:
    service = await start_service(max_queue=1)
    service.synthesizer.gate.clear()
    first = asyncio.create_task(service.post(input="One.", response_format="wav").__aenter__())
    await asyncio.to_thread(service.synthesizer.waiting.wait, 60)
    async with service.post(input="Two.") as refused:
        error = (await refused.json())["error"]
    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert (error["code"], error["limit"]) == ("queue_full", 1)
    service.synthesizer.gate.set()
    response = await first
    assert response.status == 200
    assert len(await response.read()) > 44


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "input: is missing"),
        ({"input": "Hi", "loud": 1}, "loud: there is no such field; there are "),
        ({"input": "Hi", "priority": "urgent"}, "priority: value must be one of "),
    ],
)
async def test_what_is_wrong_is_said_in_a_persons_words(
    start_service: StartService, fields: dict[str, object], message: str
) -> None:
    service = await start_service()
    async with service.post(**fields) as response:
        assert (await response.json())["error"]["message"].startswith(message)


@pytest.mark.parametrize(
    ("fields", "status", "code", "param", "limit"),
    [
        ({}, 400, "bad_request", "input", None),
        ({"input": ""}, 400, "bad_text", "input", 5000),
        ({"input": " \n\t "}, 400, "bad_text", "input", 5000),
        ({"input": "?!…"}, 400, "bad_text", "input", 5000),
        ({"input": "\x00\x07"}, 400, "bad_text", "input", 5000),
        ({"input": 7}, 400, "bad_request", "input", None),
        ({"input": "a" * 5001}, 413, "text_too_long", "input", 5000),
        ({"input": "Hi", "voice": "nobody"}, 404, "voice_not_found", "voice", None),
        ({"input": "Hi", "voice": ""}, 400, "bad_request", "voice", 100),
        ({"input": "Hi", "speed": 9}, 400, "bad_request", "speed", [0.25, 4.0]),
        ({"input": "Hi", "speed": "fast"}, 400, "bad_request", "speed", [0.25, 4.0]),
        ({"input": "Hi", "sample_rate": 1}, 400, "bad_request", "sample_rate", None),
        ({"input": "Hi", "language": "fr"}, 400, "language_unavailable", "language", None),
        ({"input": "Hi", "language": "../x"}, 400, "bad_request", "language", None),
        ({"input": "Hi", "response_format": "aac"}, 400, "bad_request", "response_format", None),
        ({"input": "Hi", "stream_format": "sse"}, 400, "bad_request", "stream_format", None),
        ({"input": "Hi", "loud": True}, 400, "bad_request", "loud", None),
    ],
)
async def test_wrong_fields_are_named(
    start_service: StartService,
    fields: dict[str, object],
    status: int,
    code: str,
    param: str,
    limit: object,
) -> None:
    service = await start_service()
    async with service.post(**fields) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["param"]) == (status, code, param)
    assert error["message"].startswith(f"{param}: ")
    assert limit is None or error["limit"] == limit
    assert service.synthesizer.said == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"input": NaN']
)
async def test_a_body_that_is_no_json_object_is_refused(
    start_service: StartService, body: bytes
) -> None:
    service = await start_service()
    async with service.session.post(f"{service.url}/v1/audio/speech", data=body) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["param"]) == (400, "bad_request", "body")


async def test_a_body_over_the_limit_is_refused(start_service: StartService) -> None:
    service = await start_service()
    async with service.post(input="a" * 300_000) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (413, "body_too_large")


async def test_failure_before_the_first_chunk_is_a_json_error(start_service: StartService) -> None:
    service = await start_service()
    async with service.post(input="FAIL") as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (500, "synthesis_failed")
    async with service.post(input="And on it goes.") as response:
        assert response.status == 200
        assert await response.read()


async def test_failure_after_the_first_chunk_breaks_the_connection(
    start_service: StartService,
) -> None:
    service = await start_service()
    async with service.post(input="BREAK", response_format="pcm") as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    async with service.post(input="And on it goes.") as response:
        assert response.status == 200
        assert await response.read()


@pytest.mark.parametrize(
    ("name", "content_type", "rate", "ask"),
    [
        ("wav", "audio/wav", 32000, 10.0),
        # libsndfile cannot look past the end of a FLAC whose length is unknown, as a stream's is.
        ("flac", "audio/flac", 32000, 0.95 * SENTENCE_SECONDS),
        ("mp3", "audio/mpeg", 32000, 10.0),
        ("opus", "audio/ogg", 48000, 10.0),
        ("ogg", "audio/ogg", 48000, 10.0),
    ],
)
async def test_every_format_decodes_to_the_whole_sentence(
    start_service: StartService, name: str, content_type: str, rate: int, ask: float
) -> None:
    service = await start_service()
    async with service.post(input="One.", response_format=name) as response:
        body = await response.read()
    with soundfile.SoundFile(io.BytesIO(body)) as decoded:
        samples, decoded_rate = decoded.read(round(ask * rate)), decoded.samplerate
    assert response.content_type == content_type
    assert decoded_rate == rate
    assert len(samples) / rate == pytest.approx(SENTENCE_SECONDS, abs=0.12)
    assert np.sqrt(np.mean(np.square(samples))) > 0.02


async def test_a_request_chooses_its_sample_rate(start_service: StartService) -> None:
    service = await start_service()
    async with service.post(input="One.", response_format="wav", sample_rate=16000) as response:
        body = await response.read()
    assert response.headers["X-Audio-Sample-Rate"] == "16000"
    assert (len(body) - 44) / 2 / 16000 == pytest.approx(SENTENCE_SECONDS, abs=0.01)


async def test_sentences_are_spoken_in_order_with_a_pause(start_service: StartService) -> None:
    service = await start_service(sentence_pause=0.5)
    text = "First comes one. Then comes two. Last comes three."
    async with service.post(input=text, response_format="pcm", speed=1.5) as response:
        body = await response.read()
    said = [(each.text, each.speed, each.language) for each in service.synthesizer.said]
    assert said == [
        ("First comes one.", 1.5, "en"),
        ("Then comes two.", 1.5, "en"),
        ("Last comes three.", 1.5, "en"),
    ]
    assert len(body) / 64000 == pytest.approx(3 * SENTENCE_SECONDS + 2 * 0.5, abs=0.02)


async def test_the_script_of_a_text_decides_its_language(start_service: StartService) -> None:
    service = await start_service(language="de")
    async with service.post(input="Fertig. 洗衣机洗好了。", response_format="pcm") as response:
        await response.read()
    assert [each.language for each in service.synthesizer.said] == ["de", "zh"]


async def test_requests_take_turns_by_sentence(start_service: StartService) -> None:
    service = await start_service()
    service.synthesizer.gate.clear()
    story = asyncio.create_task(service.post(input="Once upon. A time. There was.").__aenter__())
    await asyncio.to_thread(service.synthesizer.waiting.wait, 60)
    doorbell = asyncio.create_task(service.post(input="The doorbell rang.").__aenter__())
    await eventually(lambda: service.queue_depth() == 2)
    service.synthesizer.gate.set()
    for task in (story, doorbell):
        await (await task).read()
    assert [each.text for each in service.synthesizer.said] == [
        "Once upon.",
        "The doorbell rang.",
        "A time.",
        "There was.",
    ]


async def test_voices_lists_what_can_be_asked_for(start_service: StartService) -> None:
    service = await start_service()
    async with service.session.get(f"{service.url}/v1/voices") as response:
        listed = await response.json()
    assert listed["default"] == "plain"
    assert listed["languages"] == ["en", "de"]
    assert [voice["id"] for voice in listed["voices"]] == ["plain"]
    assert len(listed["voices"][0]["revision"]) == 12


async def test_health_tells_the_queue_and_keeps_its_id(start_service: StartService) -> None:
    service = await start_service(max_queue=3)
    async with service.session.get(f"{service.url}/health") as response:
        health = await response.json()
    assert health["status"] == "ok"
    assert health["rung"] == "fake"
    assert health["queue"] == {"depth": 0, "limit": 3}
    again = await start_service()
    async with again.session.get(f"{again.url}/health") as response:
        assert (await response.json())["id"] == health["id"]


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Basic secret", 401),
        ("Bearer \u00e9", 401),
        ("Bearer secret", 200),
        ("bearer secret", 200),
    ],
)
async def test_the_token_opens_the_api(
    start_service: StartService, authorization: str | None, status: int
) -> None:
    service = await start_service(token="secret")
    headers = {} if authorization is None else {"Authorization": authorization}
    async with service.session.get(f"{service.url}/v1/voices", headers=headers) as response:
        assert response.status == status
        assert "secret" not in await response.text()


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/web/app.js", "/web/style.css"])
async def test_page_and_health_need_no_token(start_service: StartService, path: str) -> None:
    service = await start_service(token="secret")
    async with service.session.get(service.url + path) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/web/../config.py", 404, "not_found"),
        ("GET", "/v1/audio/speech", 405, "method_not_allowed"),
    ],
)
async def test_unknown_routes_are_json_errors(
    start_service: StartService, method: str, path: str, status: int, code: str
) -> None:
    service = await start_service()
    async with service.session.request(method, service.url + path) as response:
        assert response.status == status
        assert (await response.json())["error"]["code"] == code


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [AudioChunk(np.zeros(24000, np.float32), 24000)],
        [AudioChunk(np.full(240, 0.1, np.float32), 24000)],
        [AudioChunk(np.full(240_000, 0.1, np.float32), 24000)],
    ],
    ids=["nothing", "silence", "too short", "too long"],
)
async def test_a_rung_that_sounds_wrong_is_never_ready(
    start_service: StartService, synthesizer: FakeSynthesizer, chunks: list[AudioChunk]
) -> None:
    synthesizer.speak = lambda utterance, cancelled: iter(chunks)  # type: ignore[method-assign]
    service = await start_service()
    async with service.session.get(f"{service.url}/ready") as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (503, "not_ready")
    assert "self-test" in error["message"]
    async with service.session.get(f"{service.url}/health") as response:
        health = await response.json()
    assert (response.status, health["status"]) == (200, "unavailable")
    assert health["reason"] == error["message"]


async def test_it_becomes_ready_when_the_voice_is_well_again(
    start_service: StartService, synthesizer: FakeSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "TEST_AGAIN", 0.01)
    well = synthesizer.speak
    silent = AudioChunk(np.zeros(24000, np.float32), 24000)
    monkeypatch.setattr(synthesizer, "speak", lambda utterance, cancelled: iter([silent]))
    service = await start_service()
    async with service.session.get(f"{service.url}/ready") as response:
        assert response.status == 503
    monkeypatch.setattr(synthesizer, "speak", well)
    await eventually(lambda: service.health.ready)
    async with service.session.get(f"{service.url}/health") as response:
        health = await response.json()
    assert (health["status"], health["reason"]) == ("ok", None)
