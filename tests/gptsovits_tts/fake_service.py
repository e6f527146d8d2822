"""A stand-in for the service that speaks its HTTP contract and does as it is told."""

import asyncio
import struct
from typing import Any

from aiohttp import web

WAV_HEADER = struct.pack(
    *("<4sI4s4sIHHIIHH4sI", b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16),
    *(1, 1, 24_000, 48_000, 2, 16, b"data", 0xFFFFFFFF),
)


def sound_of(text: str) -> bytes:
    """The samples that stand for a text: recognizable, two bytes a character."""
    return text.encode("utf-16-le")


def error(code: str, message: str) -> dict[str, Any]:
    """The service's JSON for a refusal."""
    kind = {"param": "input", "limit": None, "type": "invalid_request_error"}
    return {"error": {"code": code, "message": message, **kind}}


class FakeService:
    """Answers every text with its own characters as samples, as soon as the text is in."""

    def __init__(self) -> None:
        self.token = ""
        self.health: Any = {
            "id": "3f2a",
            "status": "ok",
            "version": "0.1.0",
            "rung": "plain",
            "reason": None,
            "model": None,
            "queue": {"depth": 0, "limit": 16},
            "uptime": 12.3,
        }
        self.voices: Any = {
            "voices": [
                {"id": "mum", "name": "Mum", "languages": ["en", "zh"], "revision": "a1"},
                {"id": "plain", "name": "Plain voice", "languages": ["en"], "revision": "b1"},
                # Waits for its person's consent: nobody may be offered it.
                {
                    **{"id": "dad", "name": "Dad", "languages": ["en"], "revision": "c1"},
                    "usable": False,
                },
            ],
            "default": "plain",
            "languages": ["en", "zh"],
        }
        self.status = 200
        # Messages in place of the usual ones before the first sound, for each
        # text, and after the last; None for what a good service would send.
        self.instead_of_audio: list[Any] | None = None
        self.instead_of_more: list[Any] | None = None
        self.instead_of_done: list[Any] | None = None
        self.received: list[dict[str, Any]] = []
        self.left = asyncio.Event()

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._authorize])
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/voices", self._voices)
        app.router.add_get("/v1/audio/speech/stream", self._stream)
        return app

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Any) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if self.token and request.path != "/health" and given != f"Bearer {self.token}":
            return web.json_response(error("unauthorized", "wrong token"), status=401)
        if self.status != 200:
            return web.json_response(error("queue_full", "try again soon"), status=self.status)
        return await handler(request)

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response(self.health)

    async def _voices(self, request: web.Request) -> web.Response:
        return web.json_response(self.voices)

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        spoken = False
        async for message in socket:
            fields = message.json()
            self.received.append(fields)
            if fields["type"] == "text" and not spoken:
                spoken = True
                audio = {"type": "audio", "rung": "plain", "voice": "plain", "sample_rate": 24_000}
                await _answer(socket, self.instead_of_audio, [audio, WAV_HEADER])
            if fields["type"] == "text" and not socket.closed:
                await _answer(socket, self.instead_of_more, [sound_of(fields["text"])])
            if fields["type"] == "end":
                await _answer(socket, self.instead_of_done, [_DONE, "hang up"])
        self.left.set()
        return socket


_DONE = {"type": "done", "seconds": 1.0, "rung": "plain"}


async def _answer(socket: web.WebSocketResponse, told: list[Any] | None, usual: list[Any]) -> None:
    for answer in usual if told is None else told:
        match answer:
            case bytes():
                await socket.send_bytes(answer)
            case dict():
                await socket.send_json(answer)
            case _:
                await socket.close()
