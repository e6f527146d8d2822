"""The page's models in a real Chromium: uploaded, watched, shared, promoted, deleted."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.backends import CheckpointFiles
from tests.e2e.test_page import click, fill_in, set_value, text_of, there
from tests.lab.browser import PROGRAM, Browser
from tests.lab.speech_service import SpeechService
from tests.service.model_house import enrol, golden, install, tiny_files, tiny_model  # noqa: F401
from tests.service.recordings import spoken, wav

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
]

# Whatever a progress bar shows, however short.
NOTE_PROGRESS = """
window.progress = [];
new MutationObserver((changes) => changes.forEach(
  ({ target }) => target.tagName === 'PROGRESS' && window.progress.push(target.value)
)).observe(document.getElementById('job-list'), { subtree: true, attributes: true });
"""

# The list of models as an image without PyTorch tells it, and a look at it.
WITHOUT_PYTORCH = """
window.fetch = (real => async (address, ...rest) => {
  const answer = await real(address, ...rest);
  if (!String(address).endsWith('v1/models') || rest[0]?.method === 'POST') return answer;
  return Response.json({ ...await answer.json(), converting: 'fetched first' });
})(window.fetch);
document.dispatchEvent(new Event('token'));
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "service" / "data"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def service(tmp_path: Path, data: Path) -> Iterator[SpeechService]:
    with SpeechService(tmp_path / "service", "") as service:
        yield service


@pytest.fixture
def two(data: Path, tiny_model: Path) -> None:  # noqa: F811
    """Two models and a voice are there before the service starts."""
    install(data, tiny_model, "old", "new")
    enrol(data)


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    microphone = tmp_path / "microphone.wav"
    microphone.write_bytes(wav(spoken()))
    async with Browser(tmp_path, microphone) as browser:
        yield browser
        assert browser.problems == []


async def listed(browser: Browser) -> Any:
    return await browser.run(
        "[...document.querySelectorAll('#model-list strong')].map((each) => each.textContent)"
    )


async def shows(browser: Browser, name: str, text: str) -> None:
    """Wait until a model's line says something."""
    row = (
        "[...document.querySelectorAll('#model-list li')]"
        f".find((each) => each.querySelector('strong').textContent === {name!r})"
    )
    await browser.until(f"{row}?.textContent.includes({text!r})")


async def test_a_model_is_uploaded_and_watched(
    browser: Browser,
    service: SpeechService,
    tiny_files: CheckpointFiles,  # noqa: F811
) -> None:
    await browser.open(service.url)
    await browser.until("!document.getElementById('models-none').hidden")
    assert "plain voice" in await browser.run(text_of("#models-none"))
    await browser.run(click("#add-model"))
    offers = "[...document.getElementById('install-from').options].map(({ value }) => value)"
    assert await browser.run(offers) == ["hub", "upload", "folder"]
    await browser.until("!document.querySelector('#install [data-converting]:not([hidden])')")
    await browser.run(WITHOUT_PYTORCH)
    await browser.until("!document.querySelector('[data-converting=\"fetched first\"]').hidden")
    await browser.run(set_value("#install-from", "upload"))
    await browser.run("document.getElementById('install-from').dispatchEvent(new Event('change'))")
    await browser.run(set_value("#install-name", "Our model"))
    await browser.run(click("#install-start"))
    await browser.until(text_of("#install-said"))
    assert ".ckpt" in await browser.run(text_of("#install-said"))
    await browser.run(NOTE_PROGRESS)
    await browser.choose_file("#file-t2s", tiny_files.t2s)
    await browser.choose_file("#file-sovits", tiny_files.sovits)
    await browser.choose_file("#file-hubert_config", tiny_files.hubert / "config.json")
    await browser.choose_file("#file-hubert", tiny_files.hubert / "pytorch_model.bin")
    await browser.run(click("#install-start"))
    await shows(browser, "Our model", "speaks 100 %")
    await browser.until("document.getElementById('models-none').hidden")
    await browser.until("!document.querySelector('#job-list li')")
    assert await browser.run("Math.max(...window.progress)") > 0
    assert await browser.run(text_of("#models-said")) == "Our model is installed."
    await browser.run(click("[aria-label='Delete: Our model']"))
    assert "plain voice" in await browser.run(text_of("#ask-text"))
    await browser.run(click("#ask-yes"))
    await browser.until("!document.getElementById('models-none').hidden")


