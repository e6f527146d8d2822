"""Makes docs/page*.png again: `pytest tests/lab/page_pictures.py`.

A house with two models of random weights, a card that is a double, and one model whose engines are
being built; seen in Chromium, light and dark, on a desk and on a phone.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.browser import Browser
from tests.lab.ground import REPOSITORY, run
from tests.service.card_double import Card
from tests.service.conftest import eventually
from tests.service.model_house import (
    StartHouse,
    enrol,
    golden,  # noqa: F401 - fixtures
    house,  # noqa: F401
    install,
    tiny_files,  # noqa: F401
    tiny_model,  # noqa: F401
)
from tests.service.recordings import spoken, wav

SEEN = {
    "page": (1280, False),
    "page-dark": (1280, True),
    "page-phone": (390, False),
    "page-phone-dark": (390, True),
}


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    microphone = tmp_path / "microphone.wav"
    microphone.write_bytes(wav(spoken()))
    async with Browser(tmp_path, microphone) as browser:
        yield browser


async def test_the_page(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    browser: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card, never = Card(), asyncio.Event()
    monkeypatch.setattr("service.model_rung.open_backend", card.open)

    async def built(task: str, folder: Path, *words: Any, tell: Any, hear: Any, **_: Any) -> None:
        if folder.name == "family-v2":
            tell(240, 500, "t2s_decode (3 of 5)")
            await never.wait()
        for graph in words[words.index("--only") + 1 :]:
            hear({"graph": graph, "state": "kept", "seconds": 0.0, "reason": ""})

    monkeypatch.setattr("service.engine_builds.run_child", built)
    install(tmp_path, tiny_model, "family", "family-v2")
    enrol(tmp_path)
    enrol(tmp_path, "Grandpa Karl")
    home = await house(backend="tensorrt", model="family", max_queue=16)
    shares = {"weights": {"family": 90, "family-v2": 10}, "sticky": "voice"}
    assert (await home.ask("PUT", "/v1/models/traffic", json=shares))[0] == 200
    await eventually(lambda: home.fleet.rungs("family")[0]["state"] == "ready", 300)
    await eventually(lambda: home.fleet.rungs("family-v2")[0]["state"] == "building", 300)
    voices = ("mum", "plain", "grandpa-karl")
    for number in range(24):
        await home.say(f"Announcement {number % 20}.", voice=voices[number % 3])
    await home.say("Nobody.", voice="nobody")
    await home.say("Dinner is ready.")
    for name, (width, dark) in SEEN.items():
        await browser.dark(dark)
        await browser.open(home.url, width)
        await browser.until("document.querySelectorAll('#job-list li').length === 1")
        await browser.until("document.querySelectorAll('#model-list li').length === 2")
        await browser.run(
            "document.getElementById('text') && (document.getElementById('text').value = "
            "'The washing machine is done.')"
        )
        tall = int(await browser.run("document.documentElement.scrollHeight"))
        await browser.size(width, tall)
        await asyncio.sleep(1)
        raw = tmp_path / f"{name}.png"
        await browser.picture(raw, whole=True)
        few = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"
        target = REPOSITORY / "docs" / raw.name
        await asyncio.to_thread(
            run, "ffmpeg", "-y", "-loglevel", "error", "-i", raw, "-vf", few, target
        )
