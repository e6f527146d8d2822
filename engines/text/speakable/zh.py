# ruff: noqa: D102 - methods are described in reader.py.
"""How home text is said in Mandarin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from engines.text.speakable.patterns import UNITS
from engines.text.speakable.reader import Number, Reader, Rule

_NUMERALS = "零一二三四五六七八九十百千万萬亿億两兩半点點"
_CODE_BEFORE = re.compile(
    "(?:号|號|码|碼|拨打?|撥打?|致电|致電|打|电话|電話|房间|房間|PIN)(?:是|为|為|係|[：:，])?[ ]?$"
)
_CODE_AFTER = re.compile("号?[室房]|號[室房]|路(?:公交|巴士|车|車)|号线|號線")
_EMERGENCY = {"110", "119", "120", "122", "999", "112", "911"}
_NOT_A_CODE = re.compile("[年月日天小分秒度元块塊米瓦个個只次人步条條度公里斤克%万萬亿億多]")
_YEAR = re.compile(r"(?<![\d.,])(?P<y>[12]\d{3})(?=[ ]?年(?![前后後来來内內間间]))")
_SHORT_YEAR = re.compile(r"(?<![\d.,])(?P<y>\d\d)(?=年\d{1,2}月)")
_MONTH_DAY_SLASH = re.compile(
    r"(?<![\d/])(?P<m>1[0-2]|0?[1-9])/(?P<d>3[01]|[12]\d|0?[1-9])"
    "(?:(?=[（(]?(?:周|星期|禮拜|礼拜))"
    "|(?<=[于於在至喺].{4})|(?<=[于於在至喺].{5}))(?![/\\d])"
)
_CLOCK_WORD_BEFORE = re.compile(
    "[在于於是到至自从從喺係前日号號]$|(?:现在|現在|时间|時間|而家)[:：]?[ ]?$"
)


class MandarinReader(Reader):
    """Simplified characters; a 24-hour clock stays one, as on the radio."""

    stop = "。"
    minus = "负"
    plus = "正"
    plus_minus = "正负"
    dot = "点"
    at = "艾特"
    version_word = "版本"
    group_mark = "，"
    units: ClassVar[Mapping[str, str]] = {
        "percent": "百分之{}",
        "celsius": "度",
        "fahrenheit": "华氏{}度",
        "degree": "度",
        "W": "瓦",
        "kW": "千瓦",
        "MW": "兆瓦",
        "mW": "毫瓦",
        "Wh": "瓦时",
        "kWh": "千瓦时",
        "MWh": "兆瓦时",
        "VA": "伏安",
        "kVA": "千伏安",
        "V": "伏",
        "mV": "毫伏",
        "kV": "千伏",
        "A": "安",
        "mA": "毫安",
        "Ah": "安时",
        "mAh": "毫安时",
        "ohm": "欧姆",
        "Hz": "赫兹",
        "kHz": "千赫",
        "MHz": "兆赫",
        "GHz": "吉赫",
        "km/h": "每小时{}公里",
        "m/s": "每秒{}米",
        "mph": "每小时{}英里",
        "knot": "节",
        "Pa": "帕",
        "kPa": "千帕",
        "hPa": "百帕",
        "mbar": "毫巴",
        "bar": "巴",
        "psi": "磅每平方英寸",
        "mmHg": "毫米汞柱",
        "inHg": "英寸汞柱",
        "ppm": "PPM",
        "ppb": "PPB",
        "µg/m³": "微克每立方米",
        "mg/m³": "毫克每立方米",
        "g/m³": "克每立方米",
        "lx": "勒克斯",
        "lm": "流明",
        "dB": "分贝",
        "dBm": "分贝毫瓦",
        "mm/h": "毫米每小时",
        "L/min": "升每分钟",
        "m³/h": "立方米每小时",
        "W/m²": "瓦每平方米",
        "mm": "毫米",
        "cm": "厘米",
        "m": "米",
        "km": "公里",
        "in": "英寸",
        "ft": "英尺",
        "mi": "英里",
        "yd": "码",
        "mm²": "平方毫米",
        "cm²": "平方厘米",
        "m²": "平方米",
        "km²": "平方公里",
        "cm³": "立方厘米",
        "m³": "立方米",
        "L": "升",
        "mL": "毫升",
        "gal": "加仑",
        "mg": "毫克",
        "g": "克",
        "kg": "公斤",
        "t": "吨",
        "lb": "磅",
        "oz": "盎司",
        "B": "字节",
        "kB": "KB",
        "MB": "兆",
        "GB": "GB",
        "TB": "TB",
        "kbit/s": "千比特每秒",
        "Mbit/s": "兆比特每秒",
        "Gbit/s": "千兆比特每秒",
        "kB/s": "KB每秒",
        "MB/s": "兆每秒",
        "rpm": "转每分钟",
        "cal": "卡",
        "kcal": "千卡",
        "kJ": "千焦",
        "d": "天",
        "h": "小时",
        "min": "分钟",
        "s": "秒",
        "ms": "毫秒",
    }
    currencies: ClassVar[Mapping[str, str]] = {
        "USD": "美元",
        "$": "美元",
        "HKD": "港元",
        "TWD": "新台币",
        "AUD": "澳元",
        "CAD": "加元",
        "EUR": "欧元",
        "GBP": "英镑",
        "¥": "元",
        "JPY": "日元",
        "CNY": "元",
        "KRW": "韩元",
        "INR": "卢比",
        "CHF": "瑞士法郎",
        "SEK": "瑞典克朗",
        "NOK": "挪威克朗",
        "DKK": "丹麦克朗",
        "PLN": "兹罗提",
    }
    terms: ClassVar[Mapping[str, str]] = {
        "Wi-Fi": "wifi",
        "WiFi": "wifi",
        "WIFI": "wifi",
        "Wifi": "wifi",
        "CO2": "二氧化碳",
        "NO2": "二氧化氮",
        "SO2": "二氧化硫",
        "O3": "臭氧",
        "H2O": "水",
        "PM2.5": "PM二点五",
        "PM10": "PM十",
        "PM1": "PM一",
        "4K": "四K",
        "8K": "八K",
        "4G": "四G",
        "5G": "五G",
        "3D": "三D",
        "24/7": "全天候",
        "Home Assistant": "Home Assistant",
    }
    symbols: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"(?<=[\u4e00-\u9fff])/(?=[\u4e00-\u9fff])", "、"),
        (rf"[~≈][ ]?(?=[{_NUMERALS}])", "约"),
        (rf"[>＞][ ]?(?=[{_NUMERALS}负每华])", "大于"),
        (rf"[<＜][ ]?(?=[{_NUMERALS}负每华])", "小于"),
        (r"≥|>=", "大于等于"),
        (r"≤|<=", "小于等于"),
        (rf"(?<=[{_NUMERALS}])\+(?=[\u4e00-\u9fff])(?![{_NUMERALS}])", "多"),
        (rf"(?<=[{_NUMERALS}])[ ]?-[ ]?(?=[{_NUMERALS}]+[ ]?=)", "减"),
        (r"(?<=[\u4e00-\u9fff])[ ]?\+[ ]?(?=[\u4e00-\u9fff])", "加"),
        (r"(?<=[\u4e00-\u9fff])[ ]?=[ ]?(?=[\u4e00-\u9fff负])", "等于"),
        (rf"(?<=[{_NUMERALS}])[ ]?×[ ]?(?=[{_NUMERALS}])", "乘"),
        (rf"(?<=[{_NUMERALS}])[ ]?÷[ ]?(?=[{_NUMERALS}])", "除以"),
        (r"±", "正负"),
        (r"[ ]?&[ ]?", "和"),
        (r"[ ]?→[ ]?", "到"),
        (r"元元", "元"),
        (r"%", "百分比"),
        (r"°", "度"),
        (r"€", "欧元"),
        (r"£", "英镑"),
        (rf"#[ ]?(?=[{_NUMERALS}])", "号"),
        (r"[ ]?[:;][ ]?", "，"),
        (r"[#*_|\\`+=$¥₩/<>~]+", " "),
    )  # fmt: skip

    ten_thousands: ClassVar[tuple[str, ...]] = ("", "万", "亿")
    two = "两"
    two_before: ClassVar[str] = (
        "个只条张本台部辆扇盏把件套间位名次遍回天周年小分秒点块元毛度米升公斤克吨瓶杯盒包袋片颗粒棵口人家所座"
        "份种双对组排句段首页封根支枝头匹场声步倍顿盘碗壶桶箱串束滴圈批万千亿百"
    )
    halves: ClassVar[tuple[tuple[int, str], ...]] = (
        (6, "凌晨"), (9, "早上"), (12, "上午"), (13, "中午"), (19, "下午"), (24, "晚上"),
    )  # fmt: skip
    hour_word, minute_word, second_word = "点", "分", "秒"
    day_word = "日"
    lapse_words: ClassVar[tuple[str, str, str, str]] = ("天", "小时", "分钟", "秒")
    to = "到"
    below_zero = "零下"

    def cardinal(self, digits: str) -> str:
        number = int(digits)
        if number == 0:
            return "零"
        spoken, gap = "", False
        groups: list[int] = []
        while number:
            number, group = divmod(number, 10000)
            groups.append(group)
        for index in range(len(groups) - 1, -1, -1):
            group = groups[index]
            if not group:
                gap = True
                continue
            if spoken and (gap or group < 1000):
                spoken += "零"
            lead = self.two if group == 2 and index else _below_ten_thousand(group)
            spoken += lead + self.ten_thousands[index]
            gap = False
        if spoken.startswith("一十"):
            spoken = spoken[1:]
        return self.two + spoken[1:] if spoken.startswith("二千") else spoken

    def digits(self, digits: str) -> str:
        return "".join(_NUMERALS[int(digit)] for digit in digits)

    def called(self, digits: str) -> str:
        """Digits of a telephone or room number."""
        return self.digits(digits).replace("一", "幺")

    def decimal(self, whole: str, fraction: str) -> str:
        lead = self.digits(whole) if len(whole) > 12 else self.cardinal(whole)
        return lead + self.dot + self.digits(fraction)

    def amount(self, number: Number, unit: str) -> str:
        if unit == "percent" or number.whole != "2" or number.fraction:
            spoken = self.unsigned(number)
        else:
            spoken = self.two
        if unit in ("celsius", "fahrenheit") and number.sign == "-":
            return self.below_zero + spoken
        return self.signed(number, spoken)

    def with_unit(self, spoken: str, unit: str, one: bool) -> str:
        if unit == "percent" and spoken.startswith(self.minus):
            return self.minus + super().with_unit(spoken.removeprefix(self.minus), unit, one)
        return super().with_unit(spoken, unit, one)

    def measured_span(self, first: Number, last: Number, unit: str) -> str:
        if unit and (first.sign or last.sign):
            parts = (self.with_unit(self.amount(n, unit), unit, False) for n in (first, last))
            return self.to.join(parts)
        return super().measured_span(first, last, unit)

    def clock(self, hour: int, minute: int, second: int | None, half: str) -> str:
        if half:
            hour = hour % 12 + (12 if half == "p" else 0)
            name = next(name for end, name in self.halves if hour < end)
            hour = hour if hour <= 12 else hour - 12
        else:
            name = ""
        spoken = name + (self.two if hour == 2 else self.cardinal(str(hour))) + self.hour_word
        if minute == 30 and not second:
            return f"{spoken}半"
        if minute or second:
            spoken += ("零" if minute < 10 else "") + (self.cardinal(str(minute)) if minute else "")
            spoken += self.minute_word
        if second:
            spoken += self.cardinal(str(second)) + self.second_word
        return spoken

    def tells_time(self, before: str) -> bool:
        return bool(_CLOCK_WORD_BEFORE.search(before))

    def date(self, year: int | None, month: int, day: int) -> str:
        spoken = f"{self.cardinal(str(month))}月{self.cardinal(str(day))}{self.day_word}"
        return f"{self.digits(str(year))}年{spoken}" if year else spoken

    def lapse(self, days: int, hours: int, minutes: int, seconds: int) -> str:
        counts = (days, hours, minutes, seconds)
        parts = []
        for count, word in zip(counts, self.lapse_words, strict=True):
            if count:
                # 十二分三十秒, but 十二分钟.
                word = word[0] if word == self.lapse_words[2] and seconds else word
                parts.append((self.two if count == 2 else self.cardinal(str(count))) + word)
        return "".join(parts) or f"零{self.lapse_words[3]}"

    def span(self, first: str, last: str) -> str:
        return first + self.to + last

    def fraction(self, whole: str | None, above: str, below: str) -> str | None:
        spoken = f"{self.cardinal(below)}分之{self.cardinal(above)}"
        return f"{self.cardinal(whole)}又{spoken}" if whole else spoken

    def ratio(self, first: str, second: str) -> str:
        return f"{first}比{second}"

    def per(self, unit: str) -> str:
        return "每" + self.units[UNITS[unit]].replace("{}", "")

    def phone(self, text: str) -> str:
        groups = re.findall(r"\d+", text)
        if len(groups) == 1 and len(text) == 11 and text[0] == "1":
            groups = [text[:3], text[3:7], text[7:]]
        return self.group_mark.join(map(self.called, groups))

    def money(self, number: Number, currency: str, scale: str | None) -> str:
        return super().money(number.trimmed(), currency, scale)

    def version(self, parts: list[str], marked: bool) -> str:
        return (self.version_word if marked else "") + self.dot.join(map(self.digits, parts))

    def plain(self, number: Number, match: re.Match[str]) -> str:
        before = match.string[max(0, match.start() - 8) : match.start()]
        after = match.string[match.end() : match.end() + 4].lstrip(" ")
        spoken = self._plain_unsigned(number, before, after)
        if number.sign == "-" and re.match("摄?氏?度|攝?氏?度", after):
            return self.below_zero + spoken
        return self.signed(number, spoken)

    def _plain_unsigned(self, number: Number, before: str, after: str) -> str:
        if number.fraction:
            return self.decimal(number.whole, number.fraction)
        whole = number.whole
        if whole == "2" and after and after[0] in self.two_before and not before.endswith("第"):
            return self.two
        is_called = _CODE_BEFORE.search(before) or _CODE_AFTER.match(after) or whole in _EMERGENCY
        if len(whole) >= 3 and is_called and not _NOT_A_CODE.match(after):
            return self.called(whole)
        if len(whole) >= 7 and not number.sign and not _NOT_A_CODE.match(after):
            return self.called(whole)
        return self.unsigned(number)

    def early_rules(self) -> tuple[Rule, ...]:
        return (
            (_YEAR, lambda m: self.digits(m["y"])),
            (_SHORT_YEAR, lambda m: self.digits(m["y"])),
            (_MONTH_DAY_SLASH, lambda m: self.date(None, int(m["m"]), int(m["d"]))),
        )


def _below_ten_thousand(number: int) -> str:
    """1–9999; the lead zero of a lower group is the caller's."""
    spoken, gap = "", False
    for power, word in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, power)
        if digit:
            spoken += ("零" if gap and spoken else "") + _NUMERALS[digit] + word
        gap = not digit
    return spoken
