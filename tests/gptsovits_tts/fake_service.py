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


def header_of(extension: str) -> bytes:
    """What begins a sound of this format."""
    return WAV_HEADER if extension == "wav" else extension.encode()


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
            "model": {"name": "family", "state": "ready", "reason": None},
            "queue": {"depth": 2, "limit": 16},
            "uptime": 12.3,
            "last": {"rung": "plain", "first_audio": 0.25, "seconds": 1.5},
        }
        self.voices: Any = {
            "voices": [
                {
                    **{"id": "mum", "name": "Mum", "languages": ["en", "zh"], "revision": "a1"},
                    "styles": ["happy"],
                },
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
        self.models: Any = {"data": [{"id": "family"}, {"id": "office"}]}
        self.without_models = False
        # What an action asked for, and the refusal that it gets instead of its answer.
        self.asked: list[tuple[str, Any]] = []
        self.refusal: web.Response | None = None
        self.received: list[dict[str, Any]] = []
        self.left = asyncio.Event()

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._authorize])
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/voices", self._voices)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/voices", self._enrol)
        app.router.add_delete("/v1/voices/{id}", self._delete)
        app.router.add_post("/v1/prerender", self._prerender)
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

    async def _models(self, request: web.Request) -> web.Response:
        if self.without_models:
            return web.json_response(error("not_found", "no such route"), status=404)
        return self.refusal or web.json_response(self.models)

    async def _enrol(self, request: web.Request) -> web.Response:
        form = await request.post()
        fields = {name: value for name, value in form.items() if name != "file"}
        self.asked.append(("enrol", fields | {"file": form["file"].file.read()}))
        voice = {"id": "gran", "name": "Gran", "languages": ["en"], "revision": "d1"}
        if self.refusal is None:
            self.voices["voices"].append(voice)
        verdict = {"accepted": True, "findings": []}
        return self.refusal or web.json_response({**voice, "verdict": verdict}, status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        gone = request.match_info["id"]
        self.asked.append(("delete", gone))
        self.voices["voices"] = [v for v in self.voices["voices"] if v["id"] != gone]
        return self.refusal or web.Response(status=204)

    async def _prerender(self, request: web.Request) -> web.Response:
        fields = await request.json()
        self.asked.append(("prerender", fields))
        batch = {"id": "b7", "total": len(fields["texts"]), "done": 0, "failed": []}
        return self.refusal or web.json_response({**batch, "finished": False}, status=202)

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        spoken, header = False, b""
        async for message in socket:
            fields = message.json()
            self.received.append(fields)
            if fields["type"] == "start":
                header = header_of(fields["response_format"])
            if fields["type"] == "text" and not spoken:
                spoken = True
                audio = {"type": "audio", "rung": "plain", "voice": "plain", "sample_rate": 24_000}
                await _answer(socket, self.instead_of_audio, [audio, header])
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
            case "no json":
                await socket.send_str(answer)
            case _:
                await socket.close()
