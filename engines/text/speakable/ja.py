# ruff: noqa: D102, SIM905 - methods are described in reader.py; word lists read better as text.
"""How home text is said in Japanese.

Whole numbers stay digits: Open JTalk reads 10分, 3本 and 20日 right and 十分 wrong. It loses signs,
commas and decimal points, which is what is said here.
"""

from __future__ import annotations

import re
from typing import ClassVar

from engines.text.speakable.patterns import UNITS
from engines.text.speakable.reader import Number, Reader, Rule

_KANA_DIGITS = "ゼロ イチ ニー サン ヨン ゴー ロク ナナ ハチ キュー".split()
_KANJI = "〇一二三四五六七八九"
_LETTERS = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "エー ビー シー ディー イー エフ ジー エイチ アイ ジェー ケー エル エム エヌ "
        "オー ピー キュー アール エス ティー ユー ブイ ダブリュー エックス ワイ ゼット".split(),
        strict=True,
    )
)
_ACRONYM = re.compile(r"(?<![A-Za-z0-9'&.-])[A-Z]{1,6}(?![A-Za-z]|['&.-][A-Za-z])")
_CALLED = re.compile(
    r"(?P<before>(?:番号|コード|電話|ダイヤル|パスワード)(?:[はを:：、]|は、)?[ ]?)"
    r"(?P<n>\d{3,8})(?![\d.,:])"
)
_SERVICE = re.compile(r"(?<![\d.,:A-Za-z])(?P<n>110|119|118|171|188)(?=番|に(?:電話|通報|かけ))")
_HALF = re.compile(r"(?P<half>午前|午後)[ ]?(?P<h>\d{1,2})[:：](?P<m>[0-5]\d)(?!\d)")
_WEEKDAY_DATE = re.compile(
    r"(?<![\d/])(?P<m>1[0-2]|0?[1-9])/(?P<d>3[01]|[12]\d|0?[1-9])"
    r"(?=[（( ]?[月火水木金土日][曜)）]|[にはまの])"
)
_PADDED = re.compile(r"(?<![\d.,])0(?P<n>[1-9])(?=[ ]?(?:月|日|時|分|秒|度))")
_WIND = re.compile(r"(?P<before>[風秒]速)[ ]?(?P<n>\d{1,3}(?:\.\d{1,3})?)[ ]?m/s(?![A-Za-z])")
_COMPARED = (
    (r"(?:≥|>=)[ ]?([0-9][0-9点ァ-ヿ]*)", r"\1以上"),
    (r"(?:≤|<=)[ ]?([0-9][0-9点ァ-ヿ]*)", r"\1以下"),
    (r"[>＞][ ]?([0-9][0-9点ァ-ヿ]*)", r"\1超"),
    (r"[<＜][ ]?([0-9][0-9点ァ-ヿ]*)", r"\1未満"),
)


