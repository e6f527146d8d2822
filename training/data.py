"""Make the speech that the small model learns from: readings × speakers → shards.

Utterance number i of a synthesizer is always the same sentence by the same speaker, so shards can
be made in any order, by several processes, and again after a break.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from training import readings, shards
from training.phones import Reading
from training.voices import Engine, Speaker, held_out_speakers, open_engine, training_speakers

PER_SHARD = {"hibari": 400, "kokoro": 60}

_engine: Engine | None = None


def main() -> None:
    """Write shards; those that exist already are kept."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--engine", choices=sorted(PER_SHARD), required=True)
    parser.add_argument("--readings", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--shards", type=int, required=True, help="how many in all")
    parser.add_argument("--codec", choices=("pcm", "opus"), default="pcm")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no shard after these")
    parser.add_argument("--held-out", action="store_true", help="the speakers of evaluation")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    started, seconds, done = time.monotonic(), 0.0, 0
    missing = [n for n in range(args.shards) if not shard_path(args.out, args.engine, n).exists()]
    make = partial(make_shard, args.engine, args.readings, args.out, args.codec, args.held_out)
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        deadline = started + 60 * args.minutes
        for made in pool.imap_unordered(partial(_in_time, make, deadline), missing):
            done, seconds = done + 1, seconds + made
            spent = time.monotonic() - started
            print(
                f"\r[{'#' * (30 * done // len(missing)):30s}] {done}/{len(missing)} shards, "
                f"{seconds / 3600:.2f} h of speech in {spent / 60:.1f} min, "
                f"{seconds / spent:.1f}x real time",
                end="",
                flush=True,
            )
    print()


def shard_path(folder: Path, engine: str, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"{engine}-{number:04d}.npz"


def make_shard(
    engine: str, readings_file: Path, folder: Path, codec: str, held_out: bool, number: int
) -> float:
    """Make one shard; returns its seconds of speech."""
    global _engine  # a process makes many shards, and loading takes seconds
    if _engine is None:
        _engine = open_engine(engine)
    table = readings.load(readings_file)
    made = make_utterances(_engine, engine, table, number, held_out)
    shards.write(shard_path(folder, engine, number), made, codec)
    return sum(len(utterance.samples) for utterance in made) / shards.RATE


def make_utterances(
    synthesizer: Engine,
    engine: str,
    table: Sequence[Reading],
    number: int,
    held_out: bool = False,
    count: int | None = None,
) -> list[shards.Utterance]:
    """The utterances of one shard.

    Args:
        synthesizer: opened.
        engine: its name.
        table: all readings.
        number: of the shard.
        held_out: speak with the speakers of evaluation.
        count: how many, by default a full shard.
    """
    cast = held_out_speakers() if held_out else training_speakers(engine)
    cast = [speaker for speaker in cast if speaker.engine == engine]
    count = PER_SHARD[engine] if count is None else count
    # The two synthesizers walk through the sentences in different orders.
    order = random.Random(engine).sample(range(len(table)), len(table))
    first = number * count
    return [
        _utterance(synthesizer, table[order[place % len(table)]], cast[place % len(cast)], place)
        for place in range(first, first + count)
    ]


def _utterance(
    synthesizer: Engine, reading: Reading, speaker: Speaker, place: int
) -> shards.Utterance:
    spoken = synthesizer.speak(reading, speaker, place)
    return shards.Utterance(
        speaker.name,
        reading.text,
        np.asarray(np.clip(spoken.samples * 32767, -32768, 32767), np.int16),
        np.array(reading.phone_ids, np.int64),
        spoken.ends,
    )


def _in_time(make: partial[float], deadline: float, number: int) -> float:
    return make(number) if time.monotonic() < deadline else 0.0


if __name__ == "__main__":
    main()
