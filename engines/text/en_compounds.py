"""Where the words of a compound begin: `thermostatvalve` is `thermostat valve`.

The most probable split under Norvig's unigram and bigram counts ("Natural Language Corpus Data",
2009), which the `wordsegment` package carries; only its data is read. It gives what that package's
`segment` gives, with the recursion over all suffixes replaced by a table from right to left.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from math import log10

from engines.text.sorted_lines import SortedLines

_CORPUS_WORDS = 1024908267229.0
_LONGEST_WORD = 24
_CHUNK = 250
_OVERLAP = 5
_START = "<s>"


def split(word: str) -> list[str]:
    """Split lower-case letters into words; other characters vanish.

    Long input is split chunk by chunk, the last five words of a chunk taken once more with the
    next, so the time is linear in the length.
    """
    letters = re.sub(r"[^a-z0-9]", "", word)
    words: list[str] = []
    rest = ""
    for offset in range(0, len(letters), _CHUNK):
        chunk = _best_split(rest + letters[offset : offset + _CHUNK])
        rest = "".join(chunk[-_OVERLAP:])
        words += chunk[:-_OVERLAP]
    return words + _best_split(rest)


def _best_split(text: str) -> list[str]:
    size = len(text)
    # after[length of the word that ends at a place][place] would be the textbook's table; most
    # words have no known successors, so one entry a place serves them all.
    plain: list[tuple[float, int]] = [(0.0, 0)] * (size + 1)
    paired: dict[tuple[int, int], tuple[float, int]] = {}

    def best(place: int, previous: int) -> tuple[float, int]:
        return paired.get((place, previous), plain[place])

    for place in range(size - 1, -1, -1):
        lengths = range(1, min(_LONGEST_WORD, size - place) + 1)
        ends = [(text[place : place + length], place + length, length) for length in lengths]
        # On a tie the longer word wins, as it is the later one in alphabetical order.
        plain[place] = max(
            (log10(_share(word)) + best(end, length)[0], length) for word, end, length in ends
        )
        befores = [(_START, 0)] if place == 0 else []
        befores += [(text[place - n : place], n) for n in range(1, min(_LONGEST_WORD, place) + 1)]
        for previous, length_before in befores:
            if not _has_successors(previous):
                continue
            paired[place, length_before] = max(
                (log10(_share_after(previous, word)) + best(end, length)[0], length)
                for word, end, length in ends
            )
    words = []
    place = previous_length = 0
    while place < size:
        length = best(place, previous_length)[1]
        words.append(text[place : place + length])
        place, previous_length = place + length, length
    return words


def _share(word: str) -> float:
    """Part of the corpus that is this word; unknown words by their length."""
    count = _table("unigrams.txt").get(word)
    if count is None:
        return 10.0 / (_CORPUS_WORDS * 10 ** len(word))
    return float(count) / _CORPUS_WORDS


def _share_after(previous: str, word: str) -> float:
    """Relative frequency of a word after another, or its plain share ("stupid backoff")."""
    count = _table("bigrams.txt").get(f"{previous} {word}")
    if count is None:
        return _share(word)
    return float(count) / _CORPUS_WORDS / _share(previous)


def _has_successors(word: str) -> bool:
    known = _table("unigrams.txt").get(word) is not None
    return known and _table("bigrams.txt").has_prefix(f"{word} ")


@cache
def _table(name: str) -> SortedLines:
    data = resources.files("wordsegment").joinpath(name).read_bytes()
    return SortedLines.sorted_from(data.splitlines())
