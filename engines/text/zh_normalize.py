"""Written Chinese becomes Chinese characters: numbers, dates, units and symbols in words.

The order of the rules is that of the official front end (which took it from PaddleSpeech), with
what it gets wrong: the models learned `-3.5` and `400-123-4567` that way. What a home needs said
better is rewritten before it gets here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from engines.text.data import read_table

_DIGITS = "零一二三四五六七八九"
_UNITS = ("", "十", "百", "千")
# Beyond, the official reading repeats 亿 until nobody can follow: digits are said one by one.
_CARDINAL_DIGITS = 16

_DROPPED = re.compile(r"[—《》【】<>{}()（）#&@“”^_|\\]")
_SENTENCE_END = re.compile(r"([：、，；。？！,;?!]’?)")
_LEFTOVER = re.compile(r"[-—《》【】<=>{}()（）#&@“”^_|\\]")

_HOUR = r"(2[0-3]|[01]?[0-9]):([0-5][0-9])(?::([0-5][0-9]))?"
_NUMBER = r"(?:-?\d+(?:\.\d+)?|\.\d+)"
_SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹ˣʸⁿ"
_OPERAND = rf"(?:-?\d+(?:\.\d+)?[{_SUPERSCRIPT}]*|\.\d+[{_SUPERSCRIPT}]*|[A-Za-z][{_SUPERSCRIPT}]*)"
_MEASURED = r"(?:%|°C|℃|度|摄氏度|cm2|cm²|cm3|cm³|cm|db|ds|kg|km|m2|m²|m³|m3|ml|m|mm|s)"


def sentences(text: str) -> list[str]:
    """Cut a text at its marks and say everything that is not a Chinese character in them.

    Returns:
        Simplified Chinese sentences with their marks; Latin letters may remain.
    """
    text = _DROPPED.sub("", text.replace(" ", ""))
    lines = re.split(r"\n+", _SENTENCE_END.sub(r"\1\n", text).strip())
    return [_said(line.strip()) for line in lines]


def cardinal(digits: str) -> str:
    """Say a number of digits with at most one point, without sign: `0.50` is 零点五零."""
    whole, _, fraction = digits.partition(".")
    words = _whole_number(whole.lstrip("0")) or "零"
    if not fraction:
        return words
    # One trailing zero is kept as a sign that there were any.
    shown = fraction.rstrip("0") + ("0" if fraction.endswith("0") else "")
    return f"{words}点{one_by_one(shown)}"


def one_by_one(digits: str, telephone: bool = False) -> str:
    """Say digits one after the other, on the telephone with 幺 for 一."""
    words = "".join(_DIGITS[int(digit)] for digit in digits)
    return words.replace("一", "幺") if telephone else words


def _whole_number(digits: str) -> str:
    if len(digits) > _CARDINAL_DIGITS:
        return one_by_one(digits)
    words = _below_hundred_million(digits[:-8])
    if words:
        words += "亿"
    low = digits[-8:]
    said = _below_hundred_million(low)
    words += ("零" if words and said and low.startswith("0") else "") + said
    return words.removeprefix("一") if words.startswith("一十") else words


def _below_hundred_million(group: str) -> str:
    high, low = group[:-4], group[-4:]
    words = _below_ten_thousand(high)
    if words:
        words += "万"
    said = _below_ten_thousand(low)
    return words + ("零" if words and said and low.startswith("0") else "") + said


def _below_ten_thousand(group: str) -> str:
    words = ""
    for unit, digit in zip(_UNITS, reversed(group), strict=False):
        if digit != "0":
            words = _DIGITS[int(digit)] + unit + words
        elif words and not words.startswith("零"):
            words = "零" + words
    return words.removeprefix("零")


def _signed(text: str, minus: str = "负") -> str:
    return minus + cardinal(text[1:]) if text.startswith("-") else cardinal(text)


def _clock(hour: str, minute: str, second: str | None, half: bool) -> str:
    words = cardinal(hour) + "点"
    if minute != "00":
        words += "半" if half else _sixtieth(minute) + "分"
    if second and second != "00":
        words += _sixtieth(second) + "秒"
    return words


def _sixtieth(digits: str) -> str:
    return ("零" if digits.startswith("0") else "") + cardinal(digits)


def _date(match: re.Match[str]) -> str:
    year, month, day, unit = match.groups()
    words = one_by_one(year) + "年"
    words += f"{cardinal(month)}月" if month else ""
    return words + (f"{cardinal(day)}{unit}" if day else "")


def _written_date(match: re.Match[str]) -> str:
    year, _, month, day = match.groups()
    return f"{one_by_one(year)}年{cardinal(month)}月{cardinal(day)}日"


def _time_range(match: re.Match[str]) -> str:
    hour, minute, second, hour_2, minute_2, second_2 = match.groups()
    half = minute == "30"
    return f"{_clock(hour, minute, second, half)}至{_clock(hour_2, minute_2, second_2, half)}"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = match.groups()
    return _clock(hour, minute, second, half=minute == "30")


def _temperature(match: re.Match[str]) -> str:
    return _signed(match[1], minus="零下") + "度"


def _fraction(match: re.Match[str]) -> str:
    sign, above, below = match.groups()
    return ("负" if sign else "") + f"{cardinal(below)}分之{cardinal(above)}"


def _percentage(match: re.Match[str]) -> str:
    sign, number = match.groups()
    return ("负" if sign else "") + f"百分之{cardinal(number)}"


def _mobile(match: re.Match[str]) -> str:
    parts = match[0].strip("+").split()
    return "，".join(one_by_one(part, telephone=True) for part in parts)


def _landline(match: re.Match[str]) -> str:
    return "，".join(one_by_one(part, telephone=True) for part in match[0].split("-"))


def _hotline(match: re.Match[str]) -> str:
    return one_by_one(match[0].replace("-", ""), telephone=True)


def _range(match: re.Match[str]) -> str:
    return f"{_signed(match[1])}到{_signed(match[2])}"


def _version_number(match: re.Match[str]) -> str:
    return "点".join(one_by_one(part) for part in match[0].split("."))


def _counted(match: re.Match[str]) -> str:
    number, more, quantifier = match[1], match[2], match[3]
    words = cardinal(number)
    words = "两" if words == "二" else words
    return words + (more or "").replace("+", "多") + quantifier


def _plain(match: re.Match[str]) -> str:
    return _signed(match[0])


Characters = dict[int, "str | int"]
Rule = tuple[re.Pattern[str], "str | Callable[[re.Match[str]], str]"]


@cache
def _tables() -> tuple[Characters, dict[str, str], re.Pattern[str], Characters]:
    characters = read_table("zh_simplified.json")
    tables = read_table("zh_tables.json")
    simplify: Characters = {code: code - 0xFEE0 for code in _fullwidth_alphanumerics()}
    simplify.update(str.maketrans(characters["traditional"], characters["simplified"]))
    # Quantifiers overlap (千 and 千米), so the pattern keeps the table's order.
    quantifier = re.compile(rf"(\d+)([多余几+])?({tables['quantifier_regex']})")
    symbols: Characters = str.maketrans(tables["symbol_words"])
    return simplify, tables["measure"], quantifier, symbols


def _fullwidth_alphanumerics() -> Iterator[int]:
    for first, last in ("０９", "ＡＺ", "ａｚ"):
        yield from range(ord(first), ord(last) + 1)


_BEFORE_UNITS: tuple[Rule, ...] = (
    (
        re.compile(r"(\d{4}|\d{2})年(?:(0?[1-9]|1[0-2])月)?(?:(0?[1-9]|[12][0-9]|30|31)([日号]))?"),
        _date,
    ),
    (
        re.compile(r"(\d{4})([- /.])(0[1-9]|1[012])\2(0[1-9]|[12][0-9]|3[01])"),
        _written_date,
    ),
    (re.compile(rf"{_HOUR}[~-]{_HOUR}"), _time_range),
    (re.compile(_HOUR), _time),
    (re.compile(rf"({_NUMBER}{_MEASURED})~({_NUMBER}{_MEASURED})"), r"\1至\2"),
    (re.compile(r"(-?\d+(?:\.\d+)?)(?:°C|℃|度|摄氏度)"), _temperature),
)
_ARITHMETIC = re.compile(rf"({_OPERAND})([-+×÷=])({_OPERAND})")
_ARITHMETIC_WORDS = {"+": "加", "-": "减", "×": "乘", "÷": "除", "=": "等于"}
_POWER = re.compile(rf"[{_SUPERSCRIPT}]+")
_POWER_DIGITS = str.maketrans(_SUPERSCRIPT, "0123456789xyn")
_NUMBERS: tuple[Rule, ...] = (
    (re.compile(r"(-?)(\d+)/(\d+)"), _fraction),
    (re.compile(r"(-?)(\d+(?:\.\d+)?)%"), _percentage),
    (
        re.compile(r"(?<!\d)(?:\+?86 ?)?1(?:[38]\d|5[0-35-9]|7[678]|9[89])\d{8}(?!\d)"),
        _mobile,
    ),
    (re.compile(r"(?<!\d)(?:0(?:10|2[1-3]|[3-9]\d{2})-?)?[1-9]\d{6,7}(?!\d)"), _landline),
    (re.compile(r"400-?\d{3}-?\d{4}"), _hotline),
    (
        re.compile(r"(?<![\d+\-×÷=])(-?\d+(?:\.\d+)?)[-~](-?\d+(?:\.\d+)?)(?![\d+\-×÷=])"),
        _range,
    ),
    (re.compile(r"-\d+"), _plain),
    (re.compile(r"\d+(?:\.\d+){2,}"), _version_number),
    (re.compile(r"-?\d+\.\d+|\.\d+"), _plain),
)
_MANY_DIGITS = re.compile(r"\d{3,}")
_ANY_NUMBER = re.compile(_NUMBER)


def _said(sentence: str) -> str:
    simplify, measures, quantifier, symbols = _tables()
    sentence = sentence.translate(simplify)
    for pattern, said in _BEFORE_UNITS:
        sentence = pattern.sub(said, sentence)
    for unit, name in measures.items():
        sentence = sentence.replace(unit, name)
    while _ARITHMETIC.search(sentence):
        sentence = _ARITHMETIC.sub(lambda m: m[1] + _ARITHMETIC_WORDS[m[2]] + m[3], sentence)
    sentence = _POWER.sub(lambda m: f"的{m[0].translate(_POWER_DIGITS)}次方", sentence)
    for pattern, said in _NUMBERS:
        sentence = pattern.sub(said, sentence)
    sentence = quantifier.sub(_counted, sentence)
    sentence = _MANY_DIGITS.sub(lambda m: one_by_one(m[0], telephone=True), sentence)
    sentence = _ANY_NUMBER.sub(_plain, sentence)
    return _LEFTOVER.sub("", sentence.translate(symbols))
