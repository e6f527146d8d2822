"""A segment of mixed text becomes runs of one language each.

The official front end asks a statistical language identifier. For every mode but the two `auto`
ones its answer follows from the scripts alone, and that is what this module computes. In the `auto`
modes the official answer for kanji without kana is a coin toss that changes with the version of a
model; here it follows from the characters too, so that the same text always sounds the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from engines.text.symbols import V1, V2

LANGUAGES = ("zh", "en", "ja", "ko", "yue")
MODES = {
    V1: ("auto", "en", "zh", "ja", "all_zh", "all_ja"),
    V2: ("auto", "auto_yue", *LANGUAGES, "all_zh", "all_ja", "all_yue", "all_ko"),
}

Item = tuple[str, str]

_HAN = re.compile(r"[\u4e00-\u9fff\u3040-\u30ff々]")
_HANGUL = re.compile(r"[\uac00-\ud7af]")
_KANA = re.compile(r"[\u3040-\u30ff々]")
_MARKS = frozenset(
    "〜~,.;:!?，。！？；：、·([{<（【《〈「『“‘)]}>）】》〉」』”’\"-_—#$%&…￥'*+=@\\^`|"
)
_ENGLISH = re.compile(r"[\s -~\u2000-\u206f\u3000-\u303f\uff00-\uffef]+")
_ASCII_LETTER = re.compile(r"[A-Za-z]")
# The multiplication and division signs lie among the letters, and identifiers take them for some.
_LATIN_LETTER = re.compile(r"[A-Za-zªº\u00c0-\u024f\u1e00-\u1eff]")
_NOT_SPEAKABLE = re.compile(r"[^\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff0-9、-〜。！？.!?… /]")
_JIS_LEVEL_1 = b"\x98\x72"
_JIS_LEVEL_2 = b"\xea\xa4"
_CLAUSE = re.compile(r"[^，。！？,.!?;；:：…「」『』（）()、\n]+")
_STRETCH = re.compile(r"[\u3040-\u30ff々]+|[\u4e00-\u9fff]+")


def language_runs(segment: str, language: str) -> list[Item]:
    """Cut one segment into (language, text) runs.

    Args:
        segment: text of one segment; outer white space is lost unless the language is `en`.
        language: a mode; `xx` speaks what is not English as xx, `all_xx` digits in any case too.

    Returns:
        Runs in order, neighbours differ in language; languages are those of `LANGUAGES`.
    """
    segment = re.sub(r" {2,}", " ", segment)
    if language == "en":
        return [("en", segment)]
    home = language.removeprefix("all_").removeprefix("auto_")
    identify = language.startswith("auto")
    atoms = _atoms(segment.strip(), identify)
    if language.startswith("all_"):
        return _joined(("en" if _is_english(*atom) else home, atom[1]) for atom in atoms)
    unknown = "x" if identify else home
    items = _settle(_joined(_item(kind, text, unknown) for kind, text in atoms))
    if language == "auto":
        return items
    if language == "auto_yue":
        return [("yue" if tongue == "zh" else tongue, text) for tongue, text in items]
    return _joined((tongue if tongue == "en" else home, text) for tongue, text in items)


def _atoms(text: str, identify: bool) -> list[Item]:
    """Split by script: han (or zh and ja), hangul, digit, other; marks and newlines joined on."""
    han_languages = _han_languages(text) if identify else ["han"] * len(text)
    atoms: list[Item] = []
    for index, character in enumerate(text):
        kind = han_languages[index] if _HAN.match(character) else _kind(character)
        joins = character.isspace() and kind != "newline"
        joins = joins or (character == "'" and index > 0 and not text[index - 1].isspace())
        if atoms and (joins or (kind == atoms[-1][0] and kind != "mark")):
            atoms[-1] = (atoms[-1][0], atoms[-1][1] + character)
        else:
            atoms.append((kind, character))
    return _absorbed(_absorbed(atoms, "mark"), "newline")


def _kind(character: str) -> str:
    if _HANGUL.match(character):
        return "hangul"
    if character.isdigit():
        return "digit"
    if character in _MARKS:
        return "mark"
    return "newline" if character in "\r\n" else "other"


def _absorbed(atoms: list[Item], soft: str) -> list[Item]:
    """Append atoms of the soft kind to the one before, or to the one after at the start."""
    result: list[Item] = []
    for kind, text in atoms:
        if result and result[-1][0] == soft:
            result[-1] = (kind, result[-1][1] + text)
        elif result and kind == soft:
            result[-1] = (result[-1][0], result[-1][1] + text)
        else:
            result.append((kind, text))
    return _joined(result)


def _joined(items: Iterable[Item]) -> list[Item]:
    result: list[Item] = []
    for name, text in items:
        _add(result, name, text)
    return result


def _add(items: list[Item], name: str, text: str) -> None:
    if items and items[-1][0] == name:
        items[-1] = (name, items[-1][1] + text)
    else:
        items.append((name, text))


def _is_english(kind: str, text: str) -> bool:
    return (
        kind != "digit"
        and _ASCII_LETTER.search(text) is not None
        and _ENGLISH.fullmatch(text) is not None
    )


def _item(kind: str, text: str, home: str) -> Item:
    """Name the language of one atom; digit and x are settled by their neighbours."""
    if kind == "digit":
        return "digit", text
    if _is_english(kind, text):
        return "en", text
    if kind in ("zh", "ja"):
        return kind, text
    if kind == "hangul":
        return "ko", text
    if kind == "han":
        return home, text
    if kind == "mark":
        # Marks stick to what they stand by: here is nothing else.
        return "x", text
    if _LATIN_LETTER.search(text):
        return "en", text
    kept = _NOT_SPEAKABLE.sub("", text)
    return (home, kept) if kept else ("x", text)


def _settle(items: list[Item]) -> list[Item]:
    """Give digits, then unknown symbols, the language of a neighbour."""
    for unsettled, choose in (("digit", _digits), ("x", _unknown)):
        settled: list[Item] = []
        for index, (tongue, text) in enumerate(items):
            before = settled[-1] if settled else None
            after = items[index + 1] if index + 1 < len(items) else None
            chosen = choose(text, before, after) if tongue == unsettled else tongue
            _add(settled, chosen, text)
        items = settled
    return items


def _digits(text: str, before: Item | None, after: Item | None) -> str:
    marks = (",", ".", "!", "?", "，", "。", "！", "？")
    if before is None or after is None:
        known = before or after
        return known[0] if known else "zh"
    if before[1].endswith(marks):
        return after[0]
    if after[1].startswith(marks) or text.endswith(("。", ".")):
        return before[0]
    return before[0] if len(before[1]) >= len(after[1]) else after[0]


def _unknown(_text: str, before: Item | None, after: Item | None) -> str:
    known = before or after
    return known[0] if known else "zh"


def _han_languages(text: str) -> list[str]:
    """Decide between zh and ja for each character of an `auto` text, were it Han or kana.

    A clause with kana is Japanese but for stretches that Japanese cannot write; a clause without is
    Japanese only when the text has kana elsewhere and no such clause looks Chinese.
    """
    languages = ["zh"] * len(text)
    if not _KANA.search(text):
        return languages
    clauses = list(_CLAUSE.finditer(text))
    plain = "".join(clause.group() for clause in clauses if not _KANA.search(clause.group()))
    chinese_too = not _is_japanese(plain, rarest=_JIS_LEVEL_1)
    for clause in clauses:
        has_kana = _KANA.search(clause.group()) is not None
        for stretch in _STRETCH.finditer(text, clause.start(), clause.end()):
            if _is_japanese(stretch.group(), _JIS_LEVEL_2) if has_kana else not chinese_too:
                languages[stretch.start() : stretch.end()] = ["ja"] * len(stretch.group())
    return languages


def _is_japanese(text: str, rarest: bytes) -> bool:
    """Tell whether Shift JIS has all Han characters, none of them after `rarest` in its order.

    The order is by frequency of use: everyday Japanese is in level 1, names and rarities in level
    2, most simplified Chinese in neither.
    """
    codes = (character.encode("shift_jis", "replace") for character in _HAN.findall(text))
    return all(len(code) == 2 and code <= rarest for code in codes)
