import pytest

from engines.text import yue


@pytest.mark.parametrize(
    ("character", "phones"),
    [
        ("唔", ["Ym", "Ym4"]),
        ("五", ["Yng", "Yg5"]),
        ("安", ["Yon", "Yn1"]),
        ("屋", ["Yuk", "Yk1"]),
        ("我", ["Yng", "Yo5"]),
        ("牙", ["Yng", "Yaa4"]),
        ("广", ["Ygw", "Yong2"]),
        ("，", [","]),
        ("㗎", []),
    ],
)
def test_syllable_is_onset_and_rime(character: str, phones: list[str]) -> None:
    assert yue.g2p(yue.normalize(character), "v2") == (phones, [len(phones)] * bool(phones))


def test_numbers_are_said_and_characters_simplified() -> None:
    assert yue.normalize("溫度係21.5度，濕度48%。") == "温度系二十一点五度,湿度百分之四十八."


def test_marks_do_not_collapse_and_quotes_vanish() -> None:
    assert yue.normalize("「好」！！") == "好!!"