class JapaneseReader(Reader):
    """Katakana units and letters; a 24-hour clock stays one."""

    stop = "。"
    minus = "マイナス"
    plus = "プラス"
    plus_minus = "プラスマイナス"
    dot = "ドット"
    at = "アット"
    version_word = "バージョン"
    group_mark = "、"
    units: ClassVar[dict[str, str]] = {
        "percent": "パーセント",
        "celsius": "度",
        "fahrenheit": "華氏{}度",
        "degree": "度",
        "W": "ワット",
        "kW": "キロワット",
        "MW": "メガワット",
        "mW": "ミリワット",
        "Wh": "ワット時",
        "kWh": "キロワット時",
        "MWh": "メガワット時",
        "VA": "ボルトアンペア",
        "kVA": "キロボルトアンペア",
        "V": "ボルト",
        "mV": "ミリボルト",
        "kV": "キロボルト",
        "A": "アンペア",
        "mA": "ミリアンペア",
        "Ah": "アンペア時",
        "mAh": "ミリアンペア時",
        "ohm": "オーム",
        "Hz": "ヘルツ",
        "kHz": "キロヘルツ",
        "MHz": "メガヘルツ",
        "GHz": "ギガヘルツ",
        "km/h": "時速{}キロメートル",
        "m/s": "秒速{}メートル",
        "mph": "時速{}マイル",
        "knot": "ノット",
        "Pa": "パスカル",
        "kPa": "キロパスカル",
        "hPa": "ヘクトパスカル",
        "mbar": "ミリバール",
        "bar": "バール",
        "psi": "ピーエスアイ",
        "mmHg": "ミリメートルエイチジー",
        "inHg": "インチエイチジー",
        "ppm": "ピーピーエム",
        "ppb": "ピーピービー",
        "µg/m³": "マイクログラム毎立方メートル",
        "mg/m³": "ミリグラム毎立方メートル",
        "g/m³": "グラム毎立方メートル",
        "lx": "ルクス",
        "lm": "ルーメン",
        "dB": "デシベル",
        "dBm": "ディービーエム",
        "mm/h": "ミリメートル毎時",
        "L/min": "リットル毎分",
        "m³/h": "立方メートル毎時",
        "W/m²": "ワット毎平方メートル",
        "mm": "ミリメートル",
        "cm": "センチメートル",
        "m": "メートル",
        "km": "キロメートル",
        "in": "インチ",
        "ft": "フィート",
        "mi": "マイル",
        "yd": "ヤード",
        "mm²": "平方ミリメートル",
        "cm²": "平方センチメートル",
        "m²": "平方メートル",
        "km²": "平方キロメートル",
        "cm³": "立方センチメートル",
        "m³": "立方メートル",
        "L": "リットル",
        "mL": "ミリリットル",
        "gal": "ガロン",
        "mg": "ミリグラム",
        "g": "グラム",
        "kg": "キログラム",
        "t": "トン",
        "lb": "ポンド",
        "oz": "オンス",
        "B": "バイト",
        "kB": "キロバイト",
        "MB": "メガバイト",
        "GB": "ギガバイト",
        "TB": "テラバイト",
        "kbit/s": "キロビット毎秒",
        "Mbit/s": "メガビット毎秒",
        "Gbit/s": "ギガビット毎秒",
        "kB/s": "キロバイト毎秒",
        "MB/s": "メガバイト毎秒",
        "rpm": "回転毎分",
        "cal": "カロリー",
        "kcal": "キロカロリー",
        "kJ": "キロジュール",
        "d": "日",
        "h": "時間",
        "min": "分",
        "s": "秒",
        "ms": "ミリ秒",
    }
    currencies: ClassVar[dict[str, str]] = {
        "USD": "ドル",
        "$": "ドル",
        "HKD": "香港ドル",
        "TWD": "台湾ドル",
        "AUD": "オーストラリアドル",
        "CAD": "カナダドル",
        "EUR": "ユーロ",
        "GBP": "ポンド",
        "¥": "円",
        "JPY": "円",
        "CNY": "人民元",
        "KRW": "ウォン",
        "INR": "ルピー",
        "CHF": "スイスフラン",
        "SEK": "スウェーデンクローナ",
        "NOK": "ノルウェークローネ",
        "DKK": "デンマーククローネ",
        "PLN": "ズウォティ",
    }
    terms: ClassVar[dict[str, str]] = {
        "Wi-Fi": "ワイファイ",
        "WiFi": "ワイファイ",
        "WIFI": "ワイファイ",
        "Wifi": "ワイファイ",
        "wifi": "ワイファイ",
        "TV": "テレビ",
        "CO2": "二酸化炭素",
        "NO2": "二酸化窒素",
        "O3": "オゾン",
        "PM2.5": "ピーエムニーテンゴ",
        "PM10": "ピーエムじゅう",
        "4K": "ヨンケー",
        "8K": "ハチケー",
        "4G": "ヨンジー",
        "5G": "ファイブジー",
        "3D": "スリーディー",
        "OK": "オーケー",
        "ON": "オン",
        "OFF": "オフ",
        "On": "オン",
        "Off": "オフ",
        "on": "オン",
        "off": "オフ",
        "ON/OFF": "オンオフ",
        "on/off": "オンオフ",
        "24/7": "年中無休",
        "LED": "エルイーディー",
        "Home Assistant": "ホームアシスタント",
        "Bluetooth": "ブルートゥース",
        "Zigbee": "ジグビー",
        "Node-RED": "ノードレッド",
        "iPhone": "アイフォーン",
        "Google": "グーグル",
        "Alexa": "アレクサ",
        "Siri": "シリ",
        "AC": "エアコン",
        "NAS": "エヌエーエス",
    }
    symbols = (
        *_COMPARED,
        (r"[~≈〜～][ ]?(?=\d)", "約"),
        (r"(?<=\d)[ ]?-[ ]?(?=\d+[ ]?=)", "引く"),
        (r"(?<=[\d点])[ ]?\+[ ]?(?=\d)", "足す"),
        (r"(?<=\d)\+", "以上"),
        (r"(?<=\d)[ ]?=[ ]?(?=\d|マイナス)", "は"),
        (r"(?<=\d)[ ]?×[ ]?(?=\d)", "かける"),
        (r"(?<=\d)[ ]?÷[ ]?(?=\d)", "割る"),
        (r"±", "プラスマイナス"),
        (r"[ ]?&[ ]?", "アンド"),
        (r"@", "アット"),
        (r"円円", "円"),
        (r"%", "パーセント"),
        (r"°", "度"),
        (r"€", "ユーロ"),
        (r"²", "の2乗"),
        (r"³", "の3乗"),
        (r"#[ ]?(?=\d)", "ナンバー"),
        (r"[ ]?(?:[:;→]|(?<=[\u3040-\u9fff])/(?=[\u3040-\u9fff]))[ ]?", "、"),
        (r"[#*_|\\`+=$¥₩£/<>~]+", " "),
    )  # fmt: skip

    @property
    def dot_in_version(self) -> str:
        return "点"

    def cardinal(self, digits: str) -> str:
        return str(int(digits))

    def digits(self, digits: str) -> str:
        return "".join(_KANA_DIGITS[int(digit)] for digit in digits)

    def decimal(self, whole: str, fraction: str) -> str:
        lead = self.cardinal(whole) if len(whole) <= 12 else self.digits(whole)
        # Open JTalk would read 14 after the point as fourteen.
        single = len(fraction) == 1 and fraction != "0"
        return f"{lead}点{fraction if single else self.digits(fraction)}"

    def clock(self, hour: int, minute: int, second: int | None, half: str) -> str:
        name = {"a": "午前", "p": "午後", "": ""}[half]
        spoken = f"{name}{hour % 12 if half else hour}時" if not half or hour % 12 else f"{name}0時"
        spoken = spoken if minute == 0 and not second else f"{spoken}{minute}分"
        return f"{spoken}{second}秒" if second else spoken

    def tells_time(self, before: str) -> bool:
        return bool(re.search("(?:時刻|現在|時間)[はが:：、]?[ ]?$|[日前後]$", before))

    def date(self, year: int | None, month: int, day: int) -> str:
        return (f"{year}年" if year else "") + f"{month}月{day}日"

    def lapse(self, days: int, hours: int, minutes: int, seconds: int) -> str:
        counts = zip((days, hours, minutes, seconds), ("日", "時間", "分", "秒"), strict=True)
        return "".join(f"{count}{word}" for count, word in counts if count) or "0秒"

    def span(self, first: str, last: str) -> str:
        return f"{first}から{last}"

    def fraction(self, whole: str | None, above: str, below: str) -> str | None:
        # 4分の3 would be read as minutes.
        spoken = f"{kanji(int(below))}分の{kanji(int(above))}"
        return f"{kanji(int(whole))}と{spoken}" if whole else spoken

    def ratio(self, first: str, second: str) -> str:
        return f"{first}対{second}"

    def per(self, unit: str) -> str:
        return "毎" + self.units[UNITS[unit]].replace("{}", "")

    def phone(self, text: str) -> str:
        groups = [self.digits(group) for group in re.findall(r"\d+", text)]
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
            return self.signed(number, f"{self.cardinal(number.whole)}{words}{int(cents)}セント")
        return super().money(number.trimmed(), currency, scale)

    def plain(self, number: Number, match: re.Match[str]) -> str:
        before = match.string[: match.start()][-2:].strip(" ")[-1:]
        after = match.string[match.end() :][:1]
        if number.fraction or number.is_code or number.sign:
            return super().plain(number, match)
        # Beside Latin letters the digits would be taken for English.
        if re.match("[A-Za-z]", before) or re.match("[A-Za-z]", after):
            return kanji(int(number.whole))
        return self.cardinal(number.whole)

    def early_rules(self) -> tuple[Rule, ...]:
        return (
            (_HALF, lambda m: m["half"] + self.clock(int(m["h"]), int(m["m"]), None, "")),
            (_WEEKDAY_DATE, lambda m: self.date(None, int(m["m"]), int(m["d"]))),
            (_WIND, lambda m: f"{m['before']}{m['n']}m"),
            (_PADDED, lambda m: m["n"]),
            (_CALLED, lambda m: m["before"] + self.phone(m["n"])),
            (_SERVICE, lambda m: self.phone(m["n"])),
        )

    def late_rules(self) -> tuple[Rule, ...]:
        return ((_ACRONYM, lambda m: "".join(_LETTERS[letter] for letter in m[0])),)


def kanji(number: int) -> str:
    """1024 → 千二十四, for numbers up to twelve digits."""
    if number == 0:
        return "ゼロ"
    spoken = ""
    for power, word in ((10**8, "億"), (10**4, "万")):
        group, number = divmod(number, power)
        spoken += kanji(group) + word if group else ""
    for power, word in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, power)
        if digit:
            spoken += (_KANJI[digit] if digit > 1 or not word else "") + word
    return spoken
