"""Makes the pictures of docs/home-assistant.md again, in the real pages of a real Home Assistant.

`python -m tests.lab.pictures` starts a house, clicks through it in Chromium as a reader would, and
writes docs/home-assistant-*.png.
"""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.lab.browser import Browser
from tests.lab.full_house import READY, FullHouse
from tests.lab.ground import REPOSITORY, run, say
from tests.lab.home_assistant import INTEGRATION
from tests.lab.rooms import furnish

DOCS = REPOSITORY / "docs"
WIDTH, HEIGHT = 1100, 760
LARGEST = 150_000  # bytes of a picture
# Home Assistant's pages are web components within web components.
_EYES = """
window.all = (root = document) => [...root.querySelectorAll('*')].flatMap(
    (each) => [each, ...(each.shadowRoot ? all(each.shadowRoot) : [])]);
window.seen = (each) => each.getClientRects().length > 0;
window.own = (each) => [...each.childNodes].filter((node) => node.nodeType === 3)
    .map((node) => node.textContent).join('').trim();
window.said = (text) => all().filter((each) => seen(each) && (own(each) === text ||
    text.endsWith('…') && own(each).startsWith(text.slice(0, -1))));
window.press = (text) => { const found = said(text).at(-1); found?.click(); return !!found; };
"""


class Pages:
    """Home Assistant in a browser, logged in."""

    def __init__(self, browser: Browser, house: FullHouse) -> None:
        self._browser, self._house = browser, house

    async def log_in(self) -> None:
        """Put the laboratory's tokens where a browser that has logged in keeps them."""
        home = self._house.home
        await self._browser.open(f"{home.url}/manifest.json", WIDTH, HEIGHT)
        kept = {**home.granted, "hassUrl": home.url, "clientId": f"{home.url}/"}
        kept["expires"] = 1000 * 10**10
        stored = json.dumps(json.dumps(kept))
        await self._browser.run(f"localStorage.setItem('hassTokens', {stored})")
        await self._browser.run("localStorage.setItem('dockedSidebar', '\"always_hidden\"')")

    async def open(self, path: str, *wanted: str) -> None:
        """Go to a page and wait until it says all that is wanted."""
        await self._browser.open(f"{self._house.home.url}{path}", WIDTH, HEIGHT)
        await self._browser.run(_EYES)
        await self.sees(*wanted)

    async def sees(self, *wanted: str) -> None:
        """Wait until the page says all that is wanted."""
        for text in wanted:
            await self._browser.until(f"said({json.dumps(text)}).length")

    async def press(self, text: str) -> None:
        """Click on what says this, once it is there."""
        await self._browser.until(f"press({json.dumps(text)})")

    async def run(self, script: str) -> Any:
        """Evaluate an expression on the page."""
        return await self._browser.run(script)

    async def picture(self, name: str) -> None:
        """Keep what is to be seen, once nothing moves any more, in few colours."""
        await asyncio.sleep(2)
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "raw.png"
            await self._browser.picture(raw)
            path = DOCS / f"home-assistant-{name}.png"
            few = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"
            quiet = ("-y", "-loglevel", "error")
            await asyncio.to_thread(run, "ffmpeg", *quiet, "-i", raw, "-vf", few, path)
        assert path.stat().st_size < LARGEST, path
        say(f"{path.name}, {path.stat().st_size // 1000} kB")


async def _service(pages: Pages, house: FullHouse) -> None:
    await pages.open(_OURS, "Family voices", "Grandma")
    await pages.press("Confirm")  # that this Home Assistant has another port than most
    await pages.picture("service")
    await pages.press("Add voice")
    await pages.sees("Add a voice")
    await pages.picture("add-voice")


async def _device(pages: Pages, house: FullHouse) -> None:
    devices = await asyncio.to_thread(house.home.ask, "config/device_registry/list")
    device = next(each["id"] for each in devices if each["name"] == "Family voices")
    await pages.open(f"/config/devices/device/{device}", "Below its best")
    await pages.picture("device")


async def _automation(pages: Pages, house: FullHouse) -> None:
    await pages.open("/config/automation/edit/dinner", "Then do")
    row = "all().filter((each) => each.localName === 'ha-automation-row').at(-1)"
    await pages.run(f"{row}.click()")
    await pages.picture("automation")


async def _blueprint(pages: Pages, house: FullHouse) -> None:
    await pages.open("/config/automation/edit/washing", "Power sensor")
    await pages.picture("blueprint")


async def _assist(pages: Pages, house: FullHouse) -> None:
    await pages.open("/config/voice-assistants/assistants", "Family")
    await pages.press("Family")
    await pages.sees("Text-to-speech")
    await asyncio.sleep(2)  # nothing scrolls while the dialog is still opening
    await pages.run(f"{_said('Text-to-speech')}[0].scrollIntoView({{block: 'start'}})")
    await pages.picture("assist")


async def _add(pages: Pages, house: FullHouse) -> None:
    await pages.open(_OURS, "Grandma")
    await pages.press("Add service")
    await pages.sees("Connect to your voices")
    await pages.picture("add")


async def _repair(pages: Pages, house: FullHouse) -> None:
    house.service.stop()
    unreachable = lambda: "unreachable" in house.issues()  # noqa: E731
    await asyncio.to_thread(house.until, "repair", unreachable, refresh=READY)
    await pages.open("/config/repairs", "Family voices does not answer")
    await pages.press("Family voices does not answer")
    await pages.picture("repair")


def _said(text: str) -> str:
    return f"said({json.dumps(text)})"


_OURS = f"/config/integrations/integration/{INTEGRATION}"
STEPS = (_service, _device, _automation, _blueprint, _assist, _add, _repair)


def make_pictures() -> None:
    """Start a house, and take all pictures in it."""
    folder = Path(tempfile.mkdtemp(prefix="browser-"))
    with FullHouse("a long secret") as house:
        furnish(house)

        async def look() -> None:
            async with Browser(folder, folder / "no-microphone.wav") as browser:
                pages = Pages(browser, house)
                await pages.log_in()
                for step in STEPS:
                    await step(pages, house)

        asyncio.run(look())
    shutil.rmtree(folder)


if __name__ == "__main__":
    make_pictures()
