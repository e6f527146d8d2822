"""A second box, a real process with a real model: killed, hung and revived, the first speaks on."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from engines.audio import load_recording
from service import ladder, watching
from service.app import HEALTH, create_app
from service.config import Settings
from service.health import Health
from service.remote import RemoteRung
from service.voice import Voice
from service.voices import VoiceStore
from tests.engines.conftest import (  # noqa: F401 - fixtures
    golden,
    tiny_files,
    tiny_model,
)
from tests.lab.ground import REPOSITORY
from tests.lab.process import Process
from tests.service.conftest import eventually
from tests.service.test_model_rung import FACTS, REFERENCE

STORY = " ".join(f"This is sentence number {number} of the story." for number in range(8))


@pytest.fixture
def mum(tmp_path: Path) -> Voice:
    """The same voice in both boxes."""
    store = VoiceStore(tmp_path / "here" / "voices", ("en",), "1", "plain", lambda voice: None)
    voice = store.enrol(FACTS, load_recording(REFERENCE))
    shutil.copytree(tmp_path / "here" / "voices", tmp_path / "there" / "voices")
    return voice


@pytest.fixture
async def here(
    tmp_path: Path, mum: Voice, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, Health]]:
    """The box under test, with its address and its health."""
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.2)
    monkeypatch.setattr(ladder, "FIRST_RETRY", 0.5)
    monkeypatch.setattr(ladder, "LAST_RETRY", 1.0)
    monkeypatch.setattr(RemoteRung, "bounds", None)  # how busy the tests' machine is says nothing
    there = f"http://127.0.0.1:{unused_tcp_port}"
    app = create_app(Settings(data=tmp_path / "here", remote_url=there, remote_token="secret"))
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}".format(*runner.addresses[0][:2]), app[HEALTH]
    await runner.cleanup()


@pytest.fixture
def start_there(
    tmp_path: Path,
    tiny_model: Path,  # noqa: F811
    unused_tcp_port: int,
) -> Callable[[], Process]:
    def start() -> Process:
        flags = ["--port", str(unused_tcp_port), "--data", str(tmp_path / "there")]
        flags += ["--model", str(tiny_model), "--token", "secret"]
        command = [sys.executable, "-m", "service", *flags]
        return Process("the other box", *command, log=tmp_path / "there.log", cwd=REPOSITORY)

    return start


async def say(session: aiohttp.ClientSession, url: str, text: str) -> tuple[str, int]:
    body = {"input": text, "voice": "mum", "response_format": "pcm"}
    async with session.post(f"{url}/v1/audio/speech", json=body) as response:
        assert response.status == 200
        return response.headers["X-Speech-Rung"], len(await response.read())


@pytest.mark.slow
async def test_whatever_happens_to_the_other_box_the_house_is_answered(
    here: tuple[str, Health], start_there: Callable[[], Process]
) -> None:
    url, health = here
    async with aiohttp.ClientSession() as session:
        assert (await say(session, url, "Nobody there yet."))[0] == "plain"
        with start_there() as box:
            await eventually(lambda: health.rung == "remote", 300)
            assert (await say(session, url, "Somebody there."))[0] == "remote"

            body = {"input": STORY, "voice": "mum", "response_format": "pcm"}
            async with session.post(f"{url}/v1/audio/speech", json=body) as response:
                assert response.headers["X-Speech-Rung"] == "remote"
                await response.content.readexactly(1000)
                box.signal(signal.SIGKILL)
                rest = await response.content.read()  # ends properly, or this raises
            assert len(rest) > 8 * 32_000
            await eventually(lambda: health.rung == "plain")
            assert (await say(session, url, "Killed."))[0] == "plain"
            assert health.snapshot()["status"] == "degraded"
            assert health.snapshot()["reason"].startswith("remote_lost: http://127.0.0.1")
        with start_there() as box:
            await eventually(lambda: health.rung == "remote", 300)
            assert (await say(session, url, "Revived."))[0] == "remote"
            box.signal(signal.SIGSTOP)
            assert (await say(session, url, "Hung."))[0] == "plain"
            assert health.snapshot()["status"] == "degraded"
            box.signal(signal.SIGCONT)
            await eventually(lambda: health.rung == "remote", 300)
            assert (await say(session, url, "Going on."))[0] == "remote"
            await asyncio.to_thread(box.stop)
