"""Mandarin: characters to pinyin to the models' initials and finals."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, cast

import jieba
import jieba.posseg
from pypinyin import Style, lazy_pinyin
from pypinyin.constants import PHRASES_DICT
from pypinyin.contrib.tone_convert import to_finals_tone3, to_initials

from engines.text.data import read_table
from engines.text.symbols import PUNCTUATION, UNKNOWN, V1
from engines.text.tone_sandhi import ToneSandhi, erhua
from engines.text.zh_normalize import sentences

# Reads the words of one sentence: pinyin with tone digit per character, marks as themselves.
PinyinReader = Callable[[Sequence[str]], "list[list[str]]"]

_INTERJECTIONS = str.maketrans({"嗯": "恩", "呣": "母"})
_UNSAID = re.compile(r"[^\u4e00-\u9fa5!?…,.\-]+")
_REPEATED = re.compile(r"([!?…,.\-])[!?…,.\-]+")
_AFTER_MARK = re.compile(r"(?<=[!?…,.\-])")
_WITH_INITIAL = {"uei": "ui", "iou": "iu", "uen": "un"}
_WITHOUT_INITIAL = {"ing": "ying", "i": "yi", "in": "yin", "u": "wu"}
_FIRST_LETTER = {"v": "yu", "i": "y", "u": "w"}
# 一只猫: the measure word has the first tone, which the character alone does not show.
_MEASURE_WORD = re.compile(
    r"(?<=[一二两三四五六七八九十百千万几多这那哪每半])只(?![有是要能会想好不])"
)


def normalize(text: str) -> str:
    """Say numbers and symbols in characters; keep only characters and the marks `!?…,.-`."""
    said = (_marked(sentence.translate(_INTERJECTIONS)) for sentence in sentences(text))
    return _REPEATED.sub(r"\1", "".join(said))


def g2p(
    text: str, symbols: str, reader: PinyinReader | None = None
) -> tuple[list[str], list[int] | None]:
    """Return phones and the number of phones of each character.

    Args:
        text: what `normalize` returned.
        symbols: "v1" reads word by word and knows no erhua.
        reader: how v2 chooses among a character's readings; `by_sentence` unless told.
    """
    reader = by_word if symbols == V1 else reader or by_sentence
    phones: list[str] = []
    counts: list[int] = []
    for sentence in _AFTER_MARK.split(text):
        if not sentence:
            continue
        words = _sandhi().merged([tuple(pair) for pair in _tagger().lcut(sentence)])
        for (word, tag), pinyin in zip(words, reader([w for w, _ in words]), strict=True):
            for syllable in _syllables(word, tag, pinyin, fuse=symbols != V1):
                phones.extend(syllable)
                counts.append(len(syllable))
    return phones, counts


def by_word(words: Sequence[str]) -> list[list[str]]:
    """Read each word as pypinyin does without its neighbours."""
    return [pinyin_of(word) for word in words]


def by_sentence(words: Sequence[str]) -> list[list[str]]:
    """Read the sentence as a whole, as the official front end does around its g2pW model."""
    sentence = "".join(words)
    rare = _rare_readings()
    pinyin = [
        rare.get(character, read)
        for character, read in zip(sentence, pinyin_of(sentence), strict=True)
    ]
    for match in _MEASURE_WORD.finditer(sentence):
        pinyin[match.start()] = "zhi1"
    return corrected(words, pinyin)


def pinyin_of(text: str) -> list[str]:
    """Return what pypinyin reads: a syllable with tone digit per character, marks as they are."""
    # A list instead of a string keeps characters without a reading one by one.
    alone = cast(Any, list)
    return list(lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True, errors=alone))


def corrected(words: Sequence[str], pinyin: Sequence[str]) -> list[list[str]]:
    """Cut the pinyin of a sentence into words; words of the table are read as it says."""
    table = _word_table()
    result = []
    start = 0
    for word in words:
        read = pinyin[start : start + len(word)]
        start += len(word)
        if word in table:
            result.append(table[word] or pinyin_of(word))
        else:
            result.append([(table.get(c) or [r])[0] for c, r in zip(word, read, strict=True)])
    return result


def _marked(sentence: str) -> str:
    pattern, marks = _mark_table()
    return _UNSAID.sub("", pattern.sub(lambda match: marks[match[0]], sentence))


@lru_cache(maxsize=8192)
def _finals(word: str) -> list[str]:
    return [_final(pinyin) for pinyin in pinyin_of(word)]


@lru_cache(maxsize=2048)
def _final(pinyin: str) -> str:
    if not pinyin[0].isalpha() or not pinyin.isascii():
        return pinyin
    return str(to_finals_tone3(pinyin, neutral_tone_with_five=True))


@lru_cache(maxsize=2048)
def _initial(pinyin: str) -> str:
    return str(to_initials(pinyin)) if pinyin.isascii() else ""


def _syllables(word: str, tag: str, pinyin: list[str], fuse: bool) -> list[list[str]]:
    """Return the phones of each character of a word: initial and final, or one mark."""
    initials = [_initial(read) for read in pinyin]
    finals = _sandhi().spoken(word, tag, [_final(read) for read in pinyin])
    if fuse:
        finals = erhua(word, tag, finals)
    return [_phones(*pair) for pair in zip(initials, finals, strict=True)]


def _phones(initial: str, final: str) -> list[str]:
    if final in PUNCTUATION:
        return [final]
    vowel, tone = final[:-1], final[-1:]
    if initial:
        syllable = initial + _WITH_INITIAL.get(vowel, vowel)
    elif vowel in _WITHOUT_INITIAL:
        syllable = _WITHOUT_INITIAL[vowel]
    else:
        syllable = _FIRST_LETTER.get(vowel[:1], vowel[:1]) + vowel[1:]
    pair = _phone_table().get(syllable)
    return [pair[0], pair[1] + tone] if pair and tone in "12345" else [UNKNOWN]


@cache
def _tagger() -> Any:
    # jieba would keep its dictionary in a file that anybody can write and load it unchecked.
    tokenizer = jieba.dt
    if not tokenizer.initialized:
        tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
        tokenizer.initialized = True
    return jieba.posseg.dt


@cache
def _sandhi() -> ToneSandhi:
    _tagger()
    return ToneSandhi(_finals, lambda word: list(jieba.dt.cut_for_search(word)))


@cache
def _phone_table() -> dict[str, list[str]]:
    table: dict[str, str] = read_table("zh_tables.json")["pinyin_to_phone"]
    return {pinyin: phones.split() for pinyin, phones in table.items()}


@cache
def _mark_table() -> tuple[re.Pattern[str], dict[str, str]]:
    marks: dict[str, str] = read_table("zh_tables.json")["zh_rep_map"]
    return re.compile("|".join(map(re.escape, marks))), marks


@cache
def _rare_readings() -> dict[str, str]:
    readings: dict[str, str] = read_table("zh_characters.json")
    return readings


@cache
def _word_table() -> dict[str, list[str] | None]:
    """Words whose reading is settled; None stands for what pypinyin says."""
    table = read_table("zh_words.json")
    words: dict[str, list[str] | None] = dict.fromkeys((*PHRASES_DICT, *table["extra"]))
    for word in table["absent"]:
        words.pop(word, None)
    return {**words, **table["reading"]}
