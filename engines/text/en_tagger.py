"""Part-of-speech tags, to tell "I record" from "a record".

An averaged perceptron after Matthew Honnibal (2013) with the weights that NLTK distributes. It has
to agree with NLTK's tagger word by word, since a wrong tag of theirs is part of what the models
learned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from engines.text.sorted_lines import SortedLines

_BEFORE = ("-START-", "-START2-")
_AFTER = ("-END-", "-END2-")


def tags(words: Sequence[str]) -> list[str]:
    """Return a Penn Treebank tag for each word or mark of a sentence."""
    context = [*_BEFORE, *map(_shape, words), *_AFTER]
    result: list[str] = []
    previous, before = _BEFORE
    for index, word in enumerate(words):
        tag = _model().get(f"={word}") or _vote(word, context[index : index + 5], previous, before)
        result.append(tag)
        previous, before = tag, previous
    return result


def _shape(word: str) -> str:
    return "!HYPHEN" if "-" in word[1:] else word.lower()


def _vote(word: str, around: list[str], previous: str, before: str) -> str:
    left2, left, middle, right, right2 = around
    features = (
        "bias",
        f"i suffix {word[-3:]}",
        f"i pref1 {word[0]}",
        f"i-1 tag {previous}",
        f"i-2 tag {before}",
        f"i tag+i-2 tag {previous} {before}",
        f"i word {middle}",
        f"i-1 tag+i word {previous} {middle}",
        f"i-1 word {left}",
        f"i-1 suffix {left[-3:]}",
        f"i-2 word {left2}",
        f"i+1 word {right}",
        f"i+1 suffix {right[-3:]}",
        f"i+2 word {right2}",
    )
    scores: defaultdict[str, float] = defaultdict(float)
    for feature in features:
        for entry in (_model().get(feature) or "").split():
            tag, _, thousandths = entry.partition("=")
            scores[tag] += int(thousandths) / 1000
    return max(_tags(), key=lambda tag: (scores[tag], tag))


@cache
def _tags() -> list[str]:
    return (_model().get("tags") or "").split()


@cache
def _model() -> SortedLines:
    """Lines `feature TAB tag=weight ...`, `=word TAB tag` for words of one tag only, and `tags`."""
    return SortedLines.carried("en_tagger.txt.gz")
