# ruff: noqa: D102, SIM905 - methods are described in reader.py; word lists read better as text.
"""How home text is said in English."""

from __future__ import annotations

import re
from collections.abc import Callable

from engines.text.speakable import en_words as words
from engines.text.speakable.patterns import LEFT, RIGHT, UNITS
from engines.text.speakable.reader import LONGEST_CARDINAL, Number, Reader, Rule

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
_GROUPS = ("", " thousand", " million", " billion")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_BELOW = {2: "half", 4: "quarter"}


def _below_hundred(number: int) -> str:
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    parts = [f"{_ONES[hundreds]} hundred"] if hundreds else []
    return " ".join(parts + ([_below_hundred(rest)] if rest else []))


def cardinal(number: int) -> str:
    """12450 → twelve thousand four hundred fifty."""
    if number == 0:
        return _ONES[0]
    parts = []
    for name in _GROUPS:
        number, group = divmod(number, 1000)
        if group:
            parts.append(_below_thousand(group) + name)
    return " ".join(reversed(parts))


def ordinal(number: int) -> str:
    """22 → twenty-second."""
    head, mark, last = _split_last(cardinal(number))
    if last in _ORDINALS:
        return head + mark + _ORDINALS[last]
    return head + mark + (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def _split_last(spoken: str) -> tuple[str, str, str]:
    at = max(spoken.rfind(" "), spoken.rfind("-"))
    return (spoken[:at], spoken[at], spoken[at + 1 :]) if at >= 0 else ("", "", spoken)


def year(number: int) -> str:
    """1907 → nineteen oh seven."""
    century, rest = divmod(number, 100)
    if not 1100 <= number <= 2999 or 2000 <= number <= 2009:
        return cardinal(number)
    if rest == 0:
        return f"{_below_hundred(century)} hundred"
    return f"{_below_hundred(century)} {'oh ' if rest < 10 else ''}{_below_hundred(rest)}"


_MONTH = {m[:3]: m for m in words.MONTHS} | {m: m for m in words.MONTHS} | {"Sept": "September"}
_MONTH_NAMES = "|".join(sorted(_MONTH, key=len, reverse=True))
_DAY_NUMBER = r"(?P<d>3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_YEAR = r"(?:,?[ ](?P<y>(?:1[1-9]|20)\d\d)(?![\d:%]|\.\d|[ ]?(?:°|k?W|steps)))?"
_MONTH_DAY = re.compile(
    rf"{LEFT}(?P<m>{_MONTH_NAMES})\.?[ ]{_DAY_NUMBER}(?![\d:.,]\d|[A-Za-z%°]){_YEAR}"
)
_DAY_MONTH = re.compile(
    rf"{LEFT}(?P<the>the[ ])?{_DAY_NUMBER}\.?[ ](?P<of>of[ ])?"
    rf"(?P<m>{_MONTH_NAMES})(?![A-Za-z]){_YEAR}"
)
_MONTH_YEAR = re.compile(
    rf"{LEFT}(?P<m>{_MONTH_NAMES})\.?,?[ ](?P<y>(?:1[1-9]|20)\d\d)(?![\d:%]|\.\d)"
)
_MONTH_SHORT = re.compile(
    rf"{LEFT}(?P<m>Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\.(?=[ ,]|$)"
)
_WEEKDAY = re.compile(
    rf"{LEFT}(?P<day>{'|'.join(sorted(words.DAYS, key=len, reverse=True))})"
    rf"(?:\.(?=[ ,]|$)|(?=,)|(?=[ ][0-2]?\d:)"
    rf"|(?=[ ](?:{_MONTH_NAMES})(?![a-z]))|(?=[ ]\d))"
)
_SLASH_DATE = re.compile(
    rf"(?P<before>{LEFT}(?:on|by|until|till|from|since|before|after|due|to|arrives|starts|ends)[ ])"
    rf"(?P<m>1[0-2]|0?[1-9])/(?P<d>3[01]|[12]\d|0?[1-9])(?![\d/])"
)
_DECADE = re.compile(rf"{LEFT}(?P<c>1[1-9]|20)?'?(?P<d>[1-9]0)'?s{RIGHT}")
_ORDINAL = re.compile(
    rf"{LEFT}(?P<n>\d{{1,3}}(?:,\d{{3}}){{0,3}}|\d{{1,9}})(?:st|nd|rd|th){RIGHT}", re.I
)
_FEET = re.compile(r"(?<![\d'])([1-9])'[ ]?(1[01]|\d)(?:\"|'')")
_LIST_NUMBER = re.compile(r"(?:^|(?<=[.!?:;]\s))(?P<n>[1-9]\d?)[.)][ ]+(?=[A-Za-z])")
_ROMAN = re.compile(
    rf"{LEFT}(?P<before>{'|'.join(words.NUMBERED)})\.?[ ](?P<n>[IVX]{{1,5}}){RIGHT}(?!')"
)
_RULER = re.compile(
    rf"{LEFT}(?P<before>{'|'.join(words.RULERS)})[ ](?P<n>[IVX]{{1,5}}){RIGHT}(?!')"
)
_CALLED = re.compile(
    rf"(?P<before>{LEFT}(?:call|dial|phone|ring|text|number|code|extension|ext\.|PIN|pin)"
    r"(?:[ ]is)?:?[ ])"
    rf"(?P<n>\d{{3,8}}(?:-\d{{4}})?){RIGHT}(?![.,:/-]?\d|[ ]?(?:times|people|friends|%))",
    re.I,
)
_YEAR_ALONE = re.compile(
    rf"(?P<before>{LEFT}(?:in|since|until|till|of|by|from|year|before|after|during|around|and)[ ])"
    rf"(?P<n>(?:1[1-9]|20)\d\d)(?![\d:%°/])(?!\.\d|,\d|[ ]?[-–][ ]?\d)"
    rf"(?![ ](?:[a-z]+s|°|{LEFT}(?:lux|hertz|rpm|ppm|kW|W|V|A|VA|hPa|kcal))(?![A-Za-z]))"
)
_VERSION_WORD = re.compile(
    rf"(?P<before>{LEFT}(?:version|core|release|firmware|upgrade to|update to|updated to|os)[ ])"
    rf"[vV]?(?P<n>\d{{1,4}}\.\d{{1,4}}){RIGHT}(?!\.\d)",
    re.I,
)
_SHORT_FORMS = words.SHORT_FORMS | {
    short[0].upper() + short[1:]: said[0].upper() + said[1:]
    for short, said in words.SHORT_FORMS.items()
}
_SHORT = re.compile(
    rf"{LEFT}(?P<w>{'|'.join(re.escape(w) for w in sorted(_SHORT_FORMS, key=len, reverse=True))})"
    rf"(?![A-Za-z0-9.])(?P<end>[ ]+[A-Z]|\s*$)?"
)
_TITLE = re.compile(
    rf"{LEFT}(?P<w>{'|'.join(re.escape(w) for w in sorted(words.TITLES, key=len, reverse=True))})"
    r"(?=[ ][A-Z])"
)
_STREET = re.compile(r"(?P<name>[A-Z][a-z]+[ ])St\.?(?![A-Za-z0-9])(?P<end>[ ]+[A-Z]|\s*$)?")
_KNOWN_SAINT = re.compile(rf"{LEFT}St\.?(?=[ ](?:{'|'.join(words.SAINTS)})(?![a-z]))")
_SAINT = re.compile(rf"{LEFT}St\.?(?=[ ][A-Z])")
_UNIT_STOP = re.compile(r"(?<=\d)[ ]?(?:mins?|secs?|hrs?|ft|lbs?|oz)\.(?=[ ]+[a-z])")
_NUMBER_SIGN = re.compile(rf"{LEFT}(?:[Nn]o\.[ ]?|#[ ]?)(?=\d)")
_CAPITALS = re.compile(r"(?<![A-Za-z0-9'])[A-Z][A-Z']*(?:-[A-Z']+)*(?![A-Za-z0-9])")
_DOTTED = re.compile(rf"{LEFT}(?:[A-Z]\.){{2,6}}(?P<end>[ ]+[A-Z]|\s*$)?")
_BETWEEN = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")


class EnglishReader(Reader):
    """American words; a 24-hour clock is said in halves of the day."""

    stop = "."
    minus = "minus "
    plus = "plus "
    plus_minus = "plus or minus "
    dot = " dot "
    at = " at "
    version_word = "version "
    units = words.UNITS
    currencies = words.CURRENCIES
    terms = words.TERMS
    symbols = (
        (r"(?<=\w)[ ][-–][ ](?=[\w-]+(?:[ ]point[ ][\w ]{1,40})?[ ]?=)", " minus "),
        (r"[ ]?[—―][ ]?|[ ]–[ ]|[ ]-[ ]|[ ]--[ ]|-{2,}", ", "),
        (r"[ ]?&[ ]?", " and "),
        (r"[ ]?%", " percent"),
        (r"[ ]?°", " degrees"),
        (r"[ ]?(?<!\w)@[ ]?|(?<=\w)[ ]?@[ ]?", " at "),
        (r"[ ]?±[ ]?", " plus or minus "),
        (r"[ ]?×[ ]?", " times "),
        (r"[ ]?÷[ ]?", " divided by "),
        (r"[ ]?(?:≥|>=)[ ]?", " at least "),
        (r"[ ]?(?:≤|<=)[ ]?", " at most "),
        (r"[ ]?(?:≈|~)[ ]?(?=\w)", " about "),
        (r"[ ]?≠[ ]?", " is not "),
        (r"[ ]?→[ ]?", " to "),
        (r"[ ]?>[ ]?(?=(?:minus[ ])?(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven"
         r"|twelve|thir|four|fif|six|seven|eight|nine|twen|for|fif)\w*)", " over "),
        (r"[ ]?<[ ]?(?=(?:minus[ ])?(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven"
         r"|twelve|thir|four|fif|six|seven|eight|nine|twen|for|fif)\w*)", " under "),
        (r"[ ]?\+[ ]?(?=\w)", " plus "),
        (r"(?<=\w)\+", " plus"),
        (r"(?<=\w)[ ]?=[ ]?(?=\w)", " equals "),
        (r"[ ]?/[ ]?(?=(?:second|minute|hour|day|week|month|year|night|person)(?![a-z]))", " per "),
        (r"€", " euros"),
        (r"£", " pounds"),
        (r"²", " squared"),
        (r"³", " cubed"),
        (r"(?<=[A-Za-z])/(?=[A-Za-z])", " "),
        (r"[ ]?:[ ]|[ ]?;[ ]?", ", "),
        (r":(?=$|[ ])", ","),
        (r"[#*_^|\\~`=+$¥₩₹/·]+", " "),
    )  # fmt: skip
    group_mark = ", "
    dots_dates = False

    def cardinal(self, digits: str) -> str:
        return cardinal(int(digits))

    def digits(self, digits: str) -> str:
        return " ".join(_ONES[int(digit)] for digit in digits)

    def decimal(self, whole: str, fraction: str) -> str:
        spoken = self.digits(whole) if len(whole) > LONGEST_CARDINAL else self.cardinal(whole)
        return f"{spoken} point {self.digits(fraction)}"

    def clock(self, hour: int, minute: int, second: int | None, half: str) -> str:
        if not half and not second and minute == 0 and hour in (0, 12, 24):
            return "noon" if hour == 12 else "midnight"
        half = half or ("p" if 12 <= hour < 24 else "a")
        spoken = cardinal(hour % 12 or 12)
        if minute or second:
            spoken += " " + ("oh " if minute < 10 else "") + cardinal(minute)
        spoken += f" {half.upper()}M"
        return f"{spoken} and {self._count(second, 's')}" if second else spoken

    def tells_time(self, before: str) -> bool:
        return bool(re.search(r"(?:\b(?:at|by|until|since|is|now|from|to)|,|PM|AM)\s$", before))

    def date(self, year_: int | None, month: int, day: int) -> str:
        spoken = f"{words.MONTHS[month - 1]} {ordinal(day)}"
        return f"{spoken}, {year(year_)}" if year_ else spoken

    def lapse(self, days: int, hours: int, minutes: int, seconds: int) -> str:
        counts = zip((days, hours, minutes, seconds), ("d", "h", "min", "s"), strict=True)
        parts = [self._count(count, unit) for count, unit in counts if count]
        if not parts:
            return self._count(0, "s")
        return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))

    def _count(self, count: int, unit: str) -> str:
        return self.with_unit(cardinal(count), unit, count == 1)

    def span(self, first: str, last: str) -> str:
        return f"{first} to {last}"

    def fraction(self, whole: str | None, above: str, below: str) -> str | None:
        numerator, denominator = int(above), int(below)
        if denominator == 0 or above[0] == "0":
            return f"{self._maybe(whole)}{self.cardinal(above)} of {self.cardinal(below)}"
        if numerator >= denominator or denominator > 16:
            return f"{self._maybe(whole)}{self.cardinal(above)} out of {self.cardinal(below)}"
        name = _BELOW.get(denominator, ordinal(denominator))
        plural = {"half": "halves"}.get(name, f"{name}s")
        one = "a" if whole and denominator in _BELOW else "one"
        spoken = f"{one} {name}" if numerator == 1 else f"{cardinal(numerator)} {plural}"
        return f"{self._maybe(whole, ' and')}{spoken}"

    def _maybe(self, whole: str | None, joint: str = "") -> str:
        return f"{self.cardinal(whole)}{joint} " if whole else ""

    def ratio(self, first: str, second: str) -> str:
        return f"{first} to {second}"

    def per(self, unit: str) -> str:
        return f" per {words.UNITS[UNITS[unit]].partition('|')[0]}"

    def phone(self, text: str) -> str:
        groups = [self.digits(group) for group in re.findall(r"\d+", text)]
        return (self.plus if text[0] == "+" else "") + self.group_mark.join(groups)

    def with_unit(self, spoken: str, unit: str, one: bool) -> str:
        singular, _, plural = self.units[unit].partition("|")
        return f"{spoken} {singular if one else plural or singular}"

    def money(self, number: Number, currency: str, scale: str | None) -> str:
        one, many, cent, cents = self.currencies[currency].split("|")
        if scale:
            return self.signed(number, self._large(number, scale) + f" {many}")
        hundredths = int((number.fraction + "00")[:2]) if len(number.fraction) <= 2 else 0
        if not cent or len(number.fraction) > 2:
            spoken = f"{self.unsigned(number.trimmed())} {one if number.is_one else many}"
        else:
            name = one if int(number.whole) == 1 else many
            whole = f"{self.unsigned(Number('', number.whole, ''))} {name}"
            small = f"{cardinal(hundredths)} {cent if hundredths == 1 else cents}"
            parts = [whole] if int(number.whole) or not hundredths else []
            spoken = " and ".join(parts + ([small] if hundredths else []))
        return self.signed(number, spoken)

    def _large(self, number: Number, scale: str) -> str:
        name = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion"}
        return f"{self.unsigned(number.trimmed())} {name.get(scale, scale)}"

    def version(self, parts: list[str], marked: bool) -> str:
        spoken = [cardinal(int(part)) for part in parts]
        if len(parts[0]) == 4:
            spoken[0] = year(int(parts[0]))
        return (self.version_word if marked else "") + " point ".join(spoken)

    def plain(self, number: Number, match: re.Match[str]) -> str:
        before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
        left = " " if before.isalpha() else ""
        return left + super().plain(number, match) + (" " if after.isalpha() else "")

    def early_rules(self) -> tuple[Rule, ...]:
        return (
            (_VERSION_WORD, lambda m: m["before"] + self.version(m["n"].split("."), False)),
            (_MONTH_DAY, self._named_date),
            (_DAY_MONTH, self._day_of_month),
            (_UNIT_STOP, lambda m: m[0][:-1]),
            (_MONTH_YEAR, lambda m: f"{_MONTH[m['m']]} {year(int(m['y']))}"),
            (_WEEKDAY, lambda m: words.DAYS[m["day"]]),
            (_MONTH_SHORT, lambda m: _MONTH[m["m"]]),
            (_SLASH_DATE, lambda m: m["before"] + self.date(None, int(m["m"]), int(m["d"]))),
            (_CALLED, lambda m: m["before"] + self.phone(m["n"])),
            (_FEET, lambda m: f"{m[1]} foot {m[2]}"),
            (_LIST_NUMBER, lambda m: f"{ordinal(int(m['n']))}, "),
            (_DECADE, self._decade),
            (_ORDINAL, lambda m: ordinal(int(m["n"].replace(",", "")))),
        )

    def late_rules(self) -> tuple[Rule, ...]:
        return (
            (_YEAR_ALONE, lambda m: m["before"] + year(int(m["n"]))),
            (_NUMBER_SIGN, lambda m: "number "),
            (_TITLE, lambda m: words.TITLES[m["w"]]),
            (_SHORT, self._short_form),
            (_KNOWN_SAINT, lambda m: "Saint"),
            (_STREET, lambda m: f"{m['name']}Street" + _sentence_end(m["end"])),
            (_SAINT, lambda m: "Saint"),
            (_ROMAN, lambda m: f"{m['before']} {self._roman(m['n'], cardinal)}"),
            (_RULER, lambda m: f"{m['before']} the {self._roman(m['n'], ordinal)}"),
            (_DOTTED, lambda m: re.sub(r"[^A-Z]", "", m[0][: len(m[0]) - len(m["end"] or "")])
             + _sentence_end(m["end"])),
            (_CAPITALS, self._capitals),
        )  # fmt: skip

    def _named_date(self, match: re.Match[str]) -> str:
        month = words.MONTHS.index(_MONTH[match["m"]]) + 1
        return self.date(int(match["y"]) if match["y"] else None, month, int(match["d"]))

    def _day_of_month(self, match: re.Match[str]) -> str:
        if not (match["the"] or match["of"]):
            return self._named_date(match)
        said_year = f", {year(int(match['y']))}" if match["y"] else ""
        return f"the {ordinal(int(match['d']))} of {_MONTH[match['m']]}{said_year}"

    def _decade(self, match: re.Match[str]) -> str:
        tens = _TENS[int(match["d"]) // 10]
        plural = "tens" if tens == "ten" else f"{tens[:-1]}ies"
        return f"{_below_hundred(int(match['c']))} {plural}" if match["c"] else plural

    def _short_form(self, match: re.Match[str]) -> str:
        spoken = _SHORT_FORMS[match["w"]]
        return spoken + (
            _sentence_end(match["end"]) if match["w"].endswith(".") else match["end"] or ""
        )

    def _roman(self, numeral: str, say: Callable[[int], str]) -> str:
        values = [{"I": 1, "V": 5, "X": 10}[letter] for letter in numeral]
        total = sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))
        return say(total)

    def _capitals(self, match: re.Match[str]) -> str:
        before = match.string[max(0, match.start() - 2) : match.start()]
        after = match.string[match.end() : match.end() + 3]
        if match[0] in ("A", "I", "AM"):
            # "Plan A" and "6 AM" stay; "THERE IS A LEAK" and "I AM HOME" are shouted words.
            shouted = (before == "I " or before[:1].isupper()) and re.match(" [A-Z]{2}", after)
            return match[0].lower() if shouted and match[0] != "I" else match[0]
        return "-".join(_calm(word) for word in match[0].split("-"))


def _calm(word: str) -> str:
    """Lower a shouted word; leave what is said letter by letter."""
    bare = word.split("'")[0]
    if bare in words.SHORT_WORDS or (
        len(bare) > 3 and bare not in words.ACRONYMS and _sounds(bare)
    ):
        return word.lower()
    return word


def _sounds(word: str) -> bool:
    """Whether capitals can be a word: vowels, and no more than three consonants in a row."""
    return bool(re.search("[AEIOUY]", word)) and not re.search("[^AEIOUY]{4}", word)


def _sentence_end(follows: str | None) -> str:
    return "" if follows is None else f".{follows}"
