import pytest

from tests.lab.word_errors import words, wrong_words


@pytest.mark.parametrize(
    ("heard", "wrong"),
    [
        ("Dinner is ready, come to the table!", 0),
        ("dinner is ready come to the", 1),
        ("Dinner is very ready. Come to the table.", 1),
        ("Dinner is steady, come to a table.", 2),
        ("", 7),
        ("come to the table dinner is ready", 6),
    ],
)
def test_wrong_words(heard: str, wrong: int) -> None:
    assert wrong_words("Dinner is ready. Come to the table.", heard) == wrong


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words("It's 9 o'clock, WAKE up!") == ["its", "9", "oclock", "wake", "up"]
