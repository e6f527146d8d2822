from __future__ import annotations

import pytest

from service.sentences import clean


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain text", "plain text"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("bell\x07 and null\x00", "bell and null"),
        ("half \ud83d surrogate", "half  surrogate"),
        ("right\u202eto left", "rightto left"),
        ("emoji 👩\u200d🚒 stays", "emoji 👩\u200d🚒 stays"),
        ("नमस्\u200cते", "नमस्\u200cते"),
    ],
)
def test_clean_drops_what_nobody_can_say(text: str, kept: str) -> None:
    assert clean(text) == kept
