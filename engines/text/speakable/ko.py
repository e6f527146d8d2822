# ruff: noqa: D102, SIM905 - see reader.py for the methods; word lists read better as text.
"""How home text is said in Korean: Sino-Korean numbers, native ones for hours and for counting."""

from __future__ import annotations

import re
from typing import ClassVar

from engines.text.speakable.patterns import UNITS
from engines.text.speakable.reader import Number, Reader, Rule

_SINO = "영일이삼사오육칠팔구십백천만"
_DIGITS = "영일이삼사오육칠팔구"
_NATIVE_ONES = ["", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉"]
_NATIVE_TENS = ["", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔"]
_LETTERS = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "에이 비 씨 디 이 에프 지 에이치 아이 제이 케이 엘 엠 "
        "엔 오 피 큐 알 에스 티 유 브이 더블유 엑스 와이 제트".split(),
        strict=True,
    )
)
_COUNTERS = (
    "시간|시(?!스템)|개(?!월|소)|명(?!령)|마리|권(?!한)|잔(?!액)|대(?!기)|살|장(?!치)|사람|병(?!원)|번째"
    "|가지|그루|송이|켤레|벌|채(?!널)|통(?!신)|곳|달(?!러)|군데|쌍|조각|자루|끼|판|줄|배(?!터리)"
)
# 5번 버스 is a name, 5번 울렸다 a count.
_TIMES = (
    "번(?!째|[ ]?(?:버스|출구|채널|방|문|호선|국도|카메라|센서|구역|버튼|자리|포트|존|홈|선"
    "|스위치|콘센트|트랙|으로|을|은|이|입))"
)
_COUNTED = re.compile(rf"(?<![\d.,:/A-Za-z-])(?P<n>[1-9]\d?)[ ]?(?P<w>{_COUNTERS}|{_TIMES})")
_COUNTED_RANGE = re.compile(
    rf"(?<![\d.,:/-])(?P<a>[1-9]\d?)[ ]?[-~〜～–][ ]?(?P<b>[1-9]\d?)[ ]?(?P<w>{_COUNTERS})"
)
_MONTH = re.compile(r"(?<![\d.,])0?(?P<n>[1-9]|1[0-2])(?=[ ]?월)")
_PADDED = re.compile(r"(?<![\d.,:])0(?P<n>[1-9])(?=[ ]?(?:일|시|분|초|도))")
_DOTTED_DATE = re.compile(
    r"(?<![\d.])(?P<y>[12]\d{3})\.[ ](?P<m>1[0-2]|0?[1-9])\.[ ]"
    r"(?P<d>3[01]|[12]\d|0?[1-9])(?:\.|(?!\d))"
)
_HALF = re.compile(r"(?P<half>오전|오후)[ ]?(?P<h>1[0-2]|0?\d)[:：](?P<m>[0-5]\d)(?!\d)")
_CALLED = re.compile(
    r"(?P<before>(?:번호|코드|암호|전화|다이얼)(?:[는은를을:]|으로)?[ ]?)(?P<n>\d{3,8})(?![\d.,:-])"
)
_SERVICE = re.compile(
    r"(?<![\d.,:A-Za-z-])(?P<n>112|119|110|114|120)(?=[ ]?(?:에|로|으로|번|신고|$))"
)
_ACRONYM = re.compile(r"(?<![A-Za-z0-9'&.-])[A-Z]{1,6}(?![A-Za-z]|['&.-][A-Za-z])")
_PARTICLES = {"은": 0, "는": 0, "이": 1, "가": 1, "을": 2, "를": 2, "과": 3, "와": 3}
_PAIRS = (("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"))
_BELOW_ZERO = re.compile(r"(?P<n>-)[ ]?(?=\d+(?:\.\d+)?[ ]?도(?!리|착))")


