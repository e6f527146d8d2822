from __future__ import annotations

import pytest

from service.errors import TextRefused, TextTooLong
from service.sentences import SentenceCutter, cut


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dinner is ready. Come down.", ["Dinner is ready.", "Come down."]),
        ("洗衣机洗好了。请拿出来。", ["洗衣机洗好了。", "请拿出来。"]),
        ("It is 21.5 degrees outside", ["It is 21.5 degrees outside"]),
        ("bell\x07 and half \ud83d a surrogate", ["bell  and half  a surrogate"]),
        ("right\u202eto left", ["rightto left"]),
        ("emoji 👩\u200d🚒 stays", ["emoji 👩\u200d🚒 stays"]),
        ("First comes one. ... Then comes two.", ["First comes one. ...", "Then comes two."]),
    ],
)
def test_a_text_is_cut_into_what_can_be_said(text: str, sentences: list[str]) -> None:
    assert cut(text, 100) == sentences


def test_pieces_are_cut_as_they_come() -> None:
    cutter = SentenceCutter(100)
    assert cutter.add("Dinner is rea") == []
    assert cutter.add("dy. Come") == ["Dinner is ready."]
    assert cutter.add(" down") == []
    assert cutter.finish() == ["Come down"]


@pytest.mark.parametrize("pieces", [["a" * 101], ["a" * 60, "b" * 60]])
def test_the_limit_holds_for_all_pieces_together(pieces: list[str]) -> None:
    cutter = SentenceCutter(100)
    *before, last = pieces
    assert [cutter.add(piece) for piece in before] == [[]] * len(before)
    with pytest.raises(TextTooLong) as refused:
        cutter.add(last)
    assert refused.value.limit == 100


@pytest.mark.parametrize(
    ("text", "message"), [("", "is empty"), (" \n", "is empty"), ("?!", "no word")]
)
def test_nothing_to_say_is_told(text: str, message: str) -> None:
    with pytest.raises(TextRefused, match=message):
        cut(text, 100)
