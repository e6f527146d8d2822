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

import wordsegment

from engines.text.sorted_lines import SortedLines

_CORPUS_WORDS = 1024908267229.0
_LONGEST_WORD = 24
_CHUNK = 250
_OVERLAP = 5


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
    corpus = _Corpus()
    # Score of the text from a place on and length of its first word: after any word, and after the
    # word of a given length where that word has known successors.
    plain: list[tuple[float, int]] = [(0.0, 0)] * (size + 1)
    after: dict[tuple[int, int], tuple[float, int]] = {}

    def best(place: int, length_before: int) -> tuple[float, int]:
        return after.get((place, length_before), plain[place])

    for place in range(size - 1, -1, -1):
        lengths = range(1, min(_LONGEST_WORD, size - place) + 1)
        firsts = [(text[place : place + length], length) for length in lengths]
        rests = [best(place + length, length)[0] for length in lengths]
        # On a tie the longer word wins: the original compares the words themselves.
        plain[place] = max(
            (log10(corpus.share(word)) + rest, length)
            for (word, length), rest in zip(firsts, rests, strict=True)
        )
        for length_before in range(1, min(_LONGEST_WORD, place) + 1):
            before = text[place - length_before : place]
            if corpus.has_successors(before):
                after[place, length_before] = max(
                    (log10(corpus.share_after(before, word)) + rest, length)
                    for (word, length), rest in zip(firsts, rests, strict=True)
                )
    words: list[str] = []
    place = length = 0
    while place < size:
        length = best(place, length)[1]
        words.append(text[place : place + length])
        place += length
    return words


class _Corpus:
    """Relative frequencies of words and pairs; each word of a text is looked up once."""

    def __init__(self) -> None:
        self._unigrams = _table("unigrams.txt")
        self._bigrams = _table("bigrams.txt")
        self._shares: dict[str, float] = {}
        self._leading: dict[str, bool] = {}

    def share(self, word: str) -> float:
        """Part of the corpus that is this word; of unknown words, a guess by their length."""
        if word not in self._shares:
            count = self._unigrams.get(word)
            known = float(count) if count else 10.0 / float(10 ** len(word))
            self._shares[word] = known / _CORPUS_WORDS
        return self._shares[word]

    def share_after(self, before: str, word: str) -> float:
        """Frequency of a word after another, or its plain share ("stupid backoff")."""
        count = self._bigrams.get(f"{before} {word}")
        if not count:
            return self.share(word)
        return float(count) / _CORPUS_WORDS / self.share(before)

    def has_successors(self, word: str) -> bool:
        """Say whether the table of pairs knows any word that follows this one."""
        if word not in self._leading:
            self._leading[word] = self._bigrams.has_prefix(f"{word} ") and bool(
                self._unigrams.get(word)
            )
        return self._leading[word]


@cache
def _table(name: str) -> SortedLines:
    data = resources.files(wordsegment).joinpath(name).read_bytes()
    return SortedLines.sorted_from(data.splitlines())
