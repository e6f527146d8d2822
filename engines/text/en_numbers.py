"""English number words, as the `inflect` package says them to the official front end."""

from __future__ import annotations

# fmt: off
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = (
    "thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion",
    "septillion", "octillion", "nonillion", "decillion",
)
# fmt: on
_IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
# Beyond the decillions there are no words left; the original stops with an error there.
_LONGEST_CARDINAL = 3 * len(_SCALES) + 3


def cardinal(digits: str, conjunction: str = "") -> str:
    """Say a whole number: `12450` is "twelve thousand, four hundred fifty".

    Args:
        digits: ASCII digits; leading zeros are not said. From 37 digits on, digit by digit.
        conjunction: "and" for "one hundred and five".
    """
    digits = digits.lstrip("0") or "0"
    if len(digits) > _LONGEST_CARDINAL:
        return " ".join(_ONES[int(digit)] for digit in digits)
    number = int(digits)
    if number < 1000:
        return _below_thousand(number, conjunction)
    groups = []
    rest, scale = number // 1000, 0
    while rest:
        rest, group = divmod(rest, 1000)
        if group:
            groups.append(f"{_below_thousand(group, conjunction)} {_SCALES[scale]}")
        scale += 1
    words = ", ".join(reversed(groups))
    last = number % 1000
    if not last:
        return words
    # A last group without hundreds follows without a comma: "one thousand five".
    link = ", " if last >= 100 else f" {conjunction} " if conjunction else " "
    return words + link + _below_thousand(last, conjunction)


def ordinal(digits: str) -> str:
    """Say a rank: `101` is "one hundred and first"."""
    words = cardinal(digits, "and")
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[cut:]
    if last in _IRREGULAR_ORDINALS:
        return words[:cut] + _IRREGULAR_ORDINALS[last]
    return words[:-1] + "ieth" if words.endswith("y") else words + "th"


def ordinal_mark(digits: str) -> str:
    """Return the two letters that follow a rank in digits: st, nd, rd or th."""
    if digits[-2:] in ("11", "12", "13"):
        return "th"
    return {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1], "th")


def number(digits: str) -> str:
    """Say a whole number of a sentence: 1001 to 2999 like a year, all others as cardinals."""
    if len(digits.lstrip("0")) != 4 or not 1000 < int(digits) < 3000:
        return cardinal(digits)
    hundreds, rest = divmod(int(digits), 100)
    if hundreds == 20 and rest < 10:
        return cardinal(digits)
    if not rest:
        return f"{_below_thousand(hundreds)} hundred"
    return f"{_below_thousand(hundreds)} {'oh ' if rest < 10 else ''}{_below_thousand(rest)}"


def _below_thousand(number: int, conjunction: str = "") -> str:
    hundreds, rest = divmod(number, 100)
    if hundreds:
        words = f"{_ONES[hundreds]} hundred"
        link = f" {conjunction} " if conjunction else " "
        return words + link + _below_thousand(rest) if rest else words
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")
