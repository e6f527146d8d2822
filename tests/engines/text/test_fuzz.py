"""Any text in any mode ends in phones or in a typed error."""

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import TextError
from engines.text import LONGEST_TEXT, MODES, PhonemizedText, phonemize
from engines.text.cut import METHODS
from engines.text.sentence import phonemize_segment
from engines.text.symbols import symbol_ids

HOME = st.sampled_from(
    [
        *(
            "21.5 °C",
            "18:05",
            "-4",
            "100 %",
            "1/2",
            "3.5kWh",
            "$5.20",
            "1st",
            "v1.2.3",
            "2024-03-05",
        ),
        *("living_room_window", "**bold**", "https://a.b/c", "😀", "OK", "don't", "①", "ａｂ"),
        *("你好", "一只猫", "女儿", "唔該", "こんにちは", "コーヒー", "문이 열렸습니다"),
        *("[pause 1s]", "<break time='1s'/>", "\ud800", "\u202e", "\0", "\n"),
        *("℃", "×", "。", ",", "…", "￥", "^", "#"),
    ]
)
CHARACTERS = (
    st.characters()
    | st.sampled_from(string.printable)
    | st.characters(min_codepoint=0x3000, max_codepoint=0xD7FF)
)
TEXT = st.lists(HOME | st.text(CHARACTERS, max_size=8), max_size=20).map(" ".join) | st.text(
    CHARACTERS, max_size=60
)
CASES = st.sampled_from([(mode, symbols) for symbols, modes in MODES.items() for mode in modes])


def sentences_or_nothing(
    text: str, case: tuple[str, str], normalize: str, cut: str
) -> list[PhonemizedText]:
    try:
        return phonemize(text, *case, normalize=normalize, cut=cut)
    except TextError:
        return []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=TEXT,
    case=CASES,
    normalize=st.sampled_from(["speakable", "exact"]),
    cut=st.sampled_from(list(METHODS)),
)
def test_text_ends_in_phones_or_a_typed_error(
    text: str, case: tuple[str, str], normalize: str, cut: str
) -> None:
    size = len(symbol_ids(case[1]))
    for sentence in sentences_or_nothing(text, case, normalize, cut):
        assert all(0 <= phone < size for phone in sentence.phone_ids)
        assert len(sentence.phone_ids) == sum(len(run.phones) for run in sentence.runs)
        for run in sentence.runs:
            counts = run.word_to_phone or ()
            assert len(counts) in (0, len(run.text))
            assert sum(counts) in (0, len(run.phones))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXT, case=CASES)
def test_official_rules_alone_take_any_segment(text: str, case: tuple[str, str]) -> None:
    sentence = phonemize_segment(text, *case)
    assert len(sentence.phone_ids) == sum(len(run.phones) for run in sentence.runs)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    piece=st.text(CHARACTERS, min_size=1, max_size=8),
    case=CASES,
    normalize=st.sampled_from(["speakable", "exact"]),
)
def test_longest_repetition_ends(piece: str, case: tuple[str, str], normalize: str) -> None:
    text = (piece * LONGEST_TEXT)[:LONGEST_TEXT]
    for sentence in sentences_or_nothing(text, case, normalize, "sentence"):
        assert sentence.phone_ids
