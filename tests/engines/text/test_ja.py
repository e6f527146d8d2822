"""Phones and pitch marks are those of the official front end; see also the golden vectors."""

import pytest

from engines.errors import TextError
from engines.text import ja


def said(text: str) -> str:
    return " ".join(ja.g2p(ja.normalize(text), "v2")[0])


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("箸", "h a ] sh i"),
        ("橋", "h a [ sh i"),
        ("日本語を勉強します", "n i [ h o N g o o # b e [ N ky o o # sh i [ m a ] s u"),
        ("コーヒー", "k o [ o h i ] i"),
        ("8回", "h a [ cl ] k a i"),
        ("あいうえお", "a [ i u ] e o"),
    ],
)
def test_pitch_rises_falls_and_phrases_end(word: str, phones: str) -> None:
    assert said(word) == phones


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("12月24日", "j u [ u n i g a ts u # n i ] j u u # y o [ cl k a"),
        ("20日", "h a [ ts u k a"),
        ("午後7時5分", "g o ] g o # sh i [ ch i ] j i # g o ] f u N"),
        ("3本と4本", "s a [ N ] b o N t o # y o [ N ] h o N"),
        ("第3回", "d a ] i # s a [ N ] k a i"),
        ("4,250円", "y o ] N , n i [ hy a k u # g o [ j u u ] e N"),
        ("21.5度", "n i ] j u u # i [ ch i . g o ] d o"),
        ("50％", "g o [ j u cl p a a s e ] N t o"),
        ("50%", "g o ] j u u %"),
    ],
)
def test_numbers_dates_and_counters(text: str, phones: str) -> None:
    assert said(text) == phones


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("お、は：よ；う！か？", "o , w a , y o , u ! k a ?"),
        ("あ　い う", "a 　 i u"),
        ("あ\nい。", "a . i ."),
        ("え〜「あ」", "e 〜 「 a 」"),
        ("いいえ！！", "i [ i e ! !"),
        ("すごい...", "s u [ g o ] i ."),
        ("Ａｂc", "e [ e b i i sh i i"),
        ("ﾞ\0\ud800", "ﾞ \0 \ud800"),
        ("ー", ""),
        ("", ""),
    ],
)
def test_marks_and_what_is_no_japanese(text: str, phones: str) -> None:
    assert said(text) == phones


def test_normalize_collapses_ascii_marks_only() -> None:
    assert ja.normalize("え!?、はい。。-...") == "え!、はい。。-"


@pytest.mark.parametrize("unit", ["ぁ", "ー", "ん", "1", "A", "漢", "今日は"])
def test_long_rows_without_a_mark_are_read_in_pieces(unit: str) -> None:
    assert len(ja.g2p(unit * (5000 // len(unit)), "v2")[0]) < 60_000


def test_a_missing_dictionary_is_an_error_and_not_a_download(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ja.pyopenjtalk, "OPEN_JTALK_DICT_DIR", b"no such folder")
    monkeypatch.setattr(ja, "_require_dictionary", ja._require_dictionary.__wrapped__)
    with pytest.raises(TextError, match="extra `ja`"):
        ja.g2p("あ", "v2")