class KoreanReader(Reader):
    """Hangul throughout; a colon time is said as morning or afternoon."""

    stop = "."
    minus = "마이너스 "
    plus = "플러스 "
    plus_minus = "플러스마이너스 "
    dot = "점"
    at = " 골뱅이 "
    version_word = "버전 "
    group_mark = ", "
    units: ClassVar[dict[str, str]] = {
        "percent": "퍼센트",
        "celsius": "도",
        "fahrenheit": "화씨 {}도",
        "degree": "도",
        "W": "와트",
        "kW": "킬로와트",
        "MW": "메가와트",
        "mW": "밀리와트",
        "Wh": "와트시",
        "kWh": "킬로와트시",
        "MWh": "메가와트시",
        "VA": "볼트암페어",
        "kVA": "킬로볼트암페어",
        "V": "볼트",
        "mV": "밀리볼트",
        "kV": "킬로볼트",
        "A": "암페어",
        "mA": "밀리암페어",
        "Ah": "암페어시",
        "mAh": "밀리암페어시",
        "ohm": "옴",
        "Hz": "헤르츠",
        "kHz": "킬로헤르츠",
        "MHz": "메가헤르츠",
        "GHz": "기가헤르츠",
        "km/h": "시속 {}킬로미터",
        "m/s": "초속 {}미터",
        "mph": "시속 {}마일",
        "knot": "노트",
        "Pa": "파스칼",
        "kPa": "킬로파스칼",
        "hPa": "헥토파스칼",
        "mbar": "밀리바",
        "bar": "바",
        "psi": "피에스아이",
        "mmHg": "수은주밀리미터",
        "inHg": "수은주인치",
        "ppm": "피피엠",
        "ppb": "피피비",
        "µg/m³": "세제곱미터당 {}마이크로그램",
        "mg/m³": "세제곱미터당 {}밀리그램",
        "g/m³": "세제곱미터당 {}그램",
        "lx": "럭스",
        "lm": "루멘",
        "dB": "데시벨",
        "dBm": "디비엠",
        "mm/h": "시간당 {}밀리미터",
        "L/min": "분당 {}리터",
        "m³/h": "시간당 {}세제곱미터",
        "W/m²": "제곱미터당 {}와트",
        "mm": "밀리미터",
        "cm": "센티미터",
        "m": "미터",
        "km": "킬로미터",
        "in": "인치",
        "ft": "피트",
        "mi": "마일",
        "yd": "야드",
        "mm²": "제곱밀리미터",
        "cm²": "제곱센티미터",
        "m²": "제곱미터",
        "km²": "제곱킬로미터",
        "cm³": "세제곱센티미터",
        "m³": "세제곱미터",
        "L": "리터",
        "mL": "밀리리터",
        "gal": "갤런",
        "mg": "밀리그램",
        "g": "그램",
        "kg": "킬로그램",
        "t": "톤",
        "lb": "파운드",
        "oz": "온스",
        "B": "바이트",
        "kB": "킬로바이트",
        "MB": "메가바이트",
        "GB": "기가바이트",
        "TB": "테라바이트",
        "kbit/s": "초당 {}킬로비트",
        "Mbit/s": "초당 {}메가비트",
        "Gbit/s": "초당 {}기가비트",
        "kB/s": "초당 {}킬로바이트",
        "MB/s": "초당 {}메가바이트",
        "rpm": "알피엠",
        "cal": "칼로리",
        "kcal": "킬로칼로리",
        "kJ": "킬로줄",
        "d": "일",
        "h": "시간",
        "min": "분",
        "s": "초",
        "ms": "밀리초",
    }
    currencies: ClassVar[dict[str, str]] = {
        "USD": "달러",
        "$": "달러",
        "HKD": "홍콩달러",
        "TWD": "대만달러",
        "AUD": "호주달러",
        "CAD": "캐나다달러",
        "EUR": "유로",
        "GBP": "파운드",
        "¥": "엔",
        "JPY": "엔",
        "CNY": "위안",
        "KRW": "원",
        "INR": "루피",
        "CHF": "스위스프랑",
        "SEK": "스웨덴크로나",
        "NOK": "노르웨이크로네",
        "DKK": "덴마크크로네",
        "PLN": "즈워티",
    }
    terms: ClassVar[dict[str, str]] = {
        "Wi-Fi": "와이파이",
        "WiFi": "와이파이",
        "WIFI": "와이파이",
        "Wifi": "와이파이",
        "wifi": "와이파이",
        "TV": "티브이",
        "CO2": "이산화탄소",
        "NO2": "이산화질소",
        "O3": "오존",
        "PM2.5": "초미세먼지",
        "PM10": "미세먼지",
        "4K": "사케이",
        "8K": "팔케이",
        "4G": "사지",
        "5G": "오지",
        "3D": "쓰리디",
        "OK": "오케이",
        "ON": "온",
        "OFF": "오프",
        "ON/OFF": "온오프",
        "on/off": "온오프",
        "24/7": "연중무휴",
        "Home Assistant": "홈 어시스턴트",
        "Bluetooth": "블루투스",
        "Zigbee": "지그비",
        "iPhone": "아이폰",
        "Google": "구글",
        "Alexa": "알렉사",
        "NAS": "나스",
        "AC": "에어컨",
    }
    symbols = (
        (r"[~≈〜～][ ]?(?=[영일이삼사오육칠팔구십백천만한두세네])", "약 "),
        (r"(?:≥|>=)[ ]?([가-힣]+)", r"\1 이상"),
        (r"(?:≤|<=)[ ]?([가-힣]+)", r"\1 이하"),
        (r"[>＞][ ]?([가-힣]+)", r"\1 초과"),
        (r"[<＜][ ]?([가-힣]+)", r"\1 미만"),
        (r"(?<=[가-힣])[ ]?\+[ ]?(?=[가-힣])", " 더하기 "),
        (rf"(?<=[{_SINO}])[ ]?-[ ]?(?=[{_SINO}]+[ ]?=)", " 빼기 "),
        (r"(?<=[이사오구])[ ]?=[ ]?(?=[가-힣])", "는 "),
        (r"(?<=[가-힣])[ ]?=[ ]?(?=[가-힣])", "은 "),
        (r"(?<=[가-힣])[ ]?×[ ]?(?=[가-힣])", " 곱하기 "),
        (r"(?<=[가-힣])[ ]?÷[ ]?(?=[가-힣])", " 나누기 "),
        (r"±", "플러스마이너스 "),
        (r"[ ]?&[ ]?", " 앤드 "),
        (r"[ ]?@[ ]?", " 골뱅이 "),
        (r"원원", "원"),
        (r"%", "퍼센트"),
        (r"°", "도"),
        (r"€", "유로"),
        (r"²", "의 제곱"),
        (r"³", "의 세제곱"),
        (r"[ ]?(?:[:;→]|(?<=[가-힣])/(?=[가-힣]))[ ]?", ", "),
        (r"[#*_|\\`+=$¥₩£/<>~]+", " "),
    )  # fmt: skip

    def cardinal(self, digits: str) -> str:
        return sino(int(digits))

    def digits(self, digits: str) -> str:
        return "".join(_DIGITS[int(digit)] for digit in digits)

    def decimal(self, whole: str, fraction: str) -> str:
        lead = self.cardinal(whole) if len(whole) <= 12 else self.digits(whole)
        return f"{lead}점{self.digits(fraction)}"

    def amount(self, number: Number, unit: str) -> str:
        if unit == "h" and not number.fraction and 1 <= int(number.whole) < 100:
            return self.signed(number, native(int(number.whole)))
        if unit in ("celsius", "fahrenheit") and number.sign == "-":
            return f"영하 {self.unsigned(number)}"
        return super().amount(number, unit)

    def with_unit(self, spoken: str, unit: str, one: bool) -> str:
        if unit == "fahrenheit" and spoken.startswith("영하 "):
            return f"화씨 {spoken}도"
        return super().with_unit(spoken, unit, one)

    def measured_span(self, first: Number, last: Number, unit: str) -> str:
        if unit and (first.sign or last.sign):
            parts = [self.with_unit(self.amount(n, unit), unit, False) for n in (first, last)]
            return self.span(*parts)
        return super().measured_span(first, last, unit)

    def clock(self, hour: int, minute: int, second: int | None, half: str) -> str:
        if not second and minute == 0 and not half and hour in (0, 12, 24):
            return "정오" if hour == 12 else "자정"
        half = half or ("p" if 12 <= hour < 24 else "a")
        spoken = f"{'오전' if half == 'a' else '오후'} {native(hour % 12 or 12)}시"
        spoken += f" {sino(minute)}분" if minute or second else ""
        return f"{spoken} {sino(second)}초" if second else spoken

    def tells_time(self, before: str) -> bool:
        return bool(re.search("(?:시각|현재|시간|지금)[은는이]?[:]?[ ]$|일[ ]$", before))

    def date(self, year: int | None, month: int, day: int) -> str:
        lead = f"{sino(year)}년 " if year else ""
        return f"{lead}{month_name(month)} {sino(day)}일"

    def lapse(self, days: int, hours: int, minutes: int, seconds: int) -> str:
        parts = [f"{sino(days)}일"] if days else []
        parts += [f"{native(hours) if hours < 100 else sino(hours)}시간"] if hours else []
        parts += [f"{sino(minutes)}분"] if minutes else []
        parts += [f"{sino(seconds)}초"] if seconds or not parts else []
        return " ".join(parts)

    def span(self, first: str, last: str) -> str:
        return f"{first}에서 {last}"

    def fraction(self, whole: str | None, above: str, below: str) -> str | None:
        spoken = f"{sino(int(below))}분의 {sino(int(above))}"
        return f"{sino(int(whole))}과 {spoken}" if whole else spoken

    def ratio(self, first: str, second: str) -> str:
        return f"{first} 대 {second}"

    def per(self, unit: str) -> str:
        return " 매 " + self.units[UNITS[unit]].replace("{}", "")

    def phone(self, text: str) -> str:
        groups = [self.digits(group).replace("영", "공") for group in re.findall(r"\d+", text)]
        return (self.plus if text[0] == "+" else "") + self.group_mark.join(groups)

    def money(self, number: Number, currency: str, scale: str | None) -> str:
        cents = (number.fraction + "00")[:2]
        if (
            currency in ("$", "USD", "EUR")
            and not scale
            and 0 < len(number.fraction) < 3
            and int(cents)
        ):
            words = self.currencies[currency]
            return self.signed(number, f"{sino(int(number.whole))}{words} {sino(int(cents))}센트")
        return super().money(number.trimmed(), currency, scale)

    def early_rules(self) -> tuple[Rule, ...]:
        return (
            (_DOTTED_DATE, lambda m: self.date(int(m["y"]), int(m["m"]), int(m["d"]))),
            (_HALF, self._half_day),
            (_CALLED, lambda m: m["before"] + self.phone(m["n"])),
            (_SERVICE, lambda m: self.phone(m["n"])),
            (_MONTH, lambda m: month_name(int(m["n"]))[:-1]),
            (_PADDED, lambda m: m["n"]),
            (_COUNTED_RANGE, lambda m: self.span(*(counted(m[n], m["w"]) for n in "ab"))),
            (_COUNTED, lambda m: counted(m["n"], m["w"])),
            (_BELOW_ZERO, lambda m: "영하 "),
        )  # fmt: skip

    def _half_day(self, match: re.Match[str]) -> str:
        half = "a" if match["half"] == "오전" else "p"
        return self.clock(int(match["h"]), int(match["m"]), None, half)

    def late_rules(self) -> tuple[Rule, ...]:
        words = sorted({word.split("}")[-1] for word in self.units.values()}, key=len, reverse=True)
        agreeing = re.compile(
            rf"(?<=[{_SINO}한두세네섯곱덟홉열무])(?P<word>시|원|{'|'.join(words)})"
            rf"(?P<particle>[{''.join(_PARTICLES)}])(?=[ .,!?]|$)"
        )
        return (
            (_ACRONYM, lambda m: "".join(_LETTERS[letter] for letter in m[0])),
            (agreeing, lambda m: m["word"] + _agreeing(m["word"], m["particle"])),
        )


