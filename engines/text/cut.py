"""A text becomes the segments that are spoken one after the other.

`cut0` to `cut5` are the official methods, kept to the letter: a model trained on short clips sounds
different when the pieces differ, and people know the names. `sentence` is ours and the default: one
segment is one sentence, so the first can be heard while the next is still computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from engines.errors import TextError

ENDS = frozenset("，。？！,.?!~:：—…")
MARKS = frozenset("!?…,.- ")
SHORT_SEGMENT = 5
SHORT_OPENING = 4
LONG_SEGMENT = 510
# Width of a comfortable breath of speech; a wide (East Asian) character takes about twice as long.
LONG_SENTENCE = 160
# Characters where nothing can be broken: 40 s of Chinese; the official loop ends at 60 s.
LONGEST_SENTENCE = 200

_REPEATED_MARKS = re.compile(r"([!?…,.\-])[!?…,.\-]+")
_AFTER_END = re.compile(r"(?<=[，。？！,.?!~:：—…])")
_LONE_FULL_STOP = re.compile(r"(?<!\d)\.(?!\d)")
_AFTER_MARK = re.compile(r"(?<=[,;?!、，。？！：…])|(?<=\.)(?<!\d\.)|(?<=\d\.)(?!\d)")
_SENTENCE_END = re.compile(r"[。！？!?…]+[”’」』）)\"']*|(?<=\S)\.+[”’)\"']*(?=\s|$)|\n")
_NOT_AN_END = re.compile(r"(?:\b[A-Z]|\b(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|No|[ap]\.m|e\.g|i\.e))\.$")
_BREAK = re.compile(r"([,;:，；：、](?!\d))\s*|\s+|$")
_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\ud7af\uf900-\ufaff\uff00-\uffef]")


def collapse_marks(text: str) -> str:
    """Reduce a run of ASCII marks (and …) to its first one: `Stop!!!` is `Stop!`."""
    return _REPEATED_MARKS.sub(r"\1", text)


def segments(text: str, language: str, method: str) -> list[str]:
    """Cut a text as the official inference does: open, cut, join the short, end, limit.

    Args:
        text: what `collapse_marks` returned; the official streaming entry passes it raw.
        language: mode; only `en` differs, by its full stop.
        method: a key of `METHODS`.

    Raises:
        TextError: the text consists of marks and white space only.
    """
    text = text.strip("\n")
    if not text:
        return []
    full_stop = "." if language == "en" else "。"
    opening = re.split(r"[，。？！,.?!~:：—…]", text, maxsplit=1)[0].strip()
    if text[0] not in ENDS and len(opening) < SHORT_OPENING:
        text = full_stop + text
    pieces = cut(text, method).split("\n")
    if all(piece in ("", " ") for piece in pieces):
        raise TextError("text: only marks and spaces, nothing to say")
    result: list[str] = []
    for piece in _join_short([piece for piece in pieces if piece not in ("", " ")]):
        if not re.search(r"\w", piece):
            continue
        ended = piece if piece[-1] in ENDS else piece + full_stop
        result.extend(_limit(ended) if len(ended) > LONG_SEGMENT else [ended])
    return result


def cut(text: str, method: str) -> str:
    """Apply one cut method alone; the pieces come back joined by newlines."""
    if method not in METHODS:
        raise TextError(f"cut: no method {method!r}, only {', '.join(METHODS)}")
    return METHODS[method](text)


def bounded(segment: str, method: str) -> Iterator[str]:
    """Split a segment that no mark could split, so that no network meets more than it can take."""
    limit = LONGEST_SENTENCE if method == "sentence" else LONG_SEGMENT
    while len(segment) > limit:
        space = segment.rfind(" ", 1, limit)
        end = space if space > 0 else limit
        yield segment[:end]
        segment = segment[end:]
    yield segment


def _split(text: str) -> list[str]:
    text = text.replace("……", "。").replace("——", "，")
    if not text or text[-1] not in ENDS:
        text += "。"
    return [piece for piece in _AFTER_END.split(text) if piece]


def _spoken(pieces: Iterable[str]) -> str:
    return "\n".join(piece for piece in pieces if not set(piece) <= MARKS)


def _whole(text: str) -> str:
    return "\n" if set(text) <= MARKS else text


def _by_four(text: str) -> str:
    text = text.strip("\n")
    pieces = _split(text)
    if len(pieces) <= 4:
        return _spoken([text])
    groups = ["".join(pieces[start : start + 4]) for start in range(0, len(pieces), 4)]
    last = groups.pop()
    return _spoken([*groups[:-1], groups[-1] + last])


def _by_fifty(text: str) -> str:
    text = text.strip("\n")
    pieces = _split(text)
    if len(pieces) < 2:
        return text
    chunks = [""]
    for piece in pieces:
        if len(chunks[-1]) > 50:
            chunks.append("")
        chunks[-1] += piece
    if len(chunks) > 1 and len(chunks[-1]) < 50:
        last = chunks.pop()
        chunks[-1] += last
    return _spoken(chunks)


def _by_chinese_full_stop(text: str) -> str:
    return _spoken(text.strip("\n").strip("。").split("。"))


def _by_full_stop(text: str) -> str:
    return _spoken(_LONE_FULL_STOP.split(text.strip("\n").strip(".")))


def _by_mark(text: str) -> str:
    pieces = _AFTER_MARK.split(text.strip("\n"))
    return "\n".join(piece for piece in pieces if not set(piece) <= set(",.;?!、，。？！：…"))


def _by_sentence(text: str) -> str:
    pieces: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        # Twelve characters hold the longest abbreviation; a longer look back would not be linear.
        if _NOT_AN_END.search(text[max(start, match.end() - 12) : match.end()]):
            continue
        pieces.append(text[start : match.end()])
        start = match.end()
    pieces.append(text[start:])
    return _spoken(clause.strip() for piece in pieces for clause in _clauses(piece))


def _clauses(sentence: str) -> Iterator[str]:
    """Break a sentence that is longer than a breath at its commas, else at its spaces."""
    widths = [0, *accumulate(2 if _WIDE.match(character) else 1 for character in sentence)]
    start = comma = space = 0
    for match in _BREAK.finditer(sentence):
        end = match.end()
        if widths[end] - widths[start] > LONG_SENTENCE and space > start:
            middle = comma if comma > start else space
            yield sentence[start:middle]
            start = middle
        comma = end if match.group(1) else comma
        space = end
    yield sentence[start:]


def _join_short(pieces: list[str]) -> list[str]:
    if len(pieces) < 2:
        return pieces
    joined: list[str] = []
    buffer = ""
    for piece in pieces:
        buffer += piece
        if len(buffer) >= SHORT_SEGMENT:
            joined.append(buffer)
            buffer = ""
    if buffer and joined:
        joined[-1] += buffer
    elif buffer:
        joined.append(buffer)
    return joined


def _limit(segment: str) -> list[str]:
    limited: list[str] = []
    buffer = ""
    for token in re.split(r"([，。？！,.?!~:：—…])", segment):
        if len(buffer) + len(token) > LONG_SEGMENT:
            limited.append(buffer)
            buffer = ""
        buffer += token
    return [*limited, buffer] if buffer else limited


METHODS: dict[str, Callable[[str], str]] = {
    "cut0": _whole,
    "cut1": _by_four,
    "cut2": _by_fifty,
    "cut3": _by_chinese_full_stop,
    "cut4": _by_full_stop,
    "cut5": _by_mark,
    "sentence": _by_sentence,
}
