"""The WebSocket door: text goes in as it is written, audio comes out as it is spoken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from service.errors import BadRequest, ServiceError, TextTimeout
from service.formats import Encoder
from service.requests import STREAM_START, check, encoded, read_json, speech_request
from service.speech import Speech
from service.speech_request import SpeechRequest

MAX_MESSAGE = 64 * 1024  # bytes
START_TIMEOUT = 10.0  # seconds until the first message
TEXT_TIMEOUT = 60.0  # seconds between pieces of text
HEARTBEAT = 20.0

_Pieces = asyncio.Queue[str | ServiceError | None]


async def stream_speech(
    request: web.Request, speech: Speech, make_encoder: Callable[[dict[str, Any]], Encoder]
) -> web.WebSocketResponse:
    """Serve one answer on one WebSocket; docs/protocols.md has the messages."""
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=MAX_MESSAGE)
    await socket.prepare(request)
    try:
        fields = await _receive_start(socket)
        pieces: _Pieces = asyncio.Queue()
        reader = asyncio.create_task(_read(socket, pieces))
        wanted = speech_request(
            fields, _text(pieces), door="websocket", client=request.remote or ""
        )
        speaker = asyncio.create_task(_speak(socket, speech, make_encoder(fields), wanted))
        try:
            await asyncio.wait({reader, speaker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # A reader that ends first has seen the client leave: nobody listens any more.
            for task in (speaker, reader):
                if not task.done():
                    task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
        with contextlib.suppress(asyncio.CancelledError):
            await speaker
    except ConnectionError:
        pass  # the client left while audio was on its way; its job is cancelled already
    except ServiceError as error:
        if not socket.closed:
            await socket.send_json({"type": "error", **error.as_dict()})
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER if error.status >= 500 else 1008)
    await socket.close()
    return socket


async def _receive_start(socket: web.WebSocketResponse) -> dict[str, Any]:
    try:
        message = await asyncio.wait_for(socket.receive(), START_TIMEOUT)
    except TimeoutError as error:
        raise TextTimeout(f"type: no start came in {START_TIMEOUT:g} s", param="type") from error
    return check(STREAM_START, _fields(message.data if message.type == WSMsgType.TEXT else None))


async def _read(socket: web.WebSocketResponse, pieces: _Pieces) -> None:
    """Read messages until the client leaves; text goes to `pieces`, None ends it."""
    ended = False
    async for message in socket:
        if ended:
            continue
        try:
            fields = _fields(message.data if message.type == WSMsgType.TEXT else None)
            match fields:
                case {"type": "text", "text": str(text), **rest} if not rest:
                    pieces.put_nowait(text)
                case {"type": "end", **rest} if not rest:
                    ended = True
                    pieces.put_nowait(None)
                case _:
                    raise BadRequest("type: must be text (with its text) or end", param="type")
        except BadRequest as error:
            ended = True
            pieces.put_nowait(error)


async def _text(pieces: _Pieces) -> AsyncIterator[str]:
    while True:
        try:
            piece = await asyncio.wait_for(pieces.get(), TEXT_TIMEOUT)
        except TimeoutError as error:
            message = f"text: no piece and no end came in {TEXT_TIMEOUT:g} s"
            raise TextTimeout(message, param="text", limit=TEXT_TIMEOUT) from error
        if isinstance(piece, ServiceError):
            raise piece
        if piece is None:
            return
        yield piece


async def _speak(
    socket: web.WebSocketResponse, speech: Speech, encoder: Encoder, wanted: SpeechRequest
) -> None:
    with encoder:
        async with speech.say(wanted) as speaking:
            await socket.send_json(
                {
                    "type": "audio",
                    "request_id": speaking.id,
                    "rung": speaking.rung,
                    "model": speaking.model,
                    "voice": speaking.voice.id,
                    "sample_rate": encoder.sample_rate,
                    "content_type": encoder.content_type,
                }
            )
            async for data in encoded(speaking, encoder):
                await socket.send_bytes(data)
    done = {"type": "done", "seconds": round(speaking.seconds, 3), "rung": speaking.rung}
    await socket.send_json(done)


def _fields(data: str | None) -> object:
    if data is None:
        raise BadRequest("body: messages must be JSON text", param="body")
    return read_json(data)
