"""A fresh service in a real Chromium: one press, and a cloned voice speaks."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.box import Box
from tests.e2e.test_page import click, text_of
from tests.lab.browser import PROGRAM, Browser
from tests.lab.speech_service import SpeechService
from tests.service.recordings import spoken, wav

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
    pytest.mark.skipif(not Box().is_there, reason="needs service/demo"),
]

LAST_ANSWER = """
fetch('v1/recent').then((answer) => answer.json()).then(({ answers }) => {
  const { voice, rung, model, outcome } = answers.find(({ door }) => door === 'http');
  return { voice, rung, model, outcome };
})
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SpeechService]:
    with SpeechService(tmp_path / "service", "") as service:
        yield service


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    microphone = tmp_path / "microphone.wav"
    microphone.write_bytes(wav(spoken()))
    async with Browser(tmp_path, microphone) as browser:
        yield browser
        assert browser.problems == []


async def test_one_press_installs_enrols_and_speaks(
    browser: Browser, service: SpeechService
) -> None:
    await browser.open(service.url)
    await browser.until("!document.getElementById('box').hidden")
    assert await browser.run("document.getElementById('voice').value") == "plain"
    await browser.run(click("#install-box"))
    await browser.until("!document.getElementById('player').hidden")
    await browser.until("document.getElementById('player').duration > 1")
    assert (await browser.run(text_of("#result"))).startswith(
        "Cloned voice (processor) · first sound after "
    )
    assert await browser.run("document.getElementById('voice').value") == "demo"
    await browser.until("document.getElementById('stop').hidden")
    assert await browser.run(LAST_ANSWER) == {
        "voice": "demo",
        "rung": "onnxruntime",
        "model": "demo",
        "outcome": "done",
    }
    await browser.until("document.getElementById('box').hidden")
    assert await browser.run(text_of("#model-list strong")) == "Demo"
    assert "speaks 100 %" in await browser.run(text_of("#model-list li"))


async def test_what_cannot_be_installed_says_why(browser: Browser, service: SpeechService) -> None:
    await browser.open(service.url)
    await browser.until("!document.getElementById('box').hidden")
    refuse = """
    window.fetch = (real => async (address, ...rest) => rest[0]?.method === 'POST'
      ? Response.json({ error: { message: 'the disk is full' } }, { status: 507 })
      : real(address, ...rest))(window.fetch)
    """
    await browser.run(f"void ({refuse})")
    await browser.run(click("#install-box"))
    await browser.until(text_of("#result") + " === 'Not installed: the disk is full'")
    assert not await browser.run("document.getElementById('install-box').disabled")
