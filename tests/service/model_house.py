"""A house with models: converted folders of random weights, a voice, and the running service."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engines.audio import load_recording
from service import converter
from service.app import HEALTH, create_app
from service.config import Settings
from service.health import Health
from service.installed_model import ABOUT, about_file
from service.model_fleet import ModelFleet
from service.voice import Consent, Voice, VoiceFacts
from service.voices import VoiceStore
from tests.engines.conftest import golden, tiny_files, tiny_model  # noqa: F401 - fixtures
from tests.service.conftest import eventually

REFERENCE = Path(__file__).parents[1] / "golden" / "ref.wav"
FACTS = VoiceFacts(
    "Mum", "en", "The kettle is on.", "2026-01-01T00:00:00Z", Consent("Mum", "2026-01-01", "Yes.")
)


@dataclass
class House:
    """A running service and what to ask it with."""

    url: str
    data: Path
    health: Health
    session: aiohttp.ClientSession

    @property
    def fleet(self) -> ModelFleet:
        return self.health.models

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        async with self.session.request(method, self.url + path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def say(self, text: str, **fields: object) -> tuple[int, str, str]:
        """Status, rung and model of an answer, heard to its end."""
        body = {"input": text, "response_format": "pcm", "voice": "mum", **fields}
        async with self.session.post(f"{self.url}/v1/audio/speech", json=body) as response:
            await response.read()
            told = response.headers
            return response.status, told.get("X-Speech-Rung", ""), told.get("X-Speech-Model", "")

    async def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        """An installation's last word."""
        async with asyncio.timeout(300):
            while job["state"] not in ("done", "failed", "cancelled"):
                await asyncio.sleep(0.1)
                _, job = await self.ask("GET", f"/v1/models/jobs/{job['id']}")
        return job

    async def listed(self) -> dict[str, dict[str, Any]]:
        """The installed models by id."""
        _, answer = await self.ask("GET", "/v1/models")
        return {model["id"]: model for model in answer["data"]}


StartHouse = Callable[..., Awaitable[House]]


def install(data: Path, model: Path, *ids: str) -> None:
    """Put copies of a converted model where the service finds them."""
    for model_id in ids:
        folder = data / "models" / model_id
        shutil.copytree(model, folder)
        about = about_file(model_id.title(), "2026-01-01T00:00:00+00:00", "folder")
        (folder / ABOUT).write_bytes(about)


def enrol(data: Path, name: str = "Mum") -> Voice:
    """A voice of the recorded reference."""
    store = VoiceStore(data / "voices", ("en",), "1", "plain", lambda voice: None)
    return store.enrol(replace(FACTS, name=name), load_recording(REFERENCE))


def bare(monkeypatch: pytest.MonkeyPatch, data: Path | None) -> None:
    """Let there be no PyTorch: in an image that looks for it in this data folder, or elsewhere."""
    monkeypatch.setattr(converter, "is_there", lambda: False)
    monkeypatch.setattr(converter, "HOOK", Path(os.devnull))
    if data is not None:
        hook = data.with_suffix(".pth")
        hook.write_text(f"{data / 'converter'}\n")
        monkeypatch.setattr(converter, "HOOK", hook)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[StartHouse]:
    """Start the service on `tmp_path`, with settings where a test names them."""
    runners: list[web.AppRunner] = []
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def start(**settings: object) -> House:
            app = create_app(Settings(data=tmp_path, **settings))
            runner = web.AppRunner(app, handler_cancellation=True)
            runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            health = app[HEALTH]
            await eventually(lambda: health.ready)
            states = health.models
            serving = states.store.traffic.weights
            await eventually(lambda: all(states.state(each)[0] != "loading" for each in serving))
            return House(f"http://{host}:{port}", tmp_path, health, session)

        yield start
        for runner in runners:
            await runner.cleanup()
