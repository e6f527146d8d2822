"""One segment becomes phones: the part that must be the official front end's to the letter."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from engines.errors import TextError
from engines.text.segment import language_runs
from engines.text.symbols import V1, known_phones, phone_ids
from engines.text.types import LanguageModule, PhonemizedText, Run

if TYPE_CHECKING:
    from engines.text.zh import PinyinReader

_SHORT_ENGLISH = 4
_SHORT_SEGMENT = 6
# Signs with which an author asks for a longer stop in Chinese; all commas of the run become it.
_STOPS = (("￥", "SP2"), ("^", "SP3"))


def phonemize_segment(
    segment: str, language: str, symbols: str, reader: PinyinReader | None = None
) -> PhonemizedText:
    """Turn one segment into phones, without cutting it and without any help for its reader.

    Args:
        segment: text, taken as it is.
        language: a mode of the symbol table.
        symbols: "v1" or "v2".
        reader: how Chinese characters with several readings are read; see `zh.g2p`.

    Raises:
        TextError: the packages of a language in the text are not installed.
    """
    runs = _runs(segment, language, symbols, reader)
    if sum(len(run.phones) for run in runs) < _SHORT_SEGMENT:
        # The models stumble over very short texts; a full stop first steadies them.
        runs = _runs("." + segment, language, symbols, reader)
    return PhonemizedText(
        text="".join(run.text for run in runs),
        language=language,
        phone_ids=tuple(i for run in runs for i in phone_ids(run.phones, symbols)),
        runs=runs,
    )


def _runs(
    segment: str, language: str, symbols: str, reader: PinyinReader | None
) -> tuple[Run, ...]:
    return tuple(
        _run(text, base, symbols, reader) for base, text in language_runs(segment, language)
    )


def _run(text: str, language: str, symbols: str, reader: PinyinReader | None) -> Run:
    if symbols == V1 and language in ("ko", "yue"):
        # The first models never heard these languages; the official front end says nothing.
        text, language = " ", "en"
    module = _module(language)
    stop, stop_phone = _author_stop(text) if language == "zh" else ("", "")
    if stop:
        text = text.replace(stop, ",")
    normalized = module.normalize(text)
    if language == "zh" and reader:
        from engines.text import zh

        phones, counts = zh.g2p(normalized, symbols, reader)
    else:
        phones, counts = module.g2p(normalized, symbols)
    if language == "en" and len(phones) < _SHORT_ENGLISH:
        phones = [",", *phones]
    if stop:
        phones = [stop_phone if phone == "," else phone for phone in phones]
    return Run(
        language=language,
        text=normalized,
        phones=known_phones(phones, symbols),
        word_to_phone=None if counts is None else tuple(counts),
    )


def _author_stop(text: str) -> tuple[str, str]:
    return next(((sign, phone) for sign, phone in _STOPS if sign in text), ("", ""))


def _module(language: str) -> LanguageModule:
    try:
        return cast(LanguageModule, importlib.import_module(f"engines.text.{language}"))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("engines"):
            raise
        raise TextError(
            f"language: {language} needs the Python package {error.name!r}; "
            f"install the extra `{language}`: pip install 'gptsovits-home[{language}]'"
        ) from error
