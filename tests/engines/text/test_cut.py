import pytest

from engines.errors import TextError
from engines.text.cut import LONG_SEGMENT, bounded, collapse_marks, cut, segments


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Mr. Smith left at 8 a.m. today.", ["Mr. Smith left at 8 a.m. today."]),
        ("It is 21.5 degrees.", ["It is 21.5 degrees."]),
        ('"Really?" he said.', ['"Really?"', "he said."]),
        ("你好。世界！", ["你好。", "世界！"]),
        ("first line\nsecond line", ["first line", "second line"]),
        ("a, b, c", ["a, b, c"]),
    ],
)
def test_sentence_is_a_sentence(text: str, pieces: list[str]) -> None:
    assert cut(text, "sentence").split("\n") == pieces


def test_long_sentence_breaks_at_commas_before_spaces() -> None:
    sentence = "the quick brown fox jumps over the lazy dog, " * 10
    pieces = cut(sentence, "sentence").split("\n")
    assert [len(piece) for piece in pieces] == [134, 134, 134, 44]
    assert all(piece.endswith(",") for piece in pieces)


def test_long_sentence_without_commas_breaks_at_spaces() -> None:
    sentence = "word " * 100
    pieces = cut(sentence, "sentence").split("\n")
    assert " ".join(pieces) == sentence.strip()
    assert max(map(len, pieces)) <= 160


def test_numbers_with_commas_stay_whole() -> None:
    sentence = "about 1,250,000 of them " * 20
    assert "1,250,000" in cut(sentence, "sentence").split("\n")[0]


@pytest.mark.parametrize(("method", "limit"), [("cut1", LONG_SEGMENT), ("sentence", 200)])
def test_every_character_survives_a_hard_split(method: str, limit: int) -> None:
    text = "字" * (3 * limit + 7)
    parts = list(bounded(text, method))
    assert "".join(parts) == text
    assert [len(part) for part in parts] == [limit] * 3 + [7]


def test_hard_split_prefers_a_space() -> None:
    text = "x" * 500 + " " + "y" * 500
    assert list(bounded(text, "cut1")) == ["x" * 500, " " + "y" * 500]


def test_collapse_keeps_the_first_of_several_marks() -> None:
    assert collapse_marks("Stop!!! What?!... yes") == "Stop! What? yes"


def test_unknown_method_is_refused_by_name() -> None:
    with pytest.raises(TextError, match="cut9"):
        cut("text", "cut9")


def test_short_opening_gets_a_full_stop_first() -> None:
    assert segments("OK", "en", "cut1") == [".OK."]
    assert segments("好", "zh", "cut1") == ["。好。"]
    assert segments("Okay", "en", "cut1") == ["Okay."]
