"""A real Chromium, driven over its DevTools protocol; its microphone hears a file."""

import asyncio
import base64
import json
import shutil
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.lab.ground import LabError
from tests.lab.packages import provide
from tests.lab.process import Process, free_port

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
WAIT = 60.0  # seconds until what a test waits for must be there


def provide_chromium() -> None:
    """See that Chromium, or Chrome, is there; apt brings it.

    Raises:
        LabError: it is missing and cannot be installed here; says what to do.
    """
    if PROGRAM is None:
        provide("chromium")


class Browser:
    """One page in a headless Chromium.

    Args:
        folder: where its profile and log go.
        microphone: a WAV file that the page's microphone hears, again and again.
    """

    def __init__(self, folder: Path, microphone: Path) -> None:
        self._folder = folder
        self._microphone = microphone
        self._number = 0
        self.problems: list[str] = []

    async def __aenter__(self) -> Self:
        port = free_port()
        self._program = Process(
            "Chromium",
            *(str(PROGRAM), "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio"),
            *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
            f"--use-file-for-fake-audio-capture={self._microphone}",
            *("--autoplay-policy=no-user-gesture-required", "--no-first-run"),
            *(f"--remote-debugging-port={port}", f"--user-data-dir={self._folder / 'profile'}"),
            "about:blank",
            log=self._folder / "chromium.log",
        )
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(
            await self._page(f"http://127.0.0.1:{port}/json"), max_msg_size=0
        )
        for domain in ("Page", "Runtime", "Log", "DOM"):
            await self.send(f"{domain}.enable")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._session.close()
        await asyncio.to_thread(self._program.stop)

    async def _page(self, address: str) -> str:
        async with asyncio.timeout(WAIT):
            while True:
                try:
                    async with self._session.get(address) as response:
                        pages = await response.json()
                    return next(
                        str(p["webSocketDebuggerUrl"]) for p in pages if p["type"] == "page"
                    )
                except (aiohttp.ClientError, StopIteration):
                    await asyncio.sleep(0.1)

    async def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the DevTools protocol; note what goes wrong on the page meanwhile."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(WAIT):
            while True:
                message = await self._socket.receive_json()
                if message.get("id") == self._number:
                    if "error" in message:
                        raise LabError(f"{method}: {message['error']}")
                    return dict(message["result"])
                thrown = message["method"] == "Runtime.exceptionThrown"
                entry = message["params"].get("entry", {})
                if thrown or entry.get("level") == "error":
                    self.problems.append(json.dumps(message["params"])[:2000])

    async def run(self, script: str) -> Any:
        """Evaluate an expression on the page, as if a person's hand had done it."""
        answer = await self.send(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in answer:
            raise LabError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait until an expression is true, and give its value."""
        async with asyncio.timeout(WAIT):
            while not (value := await self.run(script)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return value

    async def open(self, url: str, width: int = 1100, height: int = 900) -> None:
        """Go to an address, in a window of that size."""
        await self.size(width, height)
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def size(self, width: int, height: int) -> None:
        """Give the page another size, in CSS pixels."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    async def dark(self, on: bool) -> None:
        """Prefer dark colours, or light ones."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        await self.send("Emulation.setEmulatedMedia", features=features)

    async def choose_file(self, selector: str, path: Path) -> None:
        """Put a file into a file field."""
        root = (await self.send("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.send("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        await self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    async def key(self, key: str) -> None:
        """Press a key: Tab, Enter, Escape or a space."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        event = {"key": key, "windowsVirtualKeyCode": code, "text": text}
        await self.send("Input.dispatchKeyEvent", type="keyDown", **event)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    async def picture(self, path: Path, *, whole: bool = False) -> None:
        """Save what is to be seen as a PNG file; `whole`: down to the end of the page."""
        shot = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))
