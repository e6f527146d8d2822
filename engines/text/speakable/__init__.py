"""Home text → text that can be read aloud, before the models' own normalisers see it.

`21.5 °C`, `18:05`, `living_room_window` and **bold** become what a person would say; what the
original front end already reads well stays as it is. docs/text.md lists every difference.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module

from engines.errors import TextError
from engines.text.speakable.reader import Reader

__all__ = ["speakable"]

_READERS = {
    "en": "EnglishReader",
    "zh": "MandarinReader",
    "yue": "CantoneseReader",
    "ja": "JapaneseReader",
    "ko": "KoreanReader",
}
_EAST_ASIAN = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]"
)
_LATIN_WORDS = re.compile(r"(?<![A-Za-z'])[A-Za-z']{3,}[ ,]+[A-Za-z']{2,}")
# Saying one thing may bring two others together ("1\u200bkm*h"); reading again settles that.
_MOST_PASSES = 6


@cache
def _reader(language: str) -> Reader:
    module = import_module(f"engines.text.speakable.{language}")
    reader: Reader = getattr(module, _READERS[language])()
    return reader


def speakable(text: str, language: str) -> str:
    """Write `text` the way it is said in `language`.

    Args:
        text: any text; what cannot be said (emoji, control characters) is dropped.
        language: a base language (en, zh, yue, ja, ko) or a mode (`all_ja`, `auto`, ...).
            A sentence of Latin words without any East Asian letter is read as English in every
            language, as the models do.

    Returns:
        The text with numbers, units, times, names and marks as words; empty when nothing is left
        to say. Saying the result again changes nothing.

    Raises:
        TextError: the language is unknown.
    """
    for _ in range(_MOST_PASSES):
        said = _reader(_base(text, language)).read(text)
        if said == text:
            break
        text = said
    return text


def _base(text: str, language: str) -> str:
    base = language.removeprefix("all_")
    base = {"auto": _guess(text), "auto_yue": "yue"}.get(base, base)
    if base not in _READERS:
        raise TextError(f"language {language!r} is not one of {', '.join(_READERS)}")
    is_english = _LATIN_WORDS.search(text) and not _EAST_ASIAN.search(text)
    return "en" if is_english else base


def _guess(text: str) -> str:
    if re.search("[\u3040-\u30ff]", text):
        return "ja"
    return "ko" if re.search("[\uac00-\ud7af]", text) else "zh"
