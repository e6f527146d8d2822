# ruff: noqa: E501, SIM905 - pieces of text read better as text.
"""What holds for every text in every language."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import TextError
from engines.text.speakable import speakable

LANGUAGES = ("en", "zh", "yue", "ja", "ko")
# Texts made of what the patterns look for find more than random characters do.
PIECES = (
    "21.5|°C| |-|–|~|18:05|7:00|/|.|,|:|%|km/h|kWh|W|m|µg/m³|²|#|@|&|+|=|<|>|±|→|$|€|US$|1|2|10|007|1,234|1,5|"
    "2026-11-23|23.11.2026|11/23|Nov|May|the|in|p.m.|pm|A|I|TV|OFF|WARNING|e.g.|etc.|Dr.|St.|No.|v2|2.10.3|"
    "192.168.1.10|http://a.b/c|a@b.com|_|__|**|`|[|](|)|\n|- |1. |# |~~|🎉|\ufe0f|\u20e3|\u200b|\ud800|\u202e|\x00|"
    "年|月|日|度|个|号|電|分|時|午後|は|の|番|시|개|번|월|오전|도|，|。|！|、|；|：|…|—|’|“|½|①|Ａ|５|㎡|XIV|Louis|"
    "living_room|sensor.x_1|CO2|PM2.5|Wi-Fi|1/2|3:2|555-123-4567|+1|k|million|h|min|s|é|Ω|٣|一|二|两|call |1st"
).split("|")
texts = st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=400, deadline=None)
@given(text=texts)
def test_any_text_is_said_once_and_for_all_and_hardly_grows(language: str, text: str) -> None:
    said = speakable(text, language)
    assert speakable(said, language) == said
    assert len(said) <= 12 * len(text) + 40


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "piece", ["9", "a", "A", "1,111,", "😀", "\ud800", "%", "[a](", "**a", "_", "1°C ", "\n- "]
)
def test_five_thousand_of_anything_are_said(language: str, piece: str) -> None:
    text = (piece * 5000)[:5000]
    assert len(speakable(text, language)) <= 12 * len(text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_emoji_and_invisible_characters_are_dropped(language: str) -> None:
    text = "👍🏽 👨‍👩‍👧 🇨🇭 \u200b\u202e\ufeff\ud83d\x07\ue000"
    assert speakable(text, language) == ""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("unit", ["°C", "%", "kWh", "hPa", "µg/m³", "lx", "dB", "km/h"])
def test_no_unit_stays_a_symbol(language: str, unit: str) -> None:
    said = speakable(f"21.5 {unit}", language)
    assert unit not in said
    assert {unicodedata.category(character) for character in said} <= {
        "Lu",
        "Ll",
        "Lo",
        "Lm",
        "Zs",
        "Pd",
        "Nd",
    }


@pytest.mark.parametrize(
    ("mode", "text", "said"),
    [
        ("all_zh", "21.5 °C", "二十一点五度"),
        ("auto", "リビングは-4°C", "リビングはマイナス4度"),
        ("auto", "거실은 -4°C", "거실은 영하 사도"),
        ("auto", "客厅-4°C", "客厅零下四度"),
        ("auto", "The room is -4°C", "The room is minus four degrees Celsius"),
        ("auto_yue", "7:00 pm開會", "夜晚七點開會"),
        ("ko", "The room is -4°C", "The room is minus four degrees Celsius"),
    ],
)
def test_modes_choose_the_language_by_their_text(mode: str, text: str, said: str) -> None:
    assert speakable(text, mode) == said


@pytest.mark.parametrize("language", ["de", "", "EN", "all_", "../en"])
def test_unknown_language_is_refused_by_name(language: str) -> None:
    with pytest.raises(TextError, match=re.escape(repr(language))):
        speakable("Hallo", language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("chain", ["2-3-4", "0-0-0-0-0-0-0-0", "10–11–12"])
def test_a_chain_of_numbers_is_settled_in_one_reading(language: str, chain: str) -> None:
    said = speakable(chain, language)
    assert speakable(said, language) == said


def test_only_two_numbers_make_a_range() -> None:
    assert speakable("2-3", "en") == "two to three"
    assert speakable("2-3-4", "en") == "two-three-four"
