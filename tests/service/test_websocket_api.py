"""The WebSocket door: text in while it is written, audio out while it is spoken."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from service import websocket_api
from tests.service.conftest import (
    CHUNK_SECONDS,
    CHUNKS_PER_SENTENCE,
    RunningService,
    StartService,
    eventually,
)

SENTENCE_BYTES = round(CHUNKS_PER_SENTENCE * CHUNK_SECONDS * 64000)
START = {"type": "start", "response_format": "pcm"}
END = {"type": "end"}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def connect(service: RunningService) -> Any:
    return service.session.ws_connect(f"{service.url}/v1/audio/speech/stream")


async def test_a_whole_answer(start_service: StartService) -> None:
    service = await start_service()
    async with connect(service) as socket:
        for message in (START, text("Hello "), text("there. And"), text(" bye."), END):
            await socket.send_json(message)
        opening = await socket.receive_json()
        messages = [message async for message in socket]
    audio = b"".join(each.data for each in messages if each.type == aiohttp.WSMsgType.BINARY)
    closing = messages[-1].json()
    assert {key: opening[key] for key in ("type", "rung", "voice", "sample_rate")} == {
        "type": "audio",
        "rung": "fake",
        "voice": "plain",
        "sample_rate": 32000,
    }
    assert opening["content_type"] == "audio/pcm"
    assert closing == {"type": "done", "seconds": 1.1, "rung": "fake"}
    assert len(audio) == pytest.approx(2 * SENTENCE_BYTES + 0.3 * 64000, rel=0.01)
    assert [each.text for each in service.synthesizer.said] == ["Hello there.", "And bye."]
    assert socket.close_code == aiohttp.WSCloseCode.OK


async def test_audio_comes_while_the_text_is_still_being_written(
    start_service: StartService,
) -> None:
    service = await start_service()
    async with connect(service) as socket:
        await socket.send_json(START)
        await socket.send_json(text("The first sentence is complete. The second one"))
        opening = await socket.receive_json()
        first = await socket.receive_bytes()
        await socket.send_json(text(" is not yet."))
        await socket.send_json(END)
        messages = [message async for message in socket]
    assert opening["type"] == "audio"
    assert first
    assert messages[-1].json()["type"] == "done"
    assert len(service.synthesizer.said) == 2


async def test_leaving_stops_the_work(start_service: StartService) -> None:
    service = await start_service()
    service.synthesizer.gate.clear()
    async with connect(service) as socket:
        await socket.send_json(START)
        await socket.send_json(text("First comes one. Then comes two. Last comes three. "))
        await socket.send_json(END)
        await asyncio.to_thread(service.synthesizer.waiting.wait, 60)
    await eventually(lambda: service.queue_depth() == 0)
    service.synthesizer.gate.set()
    await eventually(lambda: service.synthesizer.closed == 1)
    assert len(service.synthesizer.said) == 1


@pytest.mark.parametrize(
    ("messages", "code", "param"),
    [
        ([{"type": "text", "text": "Hi"}], "bad_request", "type"),
        ([{**START, "speed": 99}], "bad_request", "speed"),
        ([{**START, "voice": "nobody"}, END], "voice_not_found", "voice"),
        ([START, {"type": "text"}], "bad_request", "type"),
        ([START, {"type": "text", "text": "Hi", "more": 1}], "bad_request", "type"),
        ([START, {"type": "shout"}], "bad_request", "type"),
        ([START, END], "bad_text", "input"),
        ([START, text("  ?! "), END], "bad_text", "input"),
        ([START, text("a" * 3000), text("a" * 3000)], "text_too_long", "input"),
        ([START, text("FAIL."), END], "synthesis_failed", None),
    ],
)
async def test_wrong_messages_are_answered(
    start_service: StartService, messages: list[dict[str, Any]], code: str, param: str | None
) -> None:
    service = await start_service()
    async with connect(service) as socket:
        for message in messages:
            await socket.send_json(message)
        answer = await socket.receive_json()
        ending = await socket.receive()
    assert (answer["type"], answer["error"]["code"]) == ("error", code)
    assert answer["error"]["param"] == param
    assert ending.type == aiohttp.WSMsgType.CLOSE
    assert service.queue_depth() == 0


async def test_binary_messages_are_refused(start_service: StartService) -> None:
    service = await start_service()
    async with connect(service) as socket:
        await socket.send_bytes(b"\x00")
        answer = await socket.receive_json()
    assert answer["error"]["code"] == "bad_request"


async def test_a_full_queue_is_said_at_once(start_service: StartService) -> None:
    service = await start_service(max_queue=1)
    service.synthesizer.gate.clear()
    async with connect(service) as first, connect(service) as second:
        await first.send_json(START)
        await first.send_json(text("One. "))
        await eventually(lambda: service.queue_depth() == 1)
        await second.send_json(START)
        answer = await second.receive_json()
        service.synthesizer.gate.set()
    assert answer["error"]["code"] == "queue_full"


async def test_a_client_that_falls_silent_is_let_go(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_api, "TEXT_TIMEOUT", 0.05)
    service = await start_service()
    async with connect(service) as socket:
        await socket.send_json(START)
        answer = await socket.receive_json()
    assert answer["error"]["code"] == "text_timeout"
    assert service.queue_depth() == 0
