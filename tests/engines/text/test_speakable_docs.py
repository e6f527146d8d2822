"""The list of deliberate differences in docs/text.md is true."""

import re
from pathlib import Path

import pytest

from engines.text.speakable import speakable

DOCUMENT = Path(__file__).parents[3] / "docs" / "text.md"
LANGUAGES = {
    "English": "en",
    "Mandarin": "zh",
    "Cantonese": "yue",
    "Japanese": "ja",
    "Korean": "ko",
}
SECTIONS = re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", DOCUMENT.read_text("utf-8"), re.MULTILINE)
ROWS = [
    (LANGUAGES[title], *(cell.strip() for cell in line.strip("|").split("|")))
    for title, body in SECTIONS
    for line in body.splitlines()
    if title in LANGUAGES and re.match(r"\| (?!written)", line)
]


def test_each_language_has_its_table() -> None:
    assert {row[0] for row in ROWS} == set(LANGUAGES.values())


@pytest.mark.parametrize(("language", "written", "original", "said", "reason"), ROWS)
def test_difference_is_as_listed(
    language: str, written: str, original: str, said: str, reason: str
) -> None:
    assert speakable(written, language) == said
    assert reason
    assert original != said or reason == "unchanged"
