"""Each rung made to fail at each stage, under load, and still every request is answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from engines.audio import AudioChunk
from engines.errors import DeviceError
from service.app import HEALTH, create_app
from service.config import Settings
from service.ladder import Ladder
from service.rung_worker import Bounds
from service.utterance import Utterance
from tests.service.test_ladder import CHUNK, FakeRung, plain, speaking

NAN = AudioChunk(np.full(12000, np.nan, np.float32), 24000)
NEVER = threading.Event()  # the ladder leaves behind who waits for it
SICK = {
    "fails before a sound": (DeviceError("lost"),),
    "fails after the first": (CHUNK, DeviceError("lost")),
    "fails at the end": (CHUNK, CHUNK, CHUNK, DeviceError("lost")),
    "has no memory": (MemoryError("2 GiB"),),
    "has a bug": (CHUNK, ZeroDivisionError("1 / 0")),
    "hangs before a sound": (NEVER, CHUNK),
    "hangs after the first": (CHUNK, NEVER, CHUNK),
    "says nothing": (),
    "says no numbers": (CHUNK, NAN),
    "loses its device": (CHUNK, DeviceError("illegal address", sticky=True)),
}


class Moody(FakeRung):
    """Well until `sick`, then as its script says."""

    def __init__(self, name: str) -> None:
        super().__init__(name, CHUNK, patience=60.0, voices=("plain", ""))
        self.sick = False
        self.bounds: Bounds | None = None

    def speak(self, utterance: Utterance, cancelled: Callable[[], bool]) -> Iterator[AudioChunk]:
        if not self.sick:
            yield CHUNK
            return
        yield from super().speak(utterance, cancelled)


def test_a_rung_that_says_nothing_is_passed_over() -> None:
    assert speaking(Ladder([FakeRung("gpu"), plain()])) == ["plain"]


def test_a_rung_whose_sound_is_no_numbers_is_stepped_down_from() -> None:
    ladder = Ladder([FakeRung("gpu", NAN), plain()])
    assert speaking(ladder) == ["plain"]
    assert ladder.rung == "plain"


@pytest.mark.parametrize("worse", [False, True], ids=["one rung", "both rungs"])
@pytest.mark.parametrize("how", SICK)
async def test_every_request_is_answered(tmp_path: Path, how: str, worse: bool) -> None:
    gpu, cpu = Moody("gpu"), Moody("cpu")
    gpu.script = cpu.script = SICK[how]
    app = create_app(
        Settings(data=tmp_path, max_queue=100, max_wait=3600, cache_mb=0),
        lambda: (gpu, cpu, plain()),
    )
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}/v1/audio/speech".format(*runner.addresses[0][:2])

    async def one(session: aiohttp.ClientSession, number: int) -> str:
        for rung, falls_ill in ((gpu, number == 10), (cpu, worse and number == 20)):
            rung.sick = rung.sick or falls_ill
            rung.patience = 0.2 if rung.sick else 60.0
        body = {"input": f"Announcement {number}. And more.", "response_format": "pcm"}
        async with session.post(url, json=body) as response:
            assert response.status == 200
            assert len(await response.read()) >= 2 * 32_000
            return response.headers["X-Speech-Rung"]

    async with aiohttp.ClientSession() as session:
        rungs = await asyncio.gather(*(one(session, number) for number in range(40)))
        last = await one(session, 41)
    assert len(rungs) == 40
    assert last == ("plain" if worse else "cpu")
    down = [rung for rung in app[HEALTH].snapshot()["rungs"] if not rung["up"]]
    assert all(rung["reason"] for rung in down)
    await runner.cleanup()
