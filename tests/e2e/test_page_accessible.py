"""The page audited by axe-core, the usual judge of accessibility, in a real Chromium."""

import shutil
from typing import Any

import pytest

from tests.e2e.test_page import click, set_value
from tests.e2e.test_page_live import House, browser, house  # noqa: F401 - fixtures
from tests.lab.browser import PROGRAM, Browser
from tests.lab.npm import installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm"),
]
AUDIT = """
axe.run(document, { resultTypes: ["violations"] }).then(({ violations, passes }) => ({
  passed: passes.length,
  broken: violations.map(({ id, help, nodes }) => [id, help, ...nodes.map(({ html }) => html)]),
}))
"""
SHOWN_THOUGH_HIDDEN = """
[...document.querySelectorAll("[hidden]")]
  .filter((each) => each.checkVisibility()).map((each) => each.id)
"""
# A text field's edge must be seen (WCAG 1.4.11), which axe does not look at.
EDGES = """
(() => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const paper = light(getComputedStyle(document.querySelector(".card")).backgroundColor);
  return [...document.querySelectorAll("textarea, select, button.quiet:not(.small), input")]
    .filter((each) => each.checkVisibility() && !["range", "checkbox", "file"].includes(each.type))
    .map((each) => light(getComputedStyle(each).borderTopColor))
    .map((edge) => (Math.max(edge, paper) + 0.05) / (Math.min(edge, paper) + 0.05));
})()
"""


async def audit(browser: Browser) -> Any:  # noqa: F811
    found = await browser.run(AUDIT)
    assert found["passed"] > 20
    assert await browser.run(SHOWN_THOUGH_HIDDEN) == []
    return found["broken"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_nothing_is_found(
    browser: Browser,  # noqa: F811
    house: House,  # noqa: F811
    width: int,
    dark: bool,
) -> None:
    script = installed("axe", **{"axe-core": "4.14.1"}) / "axe-core" / "axe.min.js"
    for text in ("Dinner is ready.", "FAIL", "Good night."):
        await house.say(text)
    await browser.size(width, 900)
    await browser.dark(dark)
    await browser.until("document.querySelectorAll('#recent tbody tr').length === 3")
    await browser.run(script.read_text())
    assert await audit(browser) == []
    for button in ("#add-voice", "#add-model"):
        await browser.run(click(button))
    await browser.run(set_value("#install-from", "upload"))
    await browser.run("document.getElementById('install-from').dispatchEvent(new Event('change'))")
    await browser.run("document.querySelector('#install details').open = true")
    assert await audit(browser) == []
    assert min(await browser.run(EDGES)) >= 3
