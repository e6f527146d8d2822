"""A client that leaves frees who speaks at the next token, from the socket down to the rung."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from engines.audio import AudioChunk
from service.app import HEALTH, create_app
from service.config import Settings
from service.health import Health
from service.rung_worker import Bounds
from service.utterance import Utterance
from tests.service.conftest import eventually

TOKENS = 200


class TokenRung:
    """Draws a token whenever it is let, and asks before each whether anybody still listens.

    A sentence of `TOKENS` tokens is one chunk at its end, so nothing but the question between
    tokens can end it early. The words "LET" need no permission.

    Attributes:
        events: "token" for each, then "freed" or "spoken".
    """

    name = "gpu"
    languages = ("en",)
    patience: float | None = 60.0
    bounds: Bounds | None = None
    ready = True
    failure: str | None = None

    def __init__(self) -> None:
        self.events: list[str] = []
        self.permits = threading.Semaphore(0)

    def speaks(self, utterance: Utterance) -> bool:
        return True

    def speak(self, utterance: Utterance, cancelled: Callable[[], bool]) -> Iterator[AudioChunk]:
        guarded = "story" in utterance.text
        for _ in range(TOKENS if guarded else 0):
            if cancelled():
                self.events.append("freed")
                return
            assert self.permits.acquire(timeout=60)
            self.events.append("token")
        self.events.append("spoken")
        yield AudioChunk(np.full(12_000, 0.1, np.float32), 24_000, last=True)


@pytest.fixture
def rung() -> TokenRung:
    return TokenRung()


@pytest.fixture
async def service(tmp_path: Path, rung: TokenRung) -> AsyncIterator[tuple[str, Health]]:
    app = create_app(Settings(data=tmp_path, cache_mb=0), lambda: (rung,))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    await eventually(lambda: app[HEALTH].ready)
    rung.events.clear()
    yield f"http://{host}:{port}", app[HEALTH]
    rung.permits.release(TOKENS)
    await runner.cleanup()


async def by_post(session: aiohttp.ClientSession, url: str) -> None:
    async with session.post(f"{url}/v1/audio/speech", json={"input": "A story."}) as answer:
        await answer.read()


async def by_websocket(session: aiohttp.ClientSession, url: str) -> None:
    async with session.ws_connect(f"{url}/v1/audio/speech/stream") as socket:
        await socket.send_json({"type": "start"})
        await socket.send_json({"type": "text", "text": "A story. "})
        await socket.send_json({"type": "end"})
        await socket.receive()


@pytest.mark.parametrize("ask", [by_post, by_websocket])
async def test_at_most_the_token_at_hand_is_drawn(
    service: tuple[str, Health],
    rung: TokenRung,
    ask: Callable[[aiohttp.ClientSession, str], asyncio.Future[None]],
) -> None:
    url, health = service
    async with aiohttp.ClientSession() as session:
        listener = asyncio.ensure_future(ask(session, url))
        rung.permits.release(3)
        await eventually(lambda: rung.events == ["token"] * 3)
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await eventually(lambda: health.queue.depth == 0)
        rung.permits.release(10)
        await eventually(lambda: "freed" in rung.events)
        assert rung.events == ["token"] * 4 + ["freed"], "one was being drawn"
        async with session.post(f"{url}/v1/audio/speech", json={"input": "Next."}) as answer:
            assert answer.status == 200
            await answer.read()
        assert rung.events[5:] == ["spoken"]
        async with session.get(f"{url}/metrics") as answer:
            assert 'outcome="cancelled"' in await answer.text()