async def test_a_failed_installation_says_why(
    browser: Browser, service: SpeechService, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(b"no model")
    await browser.open(service.url)
    await browser.until("!document.getElementById('models').hidden")
    await browser.run(click("#add-model"))
    await browser.run(set_value("#install-from", "upload"))
    await browser.run("document.getElementById('install-from').dispatchEvent(new Event('change'))")
    for field in ("t2s", "sovits", "hubert_config", "hubert"):
        await browser.choose_file(f"#file-{field}", broken)
    await browser.run(click("#install-start"))
    await browser.until(there("#job-list [data-bad]"))
    assert "failed: " in await browser.run(text_of("#job-list [data-bad]"))
    await browser.run(click("#job-list button"))
    await browser.until("!document.querySelector('#job-list li')")


async def test_models_share_are_promoted_and_rolled_back(
    two: None, browser: Browser, service: SpeechService, data: Path
) -> None:
    await browser.open(service.url)
    await browser.until("document.querySelectorAll('#model-list li').length === 2")
    assert await listed(browser) == ["New", "Old"]
    await browser.run(set_value("[aria-label='Share of Old']", "90"))
    await browser.run(set_value("[aria-label='Share of New']", "10"))
    await browser.run(click("#share"))
    await shows(browser, "Old", "speaks 90 %")
    await browser.run(click("[aria-label='Promote: New']"))
    await shows(browser, "New", "speaks 100 %")
    await shows(browser, "New", "in memory")
    await browser.run(click("[aria-label='Roll back: New']"))
    await shows(browser, "New", "speaks 10 %")
    await browser.run(click("[aria-label='Delete: New']"))
    await browser.run(click("#ask-yes"))
    await browser.until(text_of("#models-said") + ".includes('10% of the traffic')")
    assert ["409" in problem for problem in browser.problems] == [True]
    browser.problems.clear()
    await browser.until(there("[aria-label='Model: Mum']"))
    await browser.run(click("[aria-label='Model: Mum']"))
    await browser.run(set_value("#ask-input", "new"))
    await browser.run(click("#ask-yes"))
    await browser.until(text_of("#voice-list") + ".includes('model New')")
    await browser.run("document.getElementById('add-model').focus()")
    await browser.key("Enter")
    reached = set()
    for _ in range(8):
        reached.add(await browser.run("document.activeElement.id"))
        await browser.key("Tab")
    assert {"install-from", "install-version", "install-name", "install-start"} <= reached


async def test_a_new_voice_is_given_its_model(
    two: None, browser: Browser, service: SpeechService, tmp_path: Path
) -> None:
    await browser.open(service.url)
    await browser.until("document.querySelectorAll('#model-list li').length === 2")
    await browser.run(click("#add-voice"))
    offered = "[...document.getElementById('enrol-model').options].map((each) => each.value)"
    assert await browser.run(offered) == ["", "new", "old"]
    await browser.run(set_value("#enrol-model", "new"))
    await fill_in(browser, tmp_path, "Dad")
    await browser.until(text_of("#voice-list") + ".includes('model New')")
    await browser.run(click("[aria-label='Record again: Mum']"))
    assert await browser.run("document.getElementById('model-row').hidden")


async def test_the_models_fit_the_screen(
    two: None, browser: Browser, service: SpeechService
) -> None:
    await browser.open(service.url)
    await browser.until("document.querySelectorAll('#model-list li').length === 2")
    await browser.run(click("#add-model"))
    for width in (320, 390, 1100):
        await browser.size(width, 900)
        await browser.dark(width == 390)
        assert await browser.run("document.documentElement.scrollWidth") <= width
