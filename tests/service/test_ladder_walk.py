"""All the way down the ladder and up again: every step is in the log, in /metrics, in /health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engines.errors import DeviceError
from service import watching
from service.app import HEALTH, create_app
from service.config import Settings
from service.health import Health
from tests.service.conftest import eventually
from tests.service.test_ladder import CHUNK, FakeRung, clock  # noqa: F401 - a fixture

ILL = (DeviceError("made to fail"),)
WELL = (CHUNK,)


@dataclass
class Walk:
    """A service with three rungs that are ill or well as they are told."""

    rungs: dict[str, FakeRung]
    url: str
    health: Health
    session: aiohttp.ClientSession
    now: list[float]
    log: pytest.LogCaptureFixture
    spoken: list[str] = field(default_factory=list)

    async def ask(self) -> tuple[int, str]:
        """Have something said; status, and the rung or the error's code."""
        self.spoken.append(f"Number {len(self.spoken)}.")
        body = {"input": self.spoken[-1], "response_format": "pcm"}
        async with self.session.post(f"{self.url}/v1/audio/speech", json=body) as answer:
            if answer.status == 200:
                await answer.read()
                return 200, answer.headers["X-Speech-Rung"]
            return answer.status, (await answer.json())["error"]["code"]

    async def heal(self, rung: str) -> None:
        """Make a rung well and let the ladder notice."""
        self.rungs[rung].script = WELL
        self.now[0] += 400.0
        for _ in range(2):
            await asyncio.to_thread(self.health.ladder.probe)

    async def told(self) -> tuple[str, dict[str, bool]]:
        """What /health says: who speaks, and which rungs are up; who is down says why."""
        async with self.session.get(f"{self.url}/health") as answer:
            health: dict[str, Any] = await answer.json()
        rungs = health["rungs"]
        assert [rung["reason"] for rung in rungs if not rung["up"]] == [
            "device_failed: made to fail" for rung in rungs if not rung["up"]
        ]
        return health["rung"], {rung["name"]: rung["up"] for rung in rungs}

    async def counted(self) -> set[str]:
        """The lines of /metrics that tell of the ladder."""
        async with self.session.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        wanted = ("speech_ladder_steps_total", "speech_rung_turns_total")
        return {line for line in lines if line.startswith(wanted)}

    def logged(self) -> list[str]:
        """What the log has said of the ladder since the last look."""
        lines = [each.getMessage() for each in self.log.records]
        self.log.clear()
        return [line for line in lines if line.startswith("ladder:")]


@pytest.fixture
async def walk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: list[float],  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> AsyncIterator[Walk]:
    monkeypatch.setattr(watching, "PROBE_EVERY", 3600.0)  # the test says when
    rungs = [FakeRung(name, CHUNK, voices=("plain", "")) for name in ("gpu", "cpu", "plain")]
    app = create_app(Settings(data=tmp_path, cache_mb=0), lambda: rungs)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await eventually(lambda: app[HEALTH].ready)
    url = "http://{}:{}".format(*runner.addresses[0][:2])
    async with aiohttp.ClientSession() as session:
        by_name = {rung.name: rung for rung in rungs}
        yield Walk(by_name, url, app[HEALTH], session, clock, caplog)
    await runner.cleanup()


def step(before: str, after: str, code: str) -> str:
    labels = f'{{after="{after}",before="{before}",code="{code}"}}'
    return f"speech_ladder_steps_total{labels} 1.0"


def turn(rung: str, state: str, code: str) -> str:
    labels = f'{{code="{code}",rung="{rung}",state="{state}"}}'
    return f"speech_rung_turns_total{labels} 1.0"


async def test_every_step_is_logged_counted_and_visible(walk: Walk) -> None:
    assert await walk.ask() == (200, "gpu")
    assert await walk.told() == ("gpu", {"gpu": True, "cpu": True, "plain": True})
    seen: set[str] = set()
    assert (await walk.counted(), walk.logged()) == (seen, [])

    walk.rungs["gpu"].script = ILL
    assert await walk.ask() == (200, "cpu")
    assert await walk.told() == ("cpu", {"gpu": False, "cpu": True, "plain": True})
    seen |= {step("gpu", "cpu", "device_failed"), turn("gpu", "down", "device_failed")}
    assert await walk.counted() == seen
    assert walk.logged() == ["ladder: from gpu to cpu (device_failed)"]

    walk.rungs["cpu"].script = ILL
    assert await walk.ask() == (200, "plain")
    assert await walk.told() == ("plain", {"gpu": False, "cpu": False, "plain": True})
    seen |= {step("cpu", "plain", "device_failed"), turn("cpu", "down", "device_failed")}
    assert await walk.counted() == seen
    assert walk.logged() == ["ladder: from cpu to plain (device_failed)"]

    walk.rungs["plain"].script = ILL
    assert await walk.ask() == (500, "device_failed")
    assert await walk.told() == ("plain", {"gpu": False, "cpu": False, "plain": False})
    seen |= {turn("plain", "down", "device_failed")}
    assert await walk.counted() == seen
    assert walk.logged() == ["ladder: plain is down (device_failed)"]
    assert await walk.ask() == (500, "device_failed")
    assert (await walk.counted(), walk.logged()) == (seen, []), "it was down already"

    await walk.heal("plain")
    assert await walk.ask() == (200, "plain")
    assert await walk.told() == ("plain", {"gpu": False, "cpu": False, "plain": True})
    seen |= {turn("plain", "up", "recovered")}
    assert await walk.counted() == seen
    assert walk.logged() == ["ladder: plain is up (recovered)"]

    await walk.heal("gpu")
    assert await walk.ask() == (200, "gpu")
    assert await walk.told() == ("gpu", {"gpu": True, "cpu": False, "plain": True})
    seen |= {step("plain", "gpu", "recovered"), turn("gpu", "up", "recovered")}
    assert await walk.counted() == seen
    assert walk.logged() == ["ladder: from plain to gpu (recovered)"]

    await walk.heal("cpu")
    assert await walk.ask() == (200, "gpu")
    assert await walk.told() == ("gpu", {"gpu": True, "cpu": True, "plain": True})
    seen |= {turn("cpu", "up", "recovered")}
    assert await walk.counted() == seen
    assert walk.logged() == ["ladder: cpu is up (recovered), gpu speaks on"]
