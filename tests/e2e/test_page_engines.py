"""What the page shows while a graphics card's engines are built, in a real Chromium."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_page import text_of
from tests.e2e.test_page_models import browser, shows  # noqa: F401 - a fixture
from tests.lab.browser import PROGRAM, Browser
from tests.service.card_double import Card
from tests.service.model_house import (
    StartHouse,
    enrol,
    golden,  # noqa: F401 - fixtures
    house,  # noqa: F401
    install,
    tiny_files,  # noqa: F401
    tiny_model,  # noqa: F401
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
]


async def test_engines_are_watched_and_one_that_fails_is_named(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    browser: Browser,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card, gate = Card(), asyncio.Event()
    monkeypatch.setattr("service.model_rung.open_backend", card.open)

    async def built(task: str, *arguments: Any, tell: Any, hear: Any, **_: Any) -> None:
        tell(200, 500, "vits_encode (3 of 5)")
        await gate.wait()
        *good, bad = arguments[arguments.index("--only") + 1 :]
        for graph in good:
            hear({"graph": graph, "state": "built", "seconds": 1.0, "reason": ""})
        hear({"graph": bad, "state": "failed", "seconds": 1.0, "reason": "no float32"})

    monkeypatch.setattr("service.engine_builds.run_child", built)
    install(tmp_path, tiny_model, "ours")
    enrol(tmp_path)
    home = await house(backend="tensorrt", cache_mb=0)
    await browser.open(home.url)
    await shows(browser, "Ours", "the processor speaks meanwhile")
    await browser.until("document.querySelector('#job-list progress')?.value === 40")
    assert "Engines of Ours" in await browser.run(text_of("#job-list"))
    assert "vits_encode (3 of 5)" in await browser.run(text_of("#job-list"))
    assert await home.say("Dinner is ready.") == (200, "onnxruntime", "ours")
    gate.set()
    await shows(browser, "Ours", "The graphics card speaks it.")
    await browser.until("!document.querySelector('#job-list li')")
    said = await browser.run(text_of("#models-said"))
    assert said.startswith("Ours: 4 of 5 engines are ready, the CPU stands in for ")
    assert "no float32" in said
    assert await home.say("Somebody is at the door.") == (200, "tensorrt", "ours")
