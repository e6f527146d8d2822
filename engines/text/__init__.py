"""The text front end: what is written becomes what is said.

A text passes `marks` (pauses), `speakable` (home text in words), `cut` (segments), `segment` (runs
of one language) and `sentence` (phones); each language is a module of its own, see
`types.LanguageModule`, imported when it is first spoken.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engines.errors import TextError
from engines.text.cut import METHODS, bounded, collapse_marks, segments
from engines.text.marks import at_pauses, audible
from engines.text.segment import LANGUAGES, MODES
from engines.text.sentence import phonemize_segment
from engines.text.symbols import SILENT, V2, symbol_ids
from engines.text.types import PhonemizedText, Run

if TYPE_CHECKING:
    from engines.text.zh import PinyinReader

__all__ = ["LANGUAGES", "LONGEST_TEXT", "MODES", "PhonemizedText", "Run", "phonemize"]

LONGEST_TEXT = 5000
SPEAKABLE = "speakable"
NORMALIZE = (SPEAKABLE, "exact")


def phonemize(
    text: str,
    language: str,
    symbols: str = V2,
    *,
    normalize: str = SPEAKABLE,
    cut: str = "sentence",
    reader: PinyinReader | None = None,
) -> list[PhonemizedText]:
    """Turn a text into sentences of phone ids, in time linear in its length.

    Args:
        text: 1 to 5,000 characters. Characters without sound are dropped; `[pause 500ms]` and
            `<break time="1.5s"/>` become `pause` of the sentence before. A pause before any speech
            is a sentence without phones.
        language: a mode of the symbol table, see `MODES`: `en` for English only, `xx` for xx with
            English words in it, `all_xx` with digits in xx too, `auto` and `auto_yue` by script.
        symbols: "v1" or "v2", the table the model was trained with.
        normalize: "speakable" writes out units, times, names and the like first; "exact" leaves
            the text to the official rules alone.
        cut: how sentences are found, see `cut.METHODS`; `cut0` to `cut5` are the official ones.
        reader: how Mandarin characters are read in context; `g2pw.G2pw(folder)` where the user has
            that model, else pypinyin.

    Returns:
        Sentences in order, each with at least one phone that can be heard (but for a first pause).

    Raises:
        TextError: a limit is exceeded, an argument has no such value, a language's packages are
            missing, or nothing in the text can be spoken.
    """
    _check(text, language, symbols, normalize, cut)
    spoken: list[PhonemizedText] = []
    for piece, pause in at_pauses(audible(text)):
        for segment in _segments(piece, language, normalize, cut):
            sentence = phonemize_segment(segment, language, symbols, reader)
            if any(phone not in SILENT for run in sentence.runs for phone in run.phones):
                spoken.append(sentence)
        if pause and spoken:
            spoken[-1] = replace(spoken[-1], pause=spoken[-1].pause + pause)
        elif pause:
            spoken.append(PhonemizedText("", language, (), (), pause))
    if not any(sentence.phone_ids for sentence in spoken):
        raise TextError(f"text: nothing in it can be spoken in {language!r}")
    return spoken


def _check(text: str, language: str, symbols: str, normalize: str, cut: str) -> None:
    symbol_ids(symbols)
    if language not in MODES[symbols]:
        raise TextError(
            f"language: no {language!r} with symbols {symbols}, only {', '.join(MODES[symbols])}"
        )
    if normalize not in NORMALIZE:
        raise TextError(f"normalize: no {normalize!r}, only {', '.join(NORMALIZE)}")
    if cut not in METHODS:
        raise TextError(f"cut: no method {cut!r}, only {', '.join(METHODS)}")
    if not 1 <= len(text) <= LONGEST_TEXT:
        raise TextError(f"text: {len(text)} characters, the limits are 1 and {LONGEST_TEXT}")


def _segments(text: str, language: str, normalize: str, cut: str) -> list[str]:
    if normalize == SPEAKABLE:
        # The rules of home text are as big as the rest: `exact` does without.
        from engines.text.speakable import speakable

        text = speakable(text, language)
    text = collapse_marks(text)
    if not any(character.isalnum() for character in text):
        return []
    return [part for segment in segments(text, language, cut) for part in bounded(segment, cut)]
