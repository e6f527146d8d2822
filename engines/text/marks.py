"""Marks inside a text that are not text: pauses, and characters that nobody can hear.

`[pause 500ms]` and SSML's `<break time="1.5s"/>` ask for silence. Whatever else stands in brackets
is text, so that a stray `<` never costs an announcement.
"""

from __future__ import annotations

import re

from engines.errors import TextError

LONGEST_PAUSES = 60.0

_PAUSE = re.compile(
    r"\[\s*pause\s+(\d{1,6}(?:\.\d{1,3})?)\s?(ms|s)\s*\]"
    r"|<\s*break\s+time\s*=\s*[\"'](\d{1,6}(?:\.\d{1,3})?)\s?(ms|s)[\"']\s*/?>(?:\s*</\s*break\s*>)?",
    re.IGNORECASE | re.ASCII,
)
_LINE_ENDS = re.compile("\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS = re.compile("[\0-\t\x0e-\x1f\x7f-\x9f]")
# Lone surrogates; soft hyphen, zero-width and direction marks, except the joiners of emoji.
_INAUDIBLE = re.compile(
    "[\ud800-\udfff\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffc\ufffe\uffff]"
)


def audible(text: str) -> str:
    """Drop characters without sound and without width; control characters become spaces."""
    return _INAUDIBLE.sub("", _CONTROLS.sub(" ", _LINE_ENDS.sub("\n", text)))


def at_pauses(text: str) -> list[tuple[str, float]]:
    """Cut a text at its pause marks.

    Returns:
        (text, seconds of silence after it); the last silence is 0, a text may be blank.

    Raises:
        TextError: the pauses add up to more than `LONGEST_PAUSES`.
    """
    pieces: list[tuple[str, float]] = []
    start = 0
    for match in _PAUSE.finditer(text):
        number, unit = match[1] or match[3], match[2] or match[4]
        seconds = float(number) / (1000 if unit.lower() == "ms" else 1)
        pieces.append((text[start : match.start()], seconds))
        start = match.end()
    total = sum(seconds for _, seconds in pieces)
    if total > LONGEST_PAUSES:
        raise TextError(f"pause: {total:g} s in all, the limit is {LONGEST_PAUSES:g} s")
    return [*pieces, (text[start:], 0.0)]
