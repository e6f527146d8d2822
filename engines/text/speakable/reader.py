"""Finds numbers, times, units and the like in home text and has a language say them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from engines.text.speakable import patterns
from engines.text.speakable.cleaning import fold, strip_markdown, tidy

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

# Above this many digits nobody hears a quantity; the digits are said one by one.
LONGEST_CARDINAL = 12
_SCALES = {"k": 3, "K": 3, "thousand": 3, "m": 6, "M": 6, "million": 6, "bn": 9, "billion": 9}


@dataclass(frozen=True, slots=True)
class Number:
    """A written number: sign (`-`, `+`, `±` or empty), whole and fraction digits."""

    sign: str
    whole: str
    fraction: str

    @classmethod
    def parse(cls, text: str, sign: str | None = None) -> Number:
        """Read `1,234.5`, `.5`, `1,5` or `1.234,5`."""
        if re.search(r",\d{1,2}$", text):
            text = text.replace(".", "").replace(",", ".")
        whole, _, fraction = text.replace(",", "").partition(".")
        return cls((sign or "").replace("–", "-"), whole or "0", fraction)

    def trimmed(self) -> Number:
        """Without the zeros that a sensor appends: 23.0 is twenty-three."""
        return replace(self, fraction=self.fraction.rstrip("0"))

    @property
    def is_one(self) -> bool:
        """Whether a unit after it is singular."""
        return self.whole == "1" and not self.fraction

    @property
    def is_code(self) -> bool:
        """Whether it is a string of digits rather than an amount."""
        return len(self.whole) > LONGEST_CARDINAL or (len(self.whole) > 1 and self.whole[0] == "0")


class Reader(ABC):
    """One language's way of saying home text: `read` finds, the methods below say.

    Methods get what was found as digits and return words, or None to leave the text as it is.
    """

    stop: ClassVar[str]
    minus: ClassVar[str]
    plus: ClassVar[str]
    plus_minus: ClassVar[str]
    dot: ClassVar[str]
    at: ClassVar[str]
    version_word: ClassVar[str]
    units: ClassVar[Mapping[str, str]]
    currencies: ClassVar[Mapping[str, str]]
    terms: ClassVar[Mapping[str, str]]
    symbols: ClassVar[tuple[tuple[str, str], ...]]
    group_mark: ClassVar[str]
    # 2026.11.23 is a date in East Asia and a version number elsewhere.
    dots_dates: ClassVar[bool] = True

    def __init__(self) -> None:
        term = "|".join(re.escape(t) for t in sorted(self.terms, key=len, reverse=True))
        terms = re.compile(rf"(?<![A-Za-z0-9_.])(?:{term})(?![A-Za-z0-9_])")
        self._rules: tuple[Rule, ...] = (
            (patterns.EMAIL, self._email),
            (patterns.URL, self._url),
            (patterns.ENTITY, self._entity),
            (patterns.ISO_MOMENT, lambda m: f"{m['date']} {m['time']}"),
            (terms, lambda m: self.terms[m[0]]),
            *self.early_rules(),
            (patterns.DATE_YEAR_FIRST, self._date_year_first),
            (patterns.DATE_YEAR_LAST, self._date_year_last),
            (patterns.IP_ADDRESS, lambda m: self.address(m["ip"])),
            (patterns.VERSION, self._version),
            (patterns.CLOCK_RANGE, self._clock_range),
            (patterns.CLOCK, self._clock),
            (patterns.HOUR, self._hour),
            (patterns.LAPSE, self._lapse),
            (patterns.PHONE, lambda m: self.phone(m[0])),
            (patterns.BARE_DEGREES, lambda m: f"{m['n']}°{m['unit']}"),
            (patterns.MONEY, self._money),
            (patterns.RANGE, self._range),
            (patterns.QUANTITY, self._quantity),
            (patterns.PER_UNIT, lambda m: self.per(m["unit"])),
            (patterns.FRACTION, self._fraction),
            (patterns.RATIO, lambda m: self.ratio(self.cardinal(m["a"]), self.cardinal(m["b"]))),
            *self.late_rules(),
            (patterns.PLAIN, self._plain),
            *((re.compile(pattern), _constant(words)) for pattern, words in self.symbols),
        )

    def read(self, text: str) -> str:
        """One pass over `text`, in time linear in its length."""
        text = strip_markdown(fold(text), self.stop)
        for pattern, say in self._rules:
            text = pattern.sub(say, text)
        return tidy(text)

    def early_rules(self) -> tuple[Rule, ...]:
        """What this language finds before dates and numbers are looked for."""
        return ()

    def late_rules(self) -> tuple[Rule, ...]:
        """What this language finds after all but plain numbers are said."""
        return ()

    @abstractmethod
    def cardinal(self, digits: str) -> str:
        """Say a whole number of at most `LONGEST_CARDINAL` digits."""

    @abstractmethod
    def digits(self, digits: str) -> str:
        """Say digits one by one."""

    @abstractmethod
    def decimal(self, whole: str, fraction: str) -> str:
        """Say a number with a fraction."""

    @abstractmethod
    def clock(self, hour: int, minute: int, second: int | None, half: str) -> str:
        """Say a time of day; `half` is `a`, `p` or empty for a 24-hour clock."""

    @abstractmethod
    def date(self, year: int | None, month: int, day: int) -> str:
        """Say a date."""

    @abstractmethod
    def lapse(self, days: int, hours: int, minutes: int, seconds: int) -> str:
        """Say a length of time; parts that are 0 are not said."""

    @abstractmethod
    def span(self, first: str, last: str) -> str:
        """Say a range between two spoken values."""

    @abstractmethod
    def fraction(self, whole: str | None, above: str, below: str) -> str | None:
        """Say a fraction."""

    @abstractmethod
    def ratio(self, first: str, second: str) -> str:
        """Say a ratio or a score."""

    @abstractmethod
    def per(self, unit: str) -> str:
        """Say a slash before a unit."""

    @abstractmethod
    def phone(self, text: str) -> str:
        """Say a telephone number."""

    def amount(self, number: Number, unit: str) -> str:
        """Say the number before `unit`."""
        return self.signed(number, self.unsigned(number))

    def unsigned(self, number: Number) -> str:
        """Say a number without its sign."""
        if number.fraction:
            return self.decimal(number.whole, number.fraction)
        return self.digits(number.whole) if number.is_code else self.cardinal(number.whole)

    def signed(self, number: Number, spoken: str) -> str:
        """Put the sign in front of the spoken number."""
        return {"-": self.minus, "+": self.plus, "±": self.plus_minus}.get(number.sign, "") + spoken

    def with_unit(self, spoken: str, unit: str, one: bool) -> str:
        """Put the unit where the language says it; `{}` in the table marks the number's place."""
        words = self.units[unit]
        return words.format(spoken) if "{}" in words else spoken + words

    def plain(self, number: Number, match: re.Match[str]) -> str:
        """Say a number that has no unit; the match shows what stands around it."""
        return self.signed(number, self.unsigned(number))

    def money(self, number: Number, currency: str, scale: str | None) -> str:
        """Say a price."""
        spoken = self.unsigned(_scaled(number, scale))
        return self.signed(number, spoken + self.currencies[currency])

    def address(self, ip: str) -> str:
        """Say a network address."""
        return self.dot.join(self.digits(part) for part in ip.split("."))

    def version(self, parts: list[str], marked: bool) -> str:
        """Say a version number; `marked` when a v stands before it."""
        spoken = self.dot_in_version.join(self.cardinal(part[:LONGEST_CARDINAL]) for part in parts)
        return (self.version_word if marked else "") + spoken

    @property
    def dot_in_version(self) -> str:
        """The word between the parts of a version number."""
        return self.dot

    def name(self, text: str) -> str:
        """Say the name of a computer or a mailbox."""
        return re.sub(r"\s*\.\s*", lambda _: self.dot, re.sub(r"[-_%+]+", " ", text))

    def _email(self, match: re.Match[str]) -> str:
        user, _, host = match[0].partition("@")
        return self.name(user) + self.at + self.name(host)

    def _url(self, match: re.Match[str]) -> str:
        link = match["rest"] or match["bare"]
        tail = re.search(r"[.,;:!?)\]'\"]*$", link)
        host = re.split(r"[/?#]", link)[0].rpartition("@")[2]
        host = re.sub(r"^www\.", "", re.sub(r":\d*$", "", host.rstrip(".,;:!?)]'\"")), flags=re.I)
        is_address = re.fullmatch(r"\d{1,3}(?:\.\d{1,3}){3}", host)
        return (self.address(host) if is_address else self.name(host)) + (tail[0] if tail else "")

    def _entity(self, match: re.Match[str]) -> str:
        return (match["object"] or match["snake"]).replace("_", " ")

    def _date_year_first(self, match: re.Match[str]) -> str:
        month, day = int(match["m"]), int(match["d"])
        dotted = match["s"] == "." and not (self.dots_dates and len(match[0]) == 10)
        if dotted or not (1 <= month <= 12 and 1 <= day <= 31):
            return match[0]
        return self.date(int(match["y"]), month, day)

    def _date_year_last(self, match: re.Match[str]) -> str:
        first, second = int(match["a"]), int(match["b"])
        month_first = match["s"] == "/" and first <= 12
        month, day = (first, second) if month_first else (second, first)
        if not (1 <= month <= 12 and 1 <= day <= 31):
            return match[0]
        return self.date(int(match["y"]), month, day)

    def _version(self, match: re.Match[str]) -> str:
        parts = (match["parts"] or match["short"]).split(".")
        marked = match[0][0] in "vV"
        return self.version(parts, marked) + (f" {match['tail']}" if match["tail"] else "")

    def _clock_range(self, match: re.Match[str]) -> str:
        first = self._time(match["from"], match["half1"] or match["half2"])
        return self.span(first, self._time(match["to"], match["half2"]))

    def _time(self, text: str, half: str | None) -> str:
        hour, minute = re.split("[:：]", text)
        return self.clock(int(hour), int(minute), None, (half or "").lower())

    def _clock(self, match: re.Match[str]) -> str:
        if match["s"] is None:
            return self._time(match["time"], match["half"])
        hour, minute, second = (int(p) for p in (*re.split("[:：]", match["time"]), match["s"]))
        if match["half"] or hour > 12 or self.tells_time(match.string[: match.start()][-24:]):
            return self.clock(hour, minute, second, (match["half"] or "").lower())
        return self.lapse(0, hour, minute, second)

    def tells_time(self, before: str) -> bool:
        """Whether the text before 7:05:30 makes it a time of day, not a length of time."""
        return False

    def _hour(self, match: re.Match[str]) -> str:
        half = match["half"].lower()
        last = self.clock(int(match["h"]), 0, None, half)
        if match["from"] is None:
            return last
        first_half = (match["half1"] or half).lower()
        return self.span(self.clock(int(match["from"]), 0, None, first_half), last)

    def _lapse(self, match: re.Match[str]) -> str:
        parts = [match[part] for part in "dhms"]
        if sum(part is not None for part in parts) < 2:
            return match[0]
        return self.lapse(*(int(part or 0) for part in parts))

    def _money(self, match: re.Match[str]) -> str:
        symbol, digits = match["before"] or match["after"], match["n1"] or match["n2"]
        number = Number.parse(digits, match["sign"] or match["sign2"])
        return self.money(number, patterns.CURRENCIES[symbol], match["scale"])

    def _range(self, match: re.Match[str]) -> str:
        first = Number.parse(match["a"], match["sa"]).trimmed()
        last = Number.parse(match["b"], match["sb"]).trimmed()
        unit = patterns.UNITS[match["ub"]] if match["ub"] else ""
        if match["ua"] and patterns.UNITS[match["ua"]] != unit:
            return match[0]
        if not unit and (first.is_code or last.is_code):
            return match[0]
        return self.measured_span(first, last, unit)

    def measured_span(self, first: Number, last: Number, unit: str) -> str:
        """Say a range of numbers; `unit` may be empty."""
        spoken = self.span(self.amount(first, unit), self.amount(last, unit))
        return self.with_unit(spoken, unit, False) if unit else spoken

    def _quantity(self, match: re.Match[str]) -> str:
        number = Number.parse(match["n"], match["sign"]).trimmed()
        unit = patterns.UNITS[match["unit"]]
        return self.with_unit(self.amount(number, unit), unit, number.is_one)

    def _fraction(self, match: re.Match[str]) -> str:
        return self.fraction(match["w"], match["a"], match["b"]) or match[0]

    def _plain(self, match: re.Match[str]) -> str:
        return self.plain(Number.parse(match["n"], match["sign"]), match)


def _constant(words: str) -> Callable[[re.Match[str]], str]:
    return lambda match: match.expand(words)


def _scaled(number: Number, scale: str | None) -> Number:
    if scale is None:
        return number
    zeros = _SCALES[scale]
    digits = number.fraction.rstrip("0")
    if len(digits) > zeros:
        return number
    whole = (number.whole + digits + "0" * (zeros - len(digits))).lstrip("0") or "0"
    return replace(number, whole=whole, fraction="")
