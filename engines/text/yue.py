"""Cantonese: characters to Jyutping to the models' onsets and rimes."""

from __future__ import annotations

import re
from functools import cache

import ToJyutping

from engines.text.data import read_table
from engines.text.symbols import PUNCTUATION, UNKNOWN
from engines.text.zh_normalize import sentences

# The order decides: the first onset that a syllable starts with is taken, vowels among them;
# `aai` has the onset `aa`, and `nga` the onset `ng`.
_ONSET = re.compile(
    "nga|aa|ai|au|ap|at|ak|a|p|b|e|ts|t|dz|d|kw|k|gw|g|f|h|l|m|ng|n|s|y|w|c|z|j"
    "|ong|on|ou|oi|ok|o|uk|ung"
)
_UNSAID = re.compile(r"[^\u4e00-\u9fa5!?…,.\-]+")


def normalize(text: str) -> str:
    """Say numbers and symbols in characters; keep only characters and the marks `!?…,.-`."""
    pattern, marks = _mark_table()
    marked = (pattern.sub(lambda match: marks[match[0]], line) for line in sentences(text))
    return _UNSAID.sub("", "".join(marked))


def g2p(text: str, symbols: str) -> tuple[list[str], list[int] | None]:
    """Return phones and the number of phones of each character.

    Args:
        text: what `normalize` returned.
        symbols: Cantonese came with "v2"; its phones all start with Y.
    """
    phones: list[str] = []
    counts: list[int] = []
    for character, jyutping in ToJyutping.get_jyutping_list(text):
        said = _phones(character, jyutping)
        phones.extend(said)
        counts.append(len(said))
    return phones, counts


def _phones(character: str, jyutping: str | None) -> list[str]:
    if character in PUNCTUATION:
        return [character]
    if not jyutping or not jyutping[-1].isdigit():
        return [UNKNOWN]
    syllable, tone = jyutping[:-1], jyutping[-1]
    match = _ONSET.match(syllable)
    onset = match[0] if match else ""
    if onset == "nga":
        onset = "ng"
    rime = syllable[len(onset) :] or onset[-1:]
    return [f"Y{onset}", f"Y{rime}{tone}"]


@cache
def _mark_table() -> tuple[re.Pattern[str], dict[str, str]]:
    marks: dict[str, str] = read_table("zh_tables.json")["yue_rep_map"]
    return re.compile("|".join(map(re.escape, marks))), marks
