"""What every language drops or folds first: invisible characters, emoji, wide forms, Markdown."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# One character each, because the models' front end loses or garbles the left-hand forms.
_FOLDED = {
    "℃": "°C",
    "℉": "°F",
    "º": "°",
    "˚": "°",
    "％": "%",
    "‰": " per mille ",
    "−": "-",
    "‐": "-",
    "‑": "-",
    "－": "-",
    "⁄": "/",
    "／": "/",
    "＋": "+",
    "＝": "=",
    "＆": "&",
    "＠": "@",
    "＃": "#",
    "＄": "$",
    "￥": "¥",
    "￡": "£",
    "￦": "₩",
    "μ": "µ",
    "’": "'",
    "ʼ": "'",
    "‘": "'",
    "№": "No. ",
    "•": " ",
    "‣": " ",
    "\t": " ",
    "\r": "\n",
    "\x0b": "\n",
    "\x0c": "\n",
    "\x85": "\n",
    "\u2028": "\n",
    "\u2029": "\n",
    "→": "→",
    "⇒": "→",
    "➔": "→",
    "➜": "→",
    "©": " ",
    "®": " ",
    "™": " ",
    "°": "°",
}
_INVISIBLE = {"Cf", "Cs", "Co", "Cn"}
# Pieces of an emoji that are no symbol by themselves: variation selectors, keycaps, skin tones.
_EMOJI_PARTS = re.compile("[\ufe00-\ufe0f\u20e0-\u20e3\U0001f3fb-\U0001f3ff]")
_SUPERSCRIPTS = "²³"


@lru_cache(maxsize=8192)
def _fold_character(character: str) -> str:
    folded = _FOLDED.get(character)
    if folded is not None:
        return folded
    category = unicodedata.category(character)
    if category in _INVISIBLE or _EMOJI_PARTS.match(character):
        return ""
    if category == "Cc":
        return "\n" if character == "\n" else " "
    if category == "Zs":
        return " "
    if character in _SUPERSCRIPTS:
        return character
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    code = ord(character)
    if 0xFF21 <= code <= 0xFF5A and character.isalpha():
        return chr(code - 0xFEE0)
    if 0x3300 <= code <= 0x33FF or unicodedata.decomposition(character).startswith("<fraction>"):
        # Squared units (㎡ ㎏) and fractions in one character, which may follow a digit: 1½.
        text = unicodedata.normalize("NFKC", character).replace("⁄", "/")
        return f" {text}" if "/" in text and text[0].isdigit() else _restore_powers(text)
    return " " if category == "So" else character


def _restore_powers(text: str) -> str:
    return re.sub(r"(?<=m)[23]", lambda match: _SUPERSCRIPTS[int(match[0]) - 2], text)


def fold(text: str) -> str:
    """Drop what cannot be heard and write look-alikes one way; never raises."""
    return "".join(map(_fold_character, text))


_MARKDOWN = (
    (re.compile(r"^[ ]*(?:`{3,}|~{3,})[^\n]*$", re.M), ""),
    (re.compile(r"^[ ]*(?:[-*_=][ ]?){3,}$", re.M), ""),
    (re.compile(r"^[ |:-]*-[ |:-]*\|[ |:-]*$", re.M), ""),
    (re.compile(r"^[ ]*\|(?=[^\n]*\|[ ]*$)", re.M), ""),
    (re.compile(r"\|[ ]*$", re.M), ""),
    (re.compile(r"^[ ]*#{1,6}[ ]+", re.M), ""),
    (re.compile(r"^[ ]*(?:>[ ]?)+(?![ ]*\d)", re.M), ""),
    (re.compile(r"^[ ]*[-*+·][ ]+(?:\[[ xX]\][ ]+)?(?!\d)", re.M), ""),
    (re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,2000}\)"), r"\1"),
    (re.compile(r"`([^`\n]{1,500})`"), r"\1"),
    (re.compile(r"(?<![\w*])(\*{1,3})(?=\S)([^*\n]{1,500})(?<=\S)\1(?![\w*])"), r"\2"),
    (re.compile(r"\*\*(?=\S)([^*\n]{1,500})(?<=\S)\*\*"), r"\1"),
    (re.compile(r"(?<!\w)(_{1,3})(?=\S)([^_\n]{1,500})(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"~~(?=\S)([^~\n]{1,500})(?<=\S)~~"), r"\1"),
)
# A dash before a number starts a list only among other lines: "- 5 °C" alone is a temperature.
_NUMBERED_BULLET = re.compile(r"^[ ]*[-*+·][ ]+(?=\d)", re.M)
_LINE_END = ".!?:;,。！？：；，、…"


def strip_markdown(text: str, stop: str) -> str:
    """Keep the words of Markdown; each line becomes a sentence ending in `stop`."""
    for pattern, replacement in _MARKDOWN:
        text = pattern.sub(replacement, text)
    if "\n" not in text.strip():
        return text
    text = _NUMBERED_BULLET.sub("", text)
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line]
    ended = [line if line[-1] in _LINE_END else line + stop for line in lines[:-1]]
    return " ".join(ended + lines[-1:])


_TIDY = (
    (re.compile(r"([!?])[!?]+"), r"\1"),
    (re.compile(r"([！？])[！？]+"), r"\1"),
    (re.compile(r"([。，、；：])[。，、；：]+"), r"\1"),
    (re.compile(r"\.{4,}"), "..."),
    (re.compile(r"…{2,}"), "…"),
    (re.compile(r"([,;:])(?:[ ]?[,;:])+"), r"\1"),
    (re.compile(r"[ ]{2,}"), " "),
    (re.compile(r"[ ]+(?=[,.!?;，。！？；、])"), ""),
    (re.compile(r"(?<=[，。！？；：、])[ ]+"), ""),
    (re.compile(r"^[ ,;]+"), ""),
)


def tidy(text: str) -> str:
    """One mark for a run of marks, one space for a run of spaces."""
    for pattern, replacement in _TIDY:
        text = pattern.sub(replacement, text)
    return text.strip()
