"""The page in a real Chromium: a voice is recorded, kept, heard, renamed and deleted."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.browser import PROGRAM, Browser
from tests.lab.speech_service import SpeechService
from tests.service.recordings import SAID, silence, spoken, wav
from tests.service.speech_to_text import SpeechToText, listening

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
]
SENTENCE = (
    "The quick brown fox jumped over the fence, "
    "while the children were having breakfast in the garden."
)


@pytest.fixture
async def ears() -> AsyncIterator[SpeechToText]:
    async with listening() as ears:
        ears.text = ""
        yield ears


@pytest.fixture
def service(tmp_path: Path, ears: SpeechToText) -> Iterator[SpeechService]:
    with SpeechService(tmp_path / "service", "", stt_url=ears.url) as service:
        yield service


@pytest.fixture
async def browser(tmp_path: Path, service: SpeechService) -> AsyncIterator[Browser]:
    microphone = tmp_path / "microphone.wav"
    microphone.write_bytes(wav(spoken(SENTENCE)))
    async with Browser(tmp_path, microphone) as browser:
        await browser.open(service.url)
        await browser.until("document.querySelectorAll('#voice-list li').length")
        yield browser
        assert browser.problems == []


def set_value(selector: str, value: str) -> str:
    return f"document.querySelector({selector!r}).value = {value!r}"


def click(selector: str) -> str:
    return f"document.querySelector({selector!r}).click()"


def text_of(selector: str) -> str:
    return f"document.querySelector({selector!r}).textContent"


def there(selector: str) -> str:
    return f"document.querySelector({selector!r}) !== null"


async def listed(browser: Browser) -> Any:
    return await browser.run(
        "[...document.querySelectorAll('#voice-list strong')].map((each) => each.textContent)"
    )


async def add_from_file(browser: Browser, folder: Path, name: str) -> None:
    await browser.run(click("#add-voice"))
    await fill_in(browser, folder, name)


async def fill_in(browser: Browser, folder: Path, name: str) -> None:
    path = folder / f"{name}.wav"
    path.write_bytes(wav(spoken()))
    await browser.choose_file("#file", path)
    await browser.until(there("#verdict p[data-good=true]"))
    await browser.run(set_value("#transcript", SAID))
    await browser.run(set_value("#name", name))
    await browser.run(set_value("#consent-name", name))
    await browser.run(click("#consent"))
    await browser.run(click("#keep"))
    await browser.until("document.getElementById('enrol').hidden")


async def test_a_voice_is_recorded_and_kept(browser: Browser) -> None:
    await browser.run(click("#add-voice"))
    assert await browser.run(text_of("#sentence")) == SENTENCE
    await browser.run(click("#record"))
    await browser.until("parseFloat(document.getElementById('record-time').textContent) > 6.5")
    assert await browser.run("document.getElementById('level').value > -59")
    await browser.run(click("#record"))
    verdict = await browser.until(text_of("#verdict"))
    assert verdict.startswith("This recording can be used: ")
    assert "#t=" in await browser.run("document.getElementById('recorded').src")
    await browser.run(set_value("#name", "Grandma"))
    await browser.run(click("#keep"))
    assert await browser.run(text_of("#enrol-said")) == "Say whose voice it is."
    await browser.run(set_value("#consent-name", "Greta Example"))
    await browser.run(click("#keep"))
    assert "consent" in await browser.run(text_of("#enrol-said"))
    await browser.run(click("#consent"))
    await browser.run(click("#keep"))
    await browser.until("document.getElementById('enrol').hidden")
    assert await listed(browser) == ["Plain voice", "Grandma"]
    choices = "[...document.getElementById('voice').options].map((each) => each.value)"
    assert await browser.run(choices) == ["plain", "grandma"]


async def test_what_speech_recognition_hears_is_marked_as_a_suggestion(
    browser: Browser, ears: SpeechToText, tmp_path: Path
) -> None:
    ears.text = "The washing machine is gone."
    path = tmp_path / "file.wav"
    path.write_bytes(wav(spoken()))
    await browser.run(click("#add-voice"))
    assert await browser.run("document.getElementById('suggested').hidden")
    await browser.choose_file("#file", path)
    await browser.until("!document.getElementById('suggested').hidden")
    assert await browser.run("document.getElementById('transcript').value") == ears.text
    await browser.run("document.getElementById('transcript').focus()")
    await browser.key(" ")
    assert await browser.run("document.getElementById('suggested').hidden")


async def test_a_bad_recording_is_explained(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    path.write_bytes(wav(silence(5)))
    await browser.run(click("#add-voice"))
    await browser.choose_file("#file", path)
    await browser.until(there("#verdict p[data-good=false]"))
    assert "microphone" in await browser.run(text_of("#verdict li"))


async def test_a_voice_is_heard_renamed_and_deleted(browser: Browser, tmp_path: Path) -> None:
    await add_from_file(browser, tmp_path, "Dad")
    await browser.run(click("[aria-label='Listen: Dad']"))
    await browser.until("document.getElementById('reference-player').duration > 3")
    await browser.run(click("[aria-label='Rename: Dad']"))
    await browser.run(set_value("#ask-input", "Father"))
    await browser.run(click("#ask-yes"))
    await browser.until(there("[aria-label='Delete: Father']"))
    await browser.run(click("[aria-label='Delete: Father']"))
    await browser.key("Escape")
    await browser.until("!document.getElementById('ask').open")
    assert await listed(browser) == ["Plain voice", "Father"]
    await browser.run(click("[aria-label='Delete: Father']"))
    await browser.run(click("#ask-yes"))
    await browser.until("document.querySelectorAll('#voice-list li').length === 1")
    assert await browser.run(text_of("#voices-said")) == "Father is deleted."


async def test_a_voice_gets_a_style_and_loses_it(browser: Browser, tmp_path: Path) -> None:
    await add_from_file(browser, tmp_path, "Mum")
    await browser.run(click("[aria-label='Add a style: Mum']"))
    assert "style of Mum" in await browser.run(text_of("#enrol-title"))
    await fill_in(browser, tmp_path, "Happy")
    await browser.until(there("[aria-label='Listen: Mum, happy']"))
    await browser.run("document.getElementById('reference-player').removeAttribute('src')")
    await browser.run(click("[aria-label='Listen: Mum, happy']"))
    await browser.until("document.getElementById('reference-player').duration > 3")
    await browser.run(click("[aria-label='Delete: Mum, happy']"))
    await browser.run(click("#ask-yes"))
    await browser.until(f"!({there('#voice-list .style')})")
    assert await browser.run(text_of("#voices-said")) == "Mum, happy is deleted."
    assert await listed(browser) == ["Plain voice", "Mum"]


async def test_the_keyboard_reaches_everything(browser: Browser) -> None:
    reached = set()
    await browser.run("document.getElementById('add-voice').focus()")
    await browser.key("Enter")
    await browser.until("!document.getElementById('enrol').hidden")
    for _ in range(12):
        reached.add(await browser.run("document.activeElement.id"))
        await browser.key("Tab")
    assert {"enrol-language", "record", "file", "transcript", "name", "consent", "keep"} <= reached


@pytest.mark.parametrize("width", [320, 390, 1100])
async def test_the_page_fits_the_screen(browser: Browser, tmp_path: Path, width: int) -> None:
    await add_from_file(browser, tmp_path, "A grandmother with a name that is long")
    await browser.run(click("#add-voice"))
    await browser.size(width, 900)
    assert await browser.run("document.documentElement.scrollWidth") <= width
