"""English text becomes words, exactly as the official front end has it, oddities included.

The models learned "isnegative four" for "is -4"; what a home would rather hear is decided before
this step. Here a text either comes out as the original's or, where the original would stop with an
error (numbers without a name, stray commas around a currency sign), as words all the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from engines.text.en_numbers import cardinal, number, ordinal, ordinal_mark

_WIDE_MARKS = str.maketrans("。！？", ".!?")
_OPERATORS = {"+": "plus", "-": "minus", "×": "times", "÷": "divided by", "=": "Equals"}
_UNITS = {
    "m": ("meter", "meters"),
    "km": ("kilometer", "kilometers"),
    "ft": ("feet", "feet"),
    "L": ("liter", "liters"),
    "tbsp": ("tablespoon", "tablespoons"),
    "tsp": ("teaspoon", "teaspoons"),
    "h": ("hour", "hours"),
    "min": ("minute", "minutes"),
    "s": ("second", "seconds"),
    "°C": ("degree celsius", "degrees celsius"),
    "°F": ("degree fahrenheit", "degrees fahrenheit"),
}
_POUNDS = ("pound", "pounds", "penny", "pence")
_DOLLARS = ("dollar", "dollars", "cent", "cents")


def normalize(text: str) -> str:
    """Return the text in ASCII letters, spaces and `' . , ? ! -`; every number in words."""
    text = text.translate(_WIDE_MARKS)
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    decomposed = unicodedata.normalize("NFD", text)
    text = "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
    text = _SILENT.sub("", text.replace("%", " percent"))
    text = _THAT_IS.sub("that is", text)
    text = _FOR_EXAMPLE.sub("for example", text)
    text = _INNER_CAPITAL.sub(r" \1", text)
    return _REPEATED_MARKS.sub(r"\1", text)


def _operator(match: re.Match[str]) -> str:
    return f"{match[1]} {_OPERATORS[match[2]]} "


def _time(match: re.Match[str]) -> str:
    hours, minutes = int(match[1]), int(match[2])
    spoken = cardinal(match[2]) if minutes else "o'clock"
    half = "a.m." if hours < 12 else "p.m."
    return f"{cardinal(str(hours - 12 if hours > 12 else hours))} {spoken} {half}"


def _measure(match: re.Match[str]) -> str:
    one, many = _UNITS[match[2]]
    return f"{match[1]} {one if match[1].lstrip('0') == '1' else many}"


def _money(match: re.Match[str], names: tuple[str, str, str, str]) -> str:
    if match[1].count(".") > 1:
        return f"{match[1]} {names[1]}"
    whole, _, part = match[1].replace(",", "").partition(".")
    whole, part = whole.lstrip("0"), (part and part.ljust(2, "0")).lstrip("0")
    said = [
        f"{count} {one if count == '1' else many}"
        for count, one, many in ((whole, *names[:2]), (part, *names[2:]))
        if count
    ]
    return " and ".join(said) or f"zero {names[1]}"


def _decimal(match: re.Match[str]) -> str:
    return f"{match[1]} point {' '.join(match[2])}"


def _fraction(match: re.Match[str]) -> str:
    above, below = match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"
    said = cardinal(above, "and")
    if below == "1":
        return said
    if below == "2":
        return f"{said} {'half' if above == '1' else 'halves'}"
    return f"{said} {ordinal(below)}{'' if above in ('0', '1') else 's'}"


# The original lets most of these patterns start in the middle of a run of digits, which finds
# nothing new but takes quadratic time on thousands of digits; (?<![0-9]) forbids it.
_STEPS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\b([0-9]+)\. "), lambda match: f"{match[1]}{ordinal_mark(match[1])}, "),
    (
        re.compile(r"([\dA-Za-z][⁰¹²³⁴⁵⁶⁷⁸⁹ˣʸⁿ]*)\s+([-+×÷=])\s+(?=-?\d|\.\d|[A-Za-z])"),
        _operator,
    ),
    (re.compile(r"(?:^|(?<!\s)\s+)-(?=\d)"), lambda match: "negative "),
    (re.compile(r"[0-9][0-9,]+[0-9]"), lambda match: match[0].replace(",", "")),
    (re.compile(r"\b([01]?[0-9]|2[0-3]):([0-5][0-9])\b"), _time),
    (re.compile(r"\b([0-9]+(?:\.[0-9]+)?)(m|km|ft|L|tbsp|tsp|h|min|s|°C|°F)\b"), _measure),
    (re.compile(r"£([0-9.,]*[0-9])"), lambda match: _money(match, _POUNDS)),
    (re.compile(r"(?<![0-9.,])([0-9.,]*[0-9])£"), lambda match: _money(match, _POUNDS)),
    (re.compile(r"\$([0-9.,]*[0-9])"), lambda match: _money(match, _DOLLARS)),
    (re.compile(r"(?<![0-9.,])([0-9.,]*[0-9])\$"), lambda match: _money(match, _DOLLARS)),
    (re.compile(r"(?<![0-9])([0-9]+)\.(\s*[0-9]+)"), _decimal),
    (re.compile(r"(?<![0-9])([0-9]+)/([0-9]+)"), _fraction),
    (re.compile(r"(?<![0-9])([0-9]+)(?:st|nd|rd|th)"), lambda match: ordinal(match[1])),
    (re.compile(r"[0-9]+"), lambda match: number(match[0])),
)
_SILENT = re.compile(r"[^ A-Za-z'.,?!-]")
_THAT_IS = re.compile(r"i\.e\.", re.IGNORECASE)
_FOR_EXAMPLE = re.compile(r"e\.g\.", re.IGNORECASE)
_INNER_CAPITAL = re.compile(r"(?<=[^\s])([A-Z])")
_REPEATED_MARKS = re.compile(r"([!?….,\-\s])[!?….,-]+")
