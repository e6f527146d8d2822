"""All that the page does, done behind Home Assistant's ingress in a real Chromium."""

import pytest

from tests.e2e.test_page import click, set_value, text_of
from tests.e2e.test_page_live import House, browser, house  # noqa: F401 - fixtures
from tests.lab.browser import PROGRAM, Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
]
# Asks for speech over a WebSocket whose address is relative to the page, as the page's are.
WEBSOCKET = """
new Promise((done) => {
  const address = new URL("v1/audio/speech/stream", location);
  address.protocol = "ws:";
  const socket = new WebSocket(address);
  let bytes = 0;
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "start", response_format: "pcm" }));
    socket.send(JSON.stringify({ type: "text", text: "Dinner is ready." }));
    socket.send(JSON.stringify({ type: "end" }));
  };
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") bytes += data.byteLength;
    else if (JSON.parse(data).type !== "audio") done([JSON.parse(data).type, bytes]);
  };
  socket.onerror = () => done(["broken", 0]);
})
"""


async def test_speech_is_heard_while_it_is_made(
    browser: Browser,  # noqa: F811
    house: House,  # noqa: F811
) -> None:
    house.best.gate.clear()
    house.best.free_chunks = house.best.chunks_made + 1
    made = house.best.chunks_made
    await browser.run(click("#say"))
    await browser.until(text_of("#result") + ".includes('first sound after')")
    assert house.best.chunks_made == made + 1
    assert await browser.run("document.getElementById('player').hidden")
    assert not await browser.run("document.getElementById('stop').hidden")
    house.best.gate.set()
    await browser.until("!document.getElementById('player').hidden")
    seconds = await browser.until("document.getElementById('player').duration")
    assert seconds == pytest.approx(0.4, abs=0.01)
    await browser.until("document.getElementById('stop').hidden")
    assert not await browser.run("document.getElementById('say').disabled")


async def test_speech_is_stopped_and_costs_no_more(
    browser: Browser,  # noqa: F811
    house: House,  # noqa: F811
) -> None:
    house.best.gate.clear()
    house.best.free_chunks = house.best.chunks_made + 1
    await browser.run(set_value("#text", "A story. " * 50))
    await browser.run(click("#say"))
    await browser.until(text_of("#result") + ".includes('first sound after')")
    await browser.run("document.getElementById('stop').focus()")
    await browser.key("Enter")
    row = await browser.until("document.querySelector('#recent tbody tr')?.textContent")
    house.best.gate.set()
    assert "stopped by who asked" in row
    assert await browser.run(text_of("#result")) == "Stopped."
    assert await browser.run("document.activeElement.id") == "say"
    assert len(house.best.said) < 10


async def test_a_refusal_says_what_to_do(browser: Browser) -> None:  # noqa: F811
    await browser.run(set_value("#text", "…"))
    await browser.run(click("#say"))
    said = await browser.until(text_of("#result") + ".startsWith('Not spoken: ')")
    assert said
    assert not await browser.run("document.getElementById('say').disabled")
    assert ["400" in problem for problem in browser.problems] == [True]
    browser.problems.clear()


async def test_a_voice_is_recorded(
    browser: Browser,  # noqa: F811
    house: House,  # noqa: F811
) -> None:
    assert "Nobody of the family" in await browser.run(text_of("#voices-none"))
    await browser.run(click("#add-voice"))
    await browser.run(click("#record"))
    await browser.until("parseFloat(document.getElementById('record-time').textContent) > 4")
    await browser.run(click("#record"))
    assert await browser.until(text_of("#verdict"))
    assert "v1/voices/check" in house.ingress.paths


async def test_a_websocket_speaks(browser: Browser) -> None:  # noqa: F811
    kind, heard = await browser.run(WEBSOCKET)
    assert kind == "done"
    assert heard > 20_000
