"""The page's live part in a real Chromium, behind a prefix as Home Assistant's ingress has one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from service.app import HEALTH, create_app
from service.config import Settings
from tests.e2e.test_page import click, text_of
from tests.lab.browser import PROGRAM, Browser
from tests.lab.ingress import PREFIX, Ingress
from tests.service.conftest import FakeSynthesizer, eventually
from tests.service.recordings import spoken, wav

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
]
CONTROLS = {"button", "checkbox", "combobox", "meter", "slider", "spinbutton", "textbox"}
NOTE_FOCUS = """
document.addEventListener('focusin', ({ target }) => { target.dataset.reached = 'yes'; });
window.controls = [...document.querySelectorAll('button, input, select, textarea')]
  .filter((each) => each.checkVisibility() && !each.disabled);
window.missed = () => window.controls.filter((each) => !each.dataset.reached)
  .map((each) => each.outerHTML);
"""
LABELS = "[...document.querySelectorAll('#plot .sign title')].map((each) => each.textContent)"


@dataclass
class House:
    """A service with two rungs, and the address at which its page is reached."""

    url: str
    best: FakeSynthesizer
    plain: FakeSynthesizer
    session: aiohttp.ClientSession
    ingress: Ingress

    async def say(self, text: str = "Dinner is ready.", **fields: object) -> int:
        body = {"input": text, "response_format": "pcm", **fields}
        async with self.session.post(
            f"{self.ingress.service}/v1/audio/speech", json=body
        ) as response:
            await response.read()
            return response.status


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    best, plain = FakeSynthesizer(name="tensorrt"), FakeSynthesizer(name="plain")
    app = create_app(Settings(data=tmp_path / "data"), lambda: (best, plain))
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        ingress = Ingress(session)
        runners = [
            web.AppRunner(each, handler_cancellation=True) for each in (app, ingress.application())
        ]
        house = House("", best, plain, session, ingress)
        addresses = []
        for runner in runners:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            addresses.append("http://{}:{}".format(*runner.addresses[0][:2]))
        ingress.service, house.url = addresses[0], addresses[1] + PREFIX + "/"
        await eventually(lambda: app[HEALTH].ready)
        yield house
        best.gate.set()
        for runner in reversed(runners):
            await runner.cleanup()


@pytest.fixture
async def browser(tmp_path: Path, house: House) -> AsyncIterator[Browser]:
    microphone = tmp_path / "microphone.wav"
    microphone.write_bytes(wav(spoken()))
    async with Browser(tmp_path, microphone) as browser:
        await browser.open(house.url)
        await browser.until("document.getElementById('house').dataset.live === 'true'")
        yield browser
        assert browser.problems == []


async def test_what_is_spoken_is_seen_while_and_after_it_is_spoken(
    browser: Browser, house: House
) -> None:
    assert await browser.run("document.getElementById('recent').hidden")
    assert "Nobody waits" in await browser.run(text_of("#queue-now"))
    house.best.gate.clear()
    asked = asyncio.create_task(house.say("The secret of the cellar."))
    await browser.until(text_of("#queue-now") + ".includes('is speaking (HTTP), nobody waits')")
    assert await browser.run("document.getElementById('queue-bar').value") == 1
    house.best.gate.set()
    assert await asked == 200
    await browser.until("document.querySelectorAll('#recent tbody tr').length === 1")
    await browser.until(text_of("#queue-now") + ".startsWith('Nobody waits')")
    row = await browser.run(text_of("#recent tbody tr"))
    assert "cloned voice (graphics card) · HTTP" in row
    assert row.endswith("0.4 s")
    assert "cellar" not in await browser.run("document.body.textContent")
    label = await browser.run("document.getElementById('plot').getAttribute('aria-label')")
    assert label.startswith("The only answer was heard after ")
    assert await browser.run(LABELS + ".length") == 1


async def test_a_rung_that_goes_down_and_a_failure_are_told_in_words(
    browser: Browser, house: House
) -> None:
    steps = "[...document.querySelectorAll('#ladder .state')].map((each) => each.textContent)"
    assert await browser.run(steps) == ["speaks now", "stands by"]
    house.best.fails = True
    assert await house.say() == 200
    await browser.until(steps + "[0] === 'down for less than a minute'")
    assert await browser.run(steps + "[1]") == "speaks now"
    assert "RuntimeError, see the log" in await browser.run(text_of("#ladder .why"))
    assert await browser.run(text_of("#house-said")) == "From now on: plain voice."
    assert await house.say("FAIL") == 500
    await browser.until("document.querySelectorAll('#recent tbody tr').length === 2")
    row = await browser.run(text_of("#recent tbody tr"))
    assert "Not spoken: synthesis failed" in row
    assert "request " in row
    assert (await browser.run(LABELS))[-1] == "not spoken"
    assert (await browser.run(text_of("#plot-said"))).endswith("1 was not spoken.")


async def test_all_announcements_are_a_key_away_and_fit_a_phone(
    browser: Browser, house: House
) -> None:
    for number in range(7):
        assert await house.say(f"Announcement {number} of the day.") == 200
    rows = "document.querySelectorAll('#recent tbody tr').length"
    await browser.until(text_of("#recent-more") + " === 'Show all 7'")
    assert await browser.run(rows) == 5
    await browser.run("document.getElementById('recent-more').focus()")
    await browser.key("Enter")
    await browser.until(f"{rows} === 7")
    assert await browser.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    await browser.run(click("#recent-more"))
    await browser.until(f"{rows} === 5")
    for width in (320, 390, 1100):
        await browser.size(width, 900)
        assert await browser.run("document.documentElement.scrollWidth") <= width
    assert {"v1/live", "v1/recent", "web/live.js"} <= set(house.ingress.paths)


async def test_every_control_has_a_name_and_is_reached_by_tab(
    browser: Browser, house: House
) -> None:
    for _ in range(6):
        assert await house.say(fallback="plain") == 200
    await browser.until("!document.getElementById('recent-more').hidden")
    await browser.until("!document.getElementById('models').hidden")
    await browser.run(click("#add-voice"))
    await browser.run(click("#add-model"))
    tree = (await browser.send("Accessibility.getFullAXTree"))["nodes"]
    found = [node for node in tree if node.get("role", {}).get("value") in CONTROLS]
    assert len(found) > 20
    assert [node for node in found if not node["name"]["value"].strip()] == []
    await browser.run(NOTE_FOCUS)
    await browser.run("document.activeElement.blur()")
    for _ in range(60):
        await browser.key("Tab")
    assert await browser.run("window.missed()") == []


async def test_it_says_that_the_service_is_gone(browser: Browser, house: House) -> None:
    house.ingress.service = "http://127.0.0.1:9"
    await browser.until("document.getElementById('house').dataset.live === 'false'")
    assert "does not answer" in await browser.run(text_of("#house-said"))
    browser.problems.clear()
