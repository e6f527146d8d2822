import pytest

from engines.errors import TextError
from engines.text.marks import at_pauses, audible


@pytest.mark.parametrize(
    ("mark", "seconds"),
    [
        ("[pause 500ms]", 0.5),
        ("[pause 2s]", 2.0),
        ("[Pause 1.5 s]", 1.5),
        ('<break time="500ms"/>', 0.5),
        ("<break time='1s' />", 1.0),
        ('<BREAK time="250ms"></break>', 0.25),
    ],
)
def test_pause_cuts_the_text(mark: str, seconds: float) -> None:
    assert at_pauses(f"one{mark}two") == [("one", seconds), ("two", 0.0)]


@pytest.mark.parametrize(
    "text",
    [
        "[pause]",
        "[pause long]",
        "<break>",
        "<break/>",
        '<break time="long"/>',
        "<b>x</b>",
        "a < b > c",
    ],
)
def test_anything_else_in_brackets_is_text(text: str) -> None:
    assert at_pauses(text) == [(text, 0.0)]


def test_pauses_have_a_limit_together() -> None:
    assert len(at_pauses("[pause 30s]" * 2)) == 3
    with pytest.raises(TextError, match=r"pause: 90 s .* 60 s"):
        at_pauses("[pause 30s]" * 3)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("a\ud800b", "ab"),
        ("a\x07b", "a b"),
        ("a\tb", "a b"),
        ("a\r\nb\u2028c", "a\nb\nc"),
        ("a\u200f\u202eb\u00adc\ufeff", "abc"),
        ("👩\u200d🔧", "👩\u200d🔧"),
    ],
)
def test_what_cannot_be_heard_is_dropped(text: str, heard: str) -> None:
    assert audible(text) == heard
