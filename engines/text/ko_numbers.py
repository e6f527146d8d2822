"""Korean number words: native numerals before counters, Sino-Korean ones before other units."""

from __future__ import annotations

import re

# Counters that take native numerals; a counter is recognised anywhere in this text, as the
# original does, so "짝" counts because "발짝" does.
_NATIVE_COUNTERS = (
    "군데 권 개 그루 닢 대 두 마리 모 모금 뭇 발 발짝 방 번 벌 보루 살 수 술 시 쌈 움큼 정 짝 "
    "채 척 첩 축 켤레 톨 통"
)
_SINO = ("", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
_NATIVE = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_PLACES = ("", "십", "백", "천")
_MYRIADS = ("", "만", "억", "조")
_LONGEST = 16
_DIGIT_NAMES = str.maketrans("0123456789", "영일이삼사오육칠팔구")
_NUMBER = re.compile(r"[0-9][0-9,]*")
_COUNTER = re.compile(r"([ㄱ-힣]+)/B")


def spell_numbers(annotated: str) -> str:
    """Replace all digits by words: before a bound noun (`/B`) as a number, else one by one."""

    def spelled(match: re.Match[str]) -> str:
        counter = _COUNTER.match(annotated, match.end())
        if counter is None:
            return match[0]
        return _number(match[0].replace(",", ""), native=counter[1] in _NATIVE_COUNTERS)

    return _NUMBER.sub(spelled, annotated).translate(_DIGIT_NAMES)


def _number(digits: str, native: bool) -> str:
    """Say up to sixteen digits; what is longer stays as it is, to be read digit by digit."""
    if len(digits) > _LONGEST:
        return digits
    if digits == "0":
        return "영"
    if native and digits == "20":
        return "스무"
    words: list[str] = []
    for place, digit in zip(range(len(digits) - 1, -1, -1), map(int, digits), strict=True):
        words.append(_digit(digit, place, native, any(words[-3:])))
    return "".join(words)


def _digit(digit: int, place: int, native: bool, in_myriad: bool) -> str:
    """Say one digit with the unit of its place.

    A one before 십, 백, 천 and 만 is dropped up to the ten millions, and only there; so the
    original says "이십만" for 210,000 as well.
    """
    if native and place < 2:
        return (_NATIVE_TENS if place else _NATIVE)[digit]
    myriad, rest = divmod(place, 4)
    if digit == 0:
        return _MYRIADS[myriad] if rest == 0 and in_myriad else ""
    unit = _PLACES[rest] or _MYRIADS[myriad]
    return unit if digit == 1 and 0 < place < 8 else _SINO[digit] + unit