def sino(number: int) -> str:
    """12450 → 만이천사백오십."""
    if number == 0:
        return "영"
    spoken = ""
    for power, word in ((10**8, "억"), (10**4, "만")):
        group, number = divmod(number, power)
        if group:
            spoken += (sino(group) if group > 1 or word == "억" else "") + word
    for power, word in ((1000, "천"), (100, "백"), (10, "십"), (1, "")):
        digit, number = divmod(number, power)
        if digit:
            spoken += (_DIGITS[digit] if digit > 1 or not word else "") + word
    return spoken


def native(number: int) -> str:
    """1–99 before a counter: 한, 스무, 스물한."""
    tens, ones = divmod(number, 10)
    return "스무" if number == 20 else _NATIVE_TENS[tens] + _NATIVE_ONES[ones]


def counted(digits: str, counter: str) -> str:
    """Number and counter: 세개, 첫번째, but 이십삼시."""
    number = int(digits)
    if counter == "번째" and number == 1:
        return "첫번째"
    if (counter == "시" and number > 12) or (counter == "배" and number > 9):
        return sino(number) + counter
    return native(number) + counter


def _agreeing(word: str, particle: str) -> str:
    """The particle's form after the word as it is said: 06:00은 → 여섯시는."""
    ends_in_vowel = (ord(word[-1]) - 0xAC00) % 28 == 0
    return _PAIRS[_PARTICLES[particle]][ends_in_vowel]


def month_name(month: int) -> str:
    """June and October drop a consonant."""
    return {6: "유월", 10: "시월"}.get(month, f"{sino(month)}월")
