# ruff: noqa: D102 - methods are described in reader.py.
"""How home text is said in Cantonese, written as Hong Kong writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from engines.text.speakable.reader import Number
from engines.text.speakable.zh import MandarinReader

# Mandarin's words in traditional characters; what Cantonese calls differently follows below.
_TRADITIONAL = str.maketrans(
    "时节兆华氏摄赫兹伏欧厘里尔码节转钟压级约负点贝卢纳毫瓦万亿吨镑韩间条张辆扇盏个只层楼块颗颗粒"
    "顿盘壶桶双对组种份页声场",
    "時節兆華氏攝赫茲伏歐厘里爾碼節轉鐘壓級約負點貝盧納毫瓦萬億噸鎊韓間條張輛扇盞個隻層樓塊顆顆粒"
    "頓盤壺桶雙對組種份頁聲場",
)


def _traditional(words: Mapping[str, str]) -> dict[str, str]:
    return {key: text.translate(_TRADITIONAL) for key, text in words.items()}


class CantoneseReader(MandarinReader):
    """Traditional characters, Hong Kong's words for money, hours and parts of the day."""

    minus = "負"
    plus_minus = "正負"
    dot = "點"
    at = " at "
    version_word = "版本"
    units: ClassVar[Mapping[str, str]] = _traditional(MandarinReader.units) | {
        "kWh": "度電",
        "in": "吋",
        "ft": "呎",
        "mi": "英里",
        "min": "分鐘",
        "h": "個鐘",
        "d": "日",
        "t": "噸",
        "cal": "卡路里",
        "kcal": "千卡",
        "lx": "勒克斯",
        "oz": "安士",
        "gal": "加侖",
        "MB": "MB",
    }
    currencies: ClassVar[Mapping[str, str]] = _traditional(MandarinReader.currencies) | {
        "$": "蚊",
        "HKD": "港紙",
        "TWD": "新台幣",
        "¥": "日圓",
        "JPY": "日圓",
        "CNY": "人民幣",
    }
    terms: ClassVar[Mapping[str, str]] = dict(MandarinReader.terms) | {
        "PM2.5": "PM二點五",
        "24/7": "全天候",
    }
    symbols = (
        *((pattern, words.translate(_TRADITIONAL)) for pattern, words in MandarinReader.symbols),
        (r"度電電", "度電"),
        (r"(?<=[蚊毫])蚊", ""),
    )
    ten_thousands = ("", "萬", "億")
    two = "兩"
    two_before = MandarinReader.two_before + "".join(
        c for c in MandarinReader.two_before.translate(_TRADITIONAL)
    ) + "隻蚊週歲"  # fmt: skip
    halves = ((6, "凌晨"), (12, "朝早"), (13, "晏晝"), (19, "下晝"), (24, "夜晚"))
    hour_word = "點"
    day_word = "號"
    lapse_words = ("日", "個鐘", "分鐘", "秒")
    to = "至"

    def called(self, digits: str) -> str:
        # 幺 for one is a Mandarin habit.
        return self.digits(digits)

    def money(self, number: Number, currency: str, scale: str | None) -> str:
        if currency == "$" and not scale and len(number.trimmed().fraction) == 1:
            return self.signed(
                number,
                f"{self.cardinal(number.whole)}蚊{self.cardinal(number.fraction[0])}毫",
            )
        return super().money(number, currency, scale)
