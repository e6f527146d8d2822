"""Mandarin tones as they are spoken: 不 and 一, neutral tones, third tones in a row, erhua.

The rules are those of the official front end, which took them from PaddleSpeech; words come from
jieba with its part-of-speech tags, tones are the last digit of each final.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from engines.text.data import read_table

Word = tuple[str, str]
Finals = list[str]

_PARTICLES = frozenset("吧呢哈啊呐噻嘛吖嗨呐哦哒额滴哩哟喽啰耶喔诶")
_COUNTERS = frozenset("几有两半多各整每做是")


@dataclass(frozen=True, slots=True)
class _Words:
    neutral: frozenset[str]
    never_neutral: frozenset[str]
    erhua: frozenset[str]
    never_erhua: frozenset[str]
    marks: frozenset[str]


@cache
def _words() -> _Words:
    tables = read_table("zh_tables.json")
    return _Words(
        neutral=frozenset(tables["must_neutral"]),
        never_neutral=frozenset(tables["must_not_neutral"]),
        erhua=frozenset(tables["must_erhua"]),
        never_erhua=frozenset(tables["not_erhua"]),
        marks=frozenset(tables["sandhi_punct"]),
    )


class ToneSandhi:
    """The rules, given the two things they ask of the dictionaries.

    Args:
        finals_of: finals with tone of a word on its own.
        parts_of: words inside a word, as a search engine would index it.
    """

    def __init__(
        self, finals_of: Callable[[str], Finals], parts_of: Callable[[str], list[str]]
    ) -> None:
        self._finals_of = finals_of
        self._parts_of = parts_of

    def merged(self, words: list[Word]) -> list[Word]:
        """Join neighbours that change tone together, such as 不 and what it negates."""
        words = _merge_not(words)
        words = _merge_one(words)
        words = _merge_equal(words)
        words = self._merge_third_tones(words, _all_third)
        words = self._merge_third_tones(words, _third_meets_third)
        return _merge_er(words)

    def spoken(self, word: str, tag: str, finals: Finals) -> Finals:
        """Return the finals of one merged word with the tones that are spoken."""
        finals = _not(word, finals)
        finals = _one(word, finals)
        finals = self._neutral(word, tag, finals)
        return self._third(word, finals)

    def _merge_third_tones(
        self, words: list[Word], meet: Callable[[Finals, Finals], bool]
    ) -> list[Word]:
        finals = [self._finals_of(word) for word, _ in words]
        result: list[Word] = []
        just_merged = False
        for index, (word, tag) in enumerate(words):
            before = words[index - 1][0] if index else ""
            just_merged = (
                index > 0
                and not just_merged
                and meet(finals[index - 1], finals[index])
                and not (len(before) == 2 and before[0] == before[1])
                and len(before) + len(word) <= 3
            )
            if just_merged:
                result[-1] = (result[-1][0] + word, result[-1][1])
            else:
                result.append((word, tag))
        return result

    def _neutral(self, word: str, tag: str, finals: Finals) -> Finals:
        words = _words()
        finals = list(finals)
        if tag[:1] in ("n", "v", "a") and word not in words.never_neutral:
            for index in range(1, len(word)):
                if word[index] == word[index - 1]:
                    finals[index] = _toned(finals[index], "5")
        position = _neutral_position(word, tag)
        if position is not None:
            finals[position] = _toned(finals[position], "5")
        start = 0
        for part in self._two_parts(word):
            start += len(part)
            if part and not words.neutral.isdisjoint((part, part[-2:])):
                finals[start - 1] = _toned(finals[start - 1], "5")
        return finals

    def _third(self, word: str, finals: Finals) -> Finals:
        if len(word) == 2 and _all_third(finals, finals):
            return [_toned(finals[0], "2"), finals[1]]
        if len(word) == 3:
            return self._third_of_three(word, finals)
        if len(word) == 4:
            return _second_before_third(finals[:2]) + _second_before_third(finals[2:])
        return finals

    def _third_of_three(self, word: str, finals: Finals) -> Finals:
        first = len(self._two_parts(word)[0])
        if _all_third(finals, finals):
            changed = {2: (0, 1), 1: (1,)}.get(first, ())
            return [_toned(f, "2") if i in changed else f for i, f in enumerate(finals)]
        before, after = finals[:first], finals[first:]
        if before and after and not _all_third(after, after) and _third_meets_third(before, after):
            before = [*before[:-1], _toned(before[-1], "2")]
        return _second_before_third(before) + _second_before_third(after)

    def _two_parts(self, word: str) -> tuple[str, str]:
        shortest = min(self._parts_of(word), key=len, default=word)
        if word.startswith(shortest):
            return shortest, word[len(shortest) :]
        return word[: -len(shortest)], shortest


def erhua(word: str, tag: str, finals: Finals) -> Finals:
    """Fuse a final 儿 into the syllable before it, as Beijing says it (v2 models only)."""
    words = _words()
    if word.endswith("儿") and finals[-1:] == ["er1"]:
        finals = [*finals[:-1], "er2"]
    plain = word in words.never_erhua or tag in ("a", "j", "nr")
    if (word not in words.erhua and plain) or len(finals) != len(word) or len(word) < 2:
        return finals
    fused = word.endswith("儿") and finals[-1] in ("er2", "er5")
    if fused and word[-2:] not in words.never_erhua:
        return [*finals[:-1], "er" + finals[-2][-1:]]
    return finals


def _toned(final: str, tone: str) -> str:
    return final[:-1] + tone


def _all_third(before: Finals, after: Finals) -> bool:
    return all(final.endswith("3") for final in (*before, *after))


def _third_meets_third(before: Finals, after: Finals) -> bool:
    return before[-1].endswith("3") and after[0].endswith("3")


def _second_before_third(finals: Finals) -> Finals:
    if len(finals) == 2 and _all_third(finals, finals):
        return [_toned(finals[0], "2"), finals[1]]
    return finals


def _neutral_position(word: str, tag: str) -> int | None:
    """Find the syllable that grammar makes neutral; at most one, the first rule that fits."""
    words = _words()
    last, long = word[-1], len(word) > 1
    counter = word.find("个")
    endings = (
        last in _PARTICLES or last in "的地得",
        word in ("了", "着", "过") and tag in ("ul", "uz", "ug"),
        long and last in "们子" and tag in ("r", "n") and word not in words.never_neutral,
        long and last in "上下里" and tag in ("s", "l", "f"),
        long and last in "来去" and word[-2] in "上下进出回过起开",
    )
    if any(endings):
        return len(word) - 1
    if word == "个" or (
        counter > 0 and (word[counter - 1].isnumeric() or word[counter - 1] in _COUNTERS)
    ):
        return counter
    if word in words.neutral or word[-2:] in words.neutral:
        return len(word) - 1
    return None


def _not(word: str, finals: Finals) -> Finals:
    if len(word) == 3 and word[1] == "不":
        return [finals[0], _toned(finals[1], "5"), finals[2]]
    return [
        _toned(final, "2") if character == "不" and after.endswith("4") else final
        for character, final, after in zip(word, finals, [*finals[1:], ""], strict=False)
    ]


def _one(word: str, finals: Finals) -> Finals:
    if "一" not in word or all(other.isnumeric() for other in word if other != "一"):
        return finals
    if len(word) == 3 and word[1] == "一" and word[0] == word[2]:
        return [finals[0], _toned(finals[1], "5"), finals[2]]
    if word.startswith("第一"):
        return [finals[0], _toned(finals[1], "1"), *finals[2:]]
    finals = list(finals)
    for index, character in enumerate(word[:-1]):
        if character != "一":
            continue
        if finals[index + 1].endswith("4"):
            finals[index] = _toned(finals[index], "2")
        elif word[index + 1] not in _words().marks:
            finals[index] = _toned(finals[index], "4")
    return finals


def _merge_not(words: list[Word]) -> list[Word]:
    result: list[Word] = []
    pending = ""
    for word, tag in words:
        word, pending = pending + word, ""
        if word == "不":
            pending = word
        else:
            result.append((word, tag))
    return [*result, (pending, "d")] if pending else result


def _merge_one(words: list[Word]) -> list[Word]:
    joined: list[Word] = []
    index = 0
    while index < len(words):
        word, tag = words[index]
        after = words[index + 1] if index + 1 < len(words) else ("", "")
        if word == "一" and index and words[index - 1] == after and after[1] == "v":
            joined[-1] = (joined[-1][0] + word + after[0], joined[-1][1])
            index += 2
            continue
        joined.append((word, tag))
        index += 1
    result: list[Word] = []
    for word, tag in joined:
        if result and result[-1][0] == "一":
            result[-1] = ("一" + word, result[-1][1])
        else:
            result.append((word, tag))
    return result


def _merge_equal(words: list[Word]) -> list[Word]:
    result: list[Word] = []
    for word, tag in words:
        if result and result[-1][0] == word:
            result[-1] = (word + word, result[-1][1])
        else:
            result.append((word, tag))
    return result


def _merge_er(words: list[Word]) -> list[Word]:
    result: list[Word] = []
    for index, (word, tag) in enumerate(words):
        if word == "儿" and index and words[index - 1][0] != "#":
            result[-1] = (result[-1][0] + word, result[-1][1])
        else:
            result.append((word, tag))
    return result
