"""Pronunciations are those of the official front end; see also the golden vectors."""

import pytest
import wordsegment
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.text import en, en_compounds, en_gru, en_tagger
from engines.text.symbols import V1, symbol_ids


def said(text: str) -> str:
    return " ".join(en.g2p(text, V1)[0])


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("I read a book", "AY1 R IY1 D AH0 B UH1 K"),
        ("I will read it", "AY1 W IH1 L R IY1 D IH1 T"),
        ("She has read it", "SH IY1 HH AE1 Z R EH1 D IH1 T"),
        ("They present a present", "DH EY1 P R IY0 Z EH1 N T AH0 P R EH1 Z AH0 N T"),
        ("Please record the record", "P L IY1 Z R IH0 K AO1 R D DH AH0 R EH1 K ER0 D"),
        ("A complex complex", "EY1 K AH0 M P L EH1 K S K AA1 M P L EH0 K S"),
        ("We live in a live house", "W IY1 L AY1 V IH0 N AH0 L AY1 V HH AW1 S"),
        ("The wind will wind it", "DH AH0 W AY1 N D W IH1 L W AY1 N D IH1 T"),
    ],
)
def test_homographs_by_part_of_speech(text: str, phones: str) -> None:
    assert said(text) == phones


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("A", "EY1"),
        ("a", "AH0"),
        ("x", "EH1 K S"),
        ("ok", "OW1 K EY1"),
        ("zq", "Z IY1 K Y UW1"),
        ("ai", "EY1 AY1"),
        ("hud", "EY1 CH Y UW1 D IY1"),
        ("json", "JH EY1 S AH0 N"),
        ("o'clock", "AH0 K L AA1 K"),
        ("wi-fi", "W AY1 F AY2"),
    ],
)
def test_dictionary_and_letters(word: str, phones: str) -> None:
    assert said(word) == phones


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("Amiyah", "AH0 M IY1 AH0"),
        ("AMIYAH", "AH0 M AY1 Y AH0 EY1 CH"),
        ("amiyah", "AH0 M AY1 Y AH0 EY1 CH"),
    ],
)
def test_names_need_their_capital(word: str, phones: str) -> None:
    assert said(word) == phones


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        ("smartplug's", "G Z"),
        ("glowmouse's", "S AH0 Z"),
        ("doorlock's", "K S"),
        ("fishbench's", "CH AH0 Z"),
        ("windowview's", "UW1 Z"),
    ],
)
def test_possessives_of_words_without_an_entry(word: str, ending: str) -> None:
    assert said(word).endswith(ending)


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("done.Next", "D AH1 N N EH1 K S T"),
        ("foo-bar.com", "F UW1 B AA1 R K AA1 M"),
        ("p.m.", "P IY1 . EH1 M ."),
        ("go . . . on", "G OW1 AA1 N"),
        ("'tis -- so?", "- T IH1 Z - - S OW1 ?"),
        ("don't've", "D AA1 N T V IY1"),
        ("no, no!", "N OW1 , N OW1 !"),
        ("", ""),
        ("♪ 5", ""),
    ],
)
def test_tokens_and_marks(text: str, phones: str) -> None:
    assert said(text) == phones


def test_only_phones_of_the_first_table() -> None:
    assert set(said("Zigbeemesh, Bjornstad's qwxzkj - thermostatvalve!").split()) <= set(
        symbol_ids(V1)
    )


@pytest.mark.parametrize(
    ("sentence", "tags"),
    [
        ("The wind will wind the well-known cable .", "DT NN MD VB DT JJ NN ."),
        ("I object to that object", "PRP VBP TO DT NN"),
        ("how way print-connection right this", "WRB NN NN NN DT"),
    ],
)
def test_tags_are_those_of_nltk(sentence: str, tags: str) -> None:
    assert en_tagger.tags(sentence.split()) == tags.split()


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("glorbnik", "G L AO1 R N B IH0 K"),
        ("quixtar", "K W IH0 K S T AA1 R"),
    ],
)
def test_network_guesses(word: str, phones: str) -> None:
    assert en_gru.predict(word) == phones.split()


def test_network_guesses_at_most_twenty_phones() -> None:
    assert len(en_gru.predict("bcdfghjklmnpqrstvwxz" * 3)) <= 20


@pytest.fixture(scope="module", autouse=True)
def reference() -> None:
    wordsegment.load()


@pytest.mark.parametrize("word", ["tologfile", "thermostatvalve", "thequickbrownfox" * 40, "a1-b2"])
def test_compounds_as_wordsegment_splits_them(word: str) -> None:
    assert en_compounds.split(word) == wordsegment.segment(word)


@settings(max_examples=60, deadline=None)
@given(st.text("abcdefghijklmnopqrstuvwxyz'", max_size=30))
def test_any_letters_split_as_wordsegment_splits_them(letters: str) -> None:
    assert en_compounds.split(letters) == wordsegment.segment(letters)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_text_ends_in_known_phones(text: str) -> None:
    phones, alignment = en.g2p(en.normalize(text), V1)
    assert set(phones) <= set(symbol_ids(V1))
    assert alignment is None
