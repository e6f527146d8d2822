"""English: words to ARPAbet phones, exactly as the official front end pronounces them.

Dictionary first, then names, letters, compounds and last a network; homographs by part of speech.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources

from engines.text import en_compounds, en_gru, en_tagger
from engines.text.en_normalize import normalize
from engines.text.sorted_lines import SortedLines
from engines.text.symbols import V2, symbol_ids

__all__ = ["g2p", "normalize"]

_TOKEN = re.compile(
    # What looks like an address is one token, so "done.Next" is as much one as "www.a-b.io".
    r"[a-z0-9]+(?:[.-][a-z0-9]+)*\.[a-z]{2,13}\b/?"
    r"|[a-z][a-z'-]+[a-z]|[a-z]+|\.(?:\s*\.)+|\S",
    re.IGNORECASE | re.ASCII,
)
_LETTER = re.compile(r"[a-z]")
_POSSESSIVE = re.compile(r"[a-z]+'s")
_SHORT = 3
_VOICELESS = frozenset(("P", "T", "K", "F", "TH", "HH"))
_SIBILANTS = frozenset(("S", "Z", "SH", "ZH", "CH", "JH"))


def g2p(text: str, symbols: str) -> tuple[list[str], None]:
    """Return the phones of a normalised text; English has no alignment to characters.

    Both symbol tables hold all English phones, so `symbols` changes nothing.
    """
    tokens = _TOKEN.findall(text)
    words = [token.lower() for token in tokens]
    homographs = _homographs()
    tags = en_tagger.tags(tokens) if any(word in homographs for word in words) else None
    phones: list[str] = []
    for index, (token, word) in enumerate(zip(tokens, words, strict=True)):
        if not _LETTER.search(word):
            phones.append(word)
        elif len(word) == 1:
            phones += _letter(token)
        elif tags and word in homographs:
            phones += _homograph(homographs[word], tags[index])
        else:
            phones += pronounce(token)
    return _audible(phones), None


@lru_cache(maxsize=4096)
def pronounce(token: str) -> tuple[str, ...]:
    """Look up or work out the phones of one word of two or more characters."""
    word = token.lower()
    known = _words().get(word) if len(word) > 1 else None
    if known is None and token.istitle():
        known = _names().get(word)
    if known is not None:
        return tuple(known.split())
    if len(word) <= _SHORT:
        return tuple(phone for char in word for phone in _letter(char.replace("a", "A")))
    if _POSSESSIVE.fullmatch(word):
        phones = pronounce(word[:-2])
        return phones + _possessive_ending(phones[-1:])
    parts = en_compounds.split(word)
    if len(parts) == 1:
        return tuple(en_gru.predict(word))
    return tuple(phone for part in parts for phone in pronounce(part))


def _letter(char: str) -> list[str]:
    """Name a letter; the article is a small `a`, the letter a capital one."""
    return ["EY1"] if char == "A" else (_words().get(char.lower()) or char).split()


def _possessive_ending(last: tuple[str, ...]) -> tuple[str, ...]:
    if _VOICELESS.intersection(last):
        return ("S",)
    return ("AH0", "Z") if _SIBILANTS.intersection(last) else ("Z",)


def _homograph(entry: tuple[str, str, str], tag: str) -> list[str]:
    matching, other, wanted = entry
    # A tag shorter than the wanted one counts too: "read" is listed under VBP and said so as VB.
    return (matching if tag.startswith(wanted) or wanted.startswith(tag) else other).split()


def _audible(phones: list[str]) -> list[str]:
    known = symbol_ids(V2)
    renamed = ({"<unk>": "UNK", "'": "-"}.get(phone, phone) for phone in phones)
    return [phone for phone in renamed if phone in known and phone != "UW"]


@cache
def _words() -> SortedLines:
    return SortedLines.carried("en_words.txt.gz")


@cache
def _names() -> SortedLines:
    return SortedLines.carried("en_names.txt.gz")


@cache
def _homographs() -> dict[str, tuple[str, str, str]]:
    """Word → (phones when tagged so, phones otherwise, beginning of the tag)."""
    text = resources.files("engines.text.data").joinpath("en_homographs.txt").read_text("ascii")
    table = {}
    for line in text.splitlines():
        word, matching, other, tag = line.split("|")
        table[word] = (matching, other, tag)
    return table
