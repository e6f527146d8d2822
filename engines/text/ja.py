"""Japanese: phones and pitch marks from Open JTalk, in the official front end's selection.

The marks follow "Prosodic features control by symbols as input of sequence-to-sequence acoustic
modeling for neural TTS" (Kurihara et al. 2021): `[` the pitch rises, `]` it falls, `#` an accent
phrase ends. The models know `#` only as the unknown phone; they were trained so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyopenjtalk

from engines.errors import TextError

# Open JTalk writes past its buffers of 1 KB when one word, or one row of meaningless kana that it
# takes for a word, is longer; no sentence has so many characters between two marks.
_LONGEST_PIECE = 300
_REPEATED_MARKS = re.compile(r"([!?…,.-])[!?…,.-]+")
_PIECE = re.compile(r"([A-Za-z\d々\u3040-\u30ff\u4e00-\u9fff１-９Ａ-Ｚａ-ｚｦ-ﾝ]+)|(.)", re.DOTALL)
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
}
_NUMBERS = re.compile(r"/A:(-?\d+)\+(\d+)\+(\d+)/")
_PAUSE = "_"
# Phones after which a mora, and so an accent phrase, can end.
_MORA_ENDS = frozenset(("a", "i", "u", "e", "o", "N", "cl"))


def normalize(text: str) -> str:
    """Reduce runs of ASCII marks to the first one; Open JTalk reads numbers by itself."""
    return _REPEATED_MARKS.sub(r"\1", text)


def g2p(text: str, symbols: str) -> tuple[list[str], None]:
    """Return phones, pitch marks and punctuation; Japanese has no alignment to characters.

    Both symbol tables follow the same rules; "v1" lacks `[` and `]`, and the caller sees to that.
    """
    _require_dictionary()
    phones: list[str] = []
    for match in _PIECE.finditer(text.replace("％", "パーセント").lower()):
        piece, mark = match.groups()
        if piece:
            for start in range(0, len(piece), _LONGEST_PIECE):
                phones += _prosody(piece[start : start + _LONGEST_PIECE])
        elif mark != " ":
            phones.append(_MARKS.get(mark, mark))
    return phones, None


def _prosody(piece: str) -> Iterator[str]:
    """Yield phones and pitch marks of a piece without punctuation."""
    labels = [_parsed(label) for label in pyopenjtalk.make_label(pyopenjtalk.run_frontend(piece))]
    # The first and the last label are the silence around the piece.
    for now, after in pairwise(labels[1:]):
        yield now.phone
        if now.to_phrase_end == 1 and after.place == 1 and now.phone in _MORA_ENDS:
            yield "#"
        elif now.after_accent == 0 and now.place + 1 == after.place:
            yield "]"
        elif now.place == 1 and after.place == 2:
            yield "["


class _Label(NamedTuple):
    """What the pitch marks need of a full-context label; in a pause all numbers are -1.

    Attributes:
        phone: with voiceless vowels (capitals in Open JTalk) as voiced ones.
        after_accent: moras since the accent, negative before it (A:a1).
        place: number of the phone's mora in its accent phrase, from 1 (A:a2).
        to_phrase_end: moras left in the phrase, this one included (A:a3).
    """

    phone: str
    after_accent: int
    place: int
    to_phrase_end: int


def _parsed(label: str) -> _Label:
    phone = label[label.index("-") + 1 : label.index("+")]
    numbers = _NUMBERS.search(label)
    if numbers is None:
        return _Label(_PAUSE if phone == "pau" else phone, -1, -1, -1)
    after_accent, place, to_phrase_end = map(int, numbers.groups())
    voiced = phone.lower() if phone in "AIUEO" else phone
    return _Label(voiced, after_accent, place, to_phrase_end)


@cache
def _require_dictionary() -> None:
    # Without its dictionary the package would download one in the middle of a sentence.
    if not Path(os.fsdecode(pyopenjtalk.OPEN_JTALK_DICT_DIR)).is_dir():
        raise TextError("language ja: Open JTalk has no dictionary; install the extra `ja`")
