"""Korean spelling becomes Korean pronunciation: the standard's rules as `g2pk2` applies them.

Works on conjoining jamo (U+1100 to U+11C2), where the end of one syllable and the start of the next
are neighbours. The order of the rules is part of the result. Rule numbers are those of the Standard
Pronunciation (표준 발음법) of the National Institute of Korean Language.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, partial

from engines.text.data import read_table

_SYLLABLE = re.compile(r"[가-힣]+")
_BARE_VOWEL = re.compile("(^|[^\u1100-\u1112])([\u1161-\u1175])")
_TENSE = str.maketrans("ᄀᄃᄇᄉᄌ", "ᄁᄄᄈᄊᄍ")
_CODA_OF_PAIR = str.maketrans("ᆬᆱ", "ᆫᆷ")

# Rule 27 also holds inside these endings, whatever their part of speech.
_TENSE_ENDINGS = {
    "ᆯ걸": "ᆯ껄",
    "ᆯ밖에": "ᆯ빠께",
    "ᆯ세라": "ᆯ쎄라",
    "ᆯ수록": "ᆯ쑤록",
    "ᆯ지라도": "ᆯ찌라도",
    "ᆯ지언정": "ᆯ찌언정",
    "ᆯ진대": "ᆯ찐대",
}
# Rules 13 and 14: before a vowel a coda moves over, of two the second (ㅅ then tense).
# Rule 12.4: ㅎ falls silent there.
_LINKS = {
    "ᆨ": "ᄀ",
    "ᆩ": "ᄁ",
    "ᆫ": "ᄂ",
    "ᆮ": "ᄃ",
    "ᆯ": "ᄅ",
    "ᆷ": "ᄆ",
    "ᆸ": "ᄇ",
    "ᆺ": "ᄉ",
    "ᆻ": "ᄊ",
    "ᆽ": "ᄌ",
    "ᆾ": "ᄎ",
    "ᆿ": "ᄏ",
    "ᇀ": "ᄐ",
    "ᇁ": "ᄑ",
    "ᆪ": "ᆨᄊ",
    "ᆬ": "ᆫᄌ",
    "ᆰ": "ᆯᄀ",
    "ᆱ": "ᆯᄆ",
    "ᆲ": "ᆯᄇ",
    "ᆳ": "ᆯᄊ",
    "ᆴ": "ᆯᄐ",
    "ᆵ": "ᆯᄑ",
    "ᆹ": "ᆸᄊ",
    "ᇂ": "ᄋ",
    "ᆭ": "ᄂ",
    "ᆶ": "ᄅ",
}
_LINKED = re.compile(f"([{''.join(_LINKS)}])ᄋ")


def jamo(text: str) -> str:
    """Take Hangul syllables apart into conjoining jamo and leave all else."""
    return _SYLLABLE.sub(lambda match: unicodedata.normalize("NFD", match[0]), text)


def replace_idioms(text: str) -> str:
    """Respell words whose pronunciation follows no rule."""
    for written, spoken in read_table("ko_rules.json")["idioms"].items():
        text = text.replace(written, spoken)
    return text


def pronounce(annotated: str) -> str:
    """Return the jamo that are said.

    Args:
        annotated: text whose syllables may carry a tag: `/P` stem of a verb or adjective, `/E`
            ending in ㄹ, `/J` possessive 의, `/B` bound noun.
    """
    text = jamo(annotated).replace("/J", "")
    for pattern, replacement in _before_tags_go():
        text = pattern.sub(replacement, text)
    text = re.sub("/[PEB]", "", text)
    for pattern, outcome in _codas():
        text = pattern.sub(partial(_meet, outcome), text)
    text = _LINKED.sub(lambda match: _LINKS[match[1]], text)
    return _BARE_VOWEL.sub(r"\1ᄋ\2", text)


def _meet(outcome: dict[str, str], match: re.Match[str]) -> str:
    if match[2]:
        return outcome[match[2]].replace("|", match[1])
    return outcome[""].replace("|", match[3])


@cache
def _codas() -> list[tuple[re.Pattern[str], dict[str, str]]]:
    """Rules 9 to 12, 18 to 20 and 23: what a coda and the next onset, or the word's end, make.

    One pattern a coda, in the table's order, for one may produce the coda of a later one.
    """
    rows: dict[str, dict[str, str]] = read_table("ko_rules.json")["codas"]
    patterns = []
    for coda, outcome in rows.items():
        end = r"|(\W|$)" if "" in outcome else ""
        patterns.append((re.compile(f"{coda}(?:( ?)([{''.join(outcome)}]){end})"), outcome))
    return patterns


@cache
def _before_tags_go() -> list[tuple[re.Pattern[str], str]]:
    rules = [
        ("([ᄌᄍᄎ])ᅧ", r"\1ᅥ"),  # 5.1
        ("([ᄀ-ᄊᄌ-ᄒ])ᅴ", r"\1ᅵ"),  # 5.3
        # 16, meant for the names of the letters; the original's sets hit all syllables in ㅡ.
        ("(?<=[그])ᆮᄋ", "ᄉ"),
        ("(?<=[으])[ᆽᆾᇀᇂ]ᄋ", "ᄉ"),
        ("(?<=[으])ᆿᄋ", "ᄀ"),
        ("(?<=[으])ᇁᄋ", "ᄇ"),
        ("ᆰ/P[ᄀᄁ]", "ᆯᄁ"),  # 11.1
        *((f"([ᆲᆴ])/P{onset}", rf"\1{onset.translate(_TENSE)}") for onset in "ᄀᄃᄉᄌ"),  # 25
        *(  # 24
            (f"{coda}/P{onset}", coda.translate(_CODA_OF_PAIR) + onset.translate(_TENSE))
            for coda in "ᆫᆷᆬᆱ"
            for onset in "ᄀᄃᄉᄌ"
        ),
        (f"{jamo('바')}ᆲ(?![ᄋᄒ])", jamo("밥")),  # 10.1
        (f"{jamo('너')}ᆲ(?=[ᄃᄄᄌᄍ]ᅮ)", jamo("넙")),
        ("ᆮᄋ(?=[ᅵᅧ])", "ᄌ"),  # 17
        ("ᇀᄋ(?=[ᅵᅧ])", "ᄎ"),
        ("ᆴᄋ(?=[ᅵᅧ])", "ᆯᄎ"),
        ("ᆮᄒ(?=ᅵ)", "ᄎ"),
        *((f"ᆯ/E {onset}", f"ᆯ {onset.translate(_TENSE)}") for onset in "ᄀᄃᄇᄉᄌ"),  # 27
        *((jamo(written), jamo(spoken)) for written, spoken in _TENSE_ENDINGS.items()),
    ]
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]
