"""What the page says of the broker, in a real Chromium."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from service.app import HEALTH, create_app
from service.config import Settings
from tests.e2e.test_page import text_of
from tests.lab.browser import PROGRAM, Browser
from tests.service.conftest import FakeSynthesizer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
]
BROKER: dict[str, Any] = {"connected": True, "reason": None}


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    app = create_app(Settings(data=tmp_path / "data"), lambda: (FakeSynthesizer(),))
    app[HEALTH].mqtt = lambda: BROKER
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}/".format(*runner.addresses[0][:2])
    await runner.cleanup()


async def test_what_is_wrong_with_the_broker_is_said(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = "document.getElementById('health').dataset.state"
    async with Browser(tmp_path, tmp_path / "no-microphone.wav") as browser:
        await browser.open(url)
        await browser.until(text_of("#health") + ".startsWith('Ready')")
        assert "MQTT" not in await browser.run(text_of("#health"))
        assert await browser.run(state) == "good"
        monkeypatch.setitem(BROKER, "reason", "another service uses the client id twin there")
        await browser.until(
            text_of("#health") + ".endsWith('MQTT: another service uses the client id twin there')"
        )
        assert await browser.run(state) == "bad"
