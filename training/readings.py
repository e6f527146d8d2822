"""Sentences and how they are read, written down once, so that making speech needs no front end."""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from training.phones import Reading, read
from training.sentences import held_out, training_sentences


def main() -> None:
    """Write readings: one JSON object a line, gzip."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20_000, help="sentences drawn")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", action="store_true", help="the sentences of evaluation")
    args = parser.parse_args()
    texts = held_out() if args.held_out else training_sentences(args.seed, args.count)
    written = write(args.out, (reading for text in texts if (reading := read(text))))
    print(f"{written} readings in {args.out}, {args.out.stat().st_size >> 10} KiB")


def write(path: Path, readings: Iterable[Reading]) -> int:
    """Write a file of readings, the same bytes for the same readings; returns how many."""
    lines = [json.dumps(asdict(reading), ensure_ascii=False) for reading in readings]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return len(lines)


def load(path: Path) -> list[Reading]:
    """Read a file of readings."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [
        Reading(row["text"], tuple(row["phone_ids"]), row["spoken"], tuple(row["owner"]))
        for row in map(json.loads, lines)
    ]


if __name__ == "__main__":
    main()
