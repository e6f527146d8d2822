"""A language model that says what it is told, as Ollama does: word by word."""

import asyncio
import json
from typing import Any, Self

from aiohttp import web

NAME = "parrot:latest"


class LanguageModel:
    """Ollama's API on a free port of the loopback interface.

    It writes `begin`, waits until `go_on` is set, and writes `end`: a test can hold it in the
    middle of its answer for as long as it wants.
    """

    def __init__(self, begin: str, end: str) -> None:
        self._begin, self._end = begin, end
        self.go_on = asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/api/tags", self._models)
        app.router.add_post("/api/chat", self._chat)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go_on.set()
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"models": [{"model": NAME, "name": NAME}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for word in _words(self._begin):
            await response.write(_line(word))
        await self.go_on.wait()
        for word in _words(self._end):
            await response.write(_line(word))
        await response.write(_line("", done=True, done_reason="stop"))
        return response


def _words(text: str) -> list[str]:
    return [f"{word} " for word in text.split()]


def _line(word: str, **more: Any) -> bytes:
    message = {"role": "assistant", "content": word}
    facts = {"model": NAME, "message": message, "done": False, **more}
    return json.dumps(facts).encode() + b"\n"
