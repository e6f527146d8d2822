"""`python -m engines phonemize`: show what will be said."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import TextError
from engines.text import MODES, phonemize
from engines.text.cut import METHODS, collapse_marks, cut, segments
from engines.text.sentence import phonemize_segment
from engines.text.symbols import TABLES, V1, V2

if TYPE_CHECKING:
    from engines.text.zh import PinyinReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("text", nargs="?", help="text to say")
    what.add_argument(
        "--jsonl",
        metavar="FILE",
        type=Path,
        help="lines of id, text, lang, version: phones of one segment each, official rules only",
    )
    parser.add_argument(
        "--cuts", action="store_true", help="the lines of --jsonl hold id, text, lang, method"
    )
    parser.add_argument("--language", default="en", metavar="MODE", help=", ".join(MODES[V2]))
    parser.add_argument("--symbols", default=V2, choices=TABLES)
    parser.add_argument("--cut", default="sentence", choices=tuple(METHODS))
    parser.add_argument(
        "--g2pw",
        metavar="FOLDER",
        type=Path,
        help="the official G2PWModel folder and in it the Chinese BERT's vocab.txt",
    )
    parser.add_argument("--exact", action="store_true", help="do not write out home text first")


def run(args: argparse.Namespace) -> int:
    """Print sentences for a person or, with --jsonl, rows for a program."""
    reader = _g2pw(args.g2pw) if args.g2pw else None
    if args.jsonl:
        for row in _rows(args.jsonl):
            answer = _cut_row(row) if args.cuts else _phone_row(row, reader)
            print(json.dumps({"id": row.get("id"), **answer}))
        return 0
    sentences = phonemize(
        args.text,
        args.language,
        args.symbols,
        normalize="exact" if args.exact else "speakable",
        cut=args.cut,
        reader=reader,
    )
    for sentence in sentences:
        print(sentence.text)
        for stretch in sentence.runs:
            print(f"  {stretch.language}: {' '.join(stretch.phones)}")
        if sentence.pause:
            print(f"  pause: {sentence.pause:g} s")
    return 0


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"jsonl: cannot read {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise TextError(f"jsonl: line {number} is not JSON: {error}") from error
        if not isinstance(row, dict) or not {"text", "lang"} <= row.keys():
            raise TextError(f"jsonl: line {number} lacks text or lang")
        yield row


def _g2pw(folder: Path) -> PinyinReader:
    from engines.text.g2pw import G2pw

    return G2pw.load(folder)


def _phone_row(row: dict[str, Any], reader: PinyinReader | None) -> dict[str, Any]:
    if row.get("zh_path") == "pypinyin":
        from engines.text.zh import by_word

        reader = by_word
    # The official front end knows two tables: the first model's and everybody else's.
    symbols = V1 if row.get("version") == V1 else V2
    sentence = phonemize_segment(row["text"], row["lang"], symbols, reader)
    counts = [stretch.word_to_phone for stretch in sentence.runs]
    return {
        "norm_text": sentence.text,
        "phones": [phone for stretch in sentence.runs for phone in stretch.phones],
        "phone_ids": sentence.phone_ids,
        # Several runs have no common count: only a single Chinese one tells its own.
        "word2ph": counts[0] if len(counts) == 1 else None,
    }


def _cut_row(row: dict[str, Any]) -> dict[str, Any]:
    text, language, method = row["text"], row["lang"], row.get("method", "cut1")
    collapsed = collapse_marks(text)
    answer: dict[str, Any] = {"cut_fn": cut(text, method) if text.strip("\n") else None}
    answer["collapsed"] = collapsed
    for key, error_key, cuttable in (
        ("segments", "error", collapsed),
        ("segments_stream", "error_stream", text),
    ):
        try:
            answer[key] = segments(cuttable, language, method)
        except TextError as error:
            answer[error_key] = f"{error.code}: {error}"
    return answer
