from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from engines.audio import AudioChunk
from service import steady
from service.app import HEALTH, SELF_TEST, create_app
from service.config import Settings
from service.health import Health
from service.rung_worker import Bounds
from service.utterance import Utterance

RATE = 24_000
CHUNKS_PER_SENTENCE = 4
CHUNK_SECONDS = 0.1


@dataclass
class FakeSynthesizer:
    """A rung that counts what it makes, waits when told to and fails on demand.

    `gate` is open from the start; while a test keeps it closed, nothing is made past `free_chunks`.
    A sentence "FAIL" fails at once, "BREAK" after its first chunk.
    """

    name: str = "fake"
    languages: tuple[str, ...] = ("en", "de")
    said: list[Utterance] = field(default_factory=list)
    chunks_made: int = 0
    free_chunks: int = 0
    fails: bool = False
    closed: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    patience: float | None = None
    bounds: Bounds | None = None
    ready: bool = True
    failure: str | None = None

    def speaks(self, utterance: Utterance) -> bool:
        return True

    def speak(self, utterance: Utterance, cancelled: Callable[[], bool]) -> Iterator[AudioChunk]:
        self.said.append(utterance)
        if self.fails or "FAIL" in utterance.text:
            raise RuntimeError("the fake was told to fail")
        try:
            for number in range(CHUNKS_PER_SENTENCE):
                if self.chunks_made >= self.free_chunks:
                    self.waiting.set()
                    assert self.gate.wait(60)
                if number and "BREAK" in utterance.text:
                    raise RuntimeError("the fake was told to break")
                self.chunks_made += 1
                tone = np.full(round(RATE * CHUNK_SECONDS), 0.1, np.float32)
                yield AudioChunk(tone, RATE, last=number == CHUNKS_PER_SENTENCE - 1)
        finally:
            self.closed += 1


@dataclass
class RunningService:
    """A service behind a real socket."""

    url: str
    synthesizer: FakeSynthesizer
    session: aiohttp.ClientSession
    health: Health
    runner: web.AppRunner

    async def stop(self) -> None:
        await self.runner.cleanup()

    def queue_depth(self) -> int:
        return self.health.queue.depth

    def post(self, **fields: object) -> aiohttp.client._RequestContextManager:
        return self.session.post(f"{self.url}/v1/audio/speech", json=fields)


StartService = Callable[..., Awaitable[RunningService]]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not add silence to what a test measures."""
    monkeypatch.setattr(steady, "PATIENCE", 600.0)


@pytest.fixture
def synthesizer() -> FakeSynthesizer:
    return FakeSynthesizer()


@pytest.fixture
async def start_service(
    tmp_path: Path, synthesizer: FakeSynthesizer
) -> AsyncIterator[StartService]:
    """Start the service with the fake, and with other settings where a test names them."""
    runners: list[web.AppRunner] = []
    async with aiohttp.ClientSession() as session:

        async def start(**settings: object) -> RunningService:
            before = len(synthesizer.said)
            wanted = Settings(**{"data": tmp_path, **settings})
            app = create_app(wanted, lambda: (synthesizer,))
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=5)
            runners.append(runner)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            url = f"http://{host}:{port}"
            running = RunningService(url, synthesizer, session, app[HEALTH], runner)
            await settled(running)
            # What waited for the service may be said before the self-test is.
            new = synthesizer.said[before:]
            synthesizer.said[:] = [each for each in new if each.text != SELF_TEST]
            synthesizer.chunks_made = 0
            synthesizer.closed = 0
            synthesizer.waiting.clear()
            return running

        yield start
        synthesizer.gate.set()
        for runner in runners:
            await runner.cleanup()


async def settled(service: RunningService) -> None:
    """Wait until the self-test is through."""
    await eventually(lambda: service.health.ready or service.health.failure is not None)


async def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Poll until a condition that another thread makes true is true."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
