r"""The same sentences spoken in every way that the product speaks them, and their scores.

    python -m training.lanes --model FOLDER --out HEARD/lanes [--sentences 10]

`--model` is a folder of `training.export`. fp32 is what the others are
compared with; `another seed` says how much two fp32 readings differ that are equally good.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from engines.audio import Recording
from engines.backends import Backend, CheckpointFiles, open_backend
from engines.bert_features import BertFeatures
from engines.decoders import Streaming
from engines.export import convert
from engines.model_folder import TOKENIZER
from engines.prompt import Enroller, VoicePrompt
from engines.sampling import Floats, SamplingParams
from engines.synthesizer import Synthesizer
from engines.text import phonemize
from training.evaluate import (
    RATE,
    SAMPLING,
    Ears,
    expected_seconds,
    hear,
    held_out_readings,
    reference_reading,
    table,
    write_wav,
)
from training.voices import held_out_speakers, open_engine

ANOTHER_SEED = "another seed"
SLOTS = 4


@dataclass(frozen=True, slots=True)
class Lane:
    """A way of speaking.

    Attributes:
        precision: of the model.
        slots: sentences that are read side by side.
        streaming: how a sentence is cut, None for whole.
        seed_after: added to the seed.
    """

    precision: str = "fp32"
    slots: int = 1
    streaming: Streaming | None = None
    seed_after: int = 0


LANES: Mapping[str, Lane] = {
    "fp32": Lane(),
    ANOTHER_SEED: Lane(seed_after=1000),
    "int8": Lane(precision="int8"),
    "streamed": Lane(streaming=Streaming()),
    "streamed, eager": Lane(streaming=Streaming(eager=True)),
    "batched": Lane(slots=SLOTS),
}


def main() -> None:
    """Make the lanes and score them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    recorded = {
        speaker.name: open_engine(speaker.engine).speak(reference_reading(), speaker, 0).samples
        for speaker in held_out_speakers()
    }
    with opened(args.model) as backends:
        for name, lane in LANES.items():
            backend = backends[lane.precision]
            make(backend, lane, recorded, args.out / name, args.sentences, args.seed)
    ears = Ears()
    scores = {name: hear(args.out / name, ears)["all"] for name in LANES}
    (args.out / "scores.json").write_text(json.dumps(scores, indent=1))
    print(table(scores))


@contextmanager
def opened(model: Path) -> Iterator[dict[str, Backend]]:
    """A model of official files in both precisions, as the CPU runs it."""
    files = CheckpointFiles(model / "t2s.ckpt", model / "sovits.pth", model / "models")
    with tempfile.TemporaryDirectory() as scratch:
        backends = {}
        for precision in ("fp32", "int8"):
            folder = Path(scratch) / precision
            convert(files, folder, precision)
            backends[precision] = open_backend("onnxruntime", folder)
        try:
            yield backends
        finally:
            for backend in backends.values():
                backend.close()


def make(
    backend: Backend,
    lane: Lane,
    recorded: Mapping[str, Floats],
    out: Path,
    sentences: int,
    seed: int,
) -> None:
    """Write what `evaluate.hear` reads: references, speech, and made.json."""
    shutil.rmtree(out, ignore_errors=True)
    reference = reference_reading()
    readings = [each for each in held_out_readings() if each != reference][:sentences]
    rows = []
    for number, (speaker, recording) in enumerate(recorded.items()):
        write_wav(out / "reference" / f"{speaker}.wav", recording)
        bert = BertFeatures(backend, out / TOKENIZER)
        said = phonemize(reference.text, "en")
        prompt = Enroller(backend, bert).enrol([Recording(recording, RATE)], said)
        how = replace(SAMPLING, seed=seed + number + lane.seed_after)
        begun = time.perf_counter()
        spoken = speak(backend, lane, [each.text for each in readings], prompt, how)
        spent = time.perf_counter() - begun
        seconds = sum(len(samples) for samples in spoken) / RATE
        for place, (reading, samples) in enumerate(zip(readings, spoken, strict=True)):
            file = f"spoken/{speaker}/{place:03d}.wav"
            write_wav(out / file, samples)
            rows.append(
                {
                    "speaker": speaker,
                    "file": file,
                    "text": reading.text,
                    "seconds": len(samples) / RATE,
                    "spent": spent * len(samples) / RATE / seconds,
                    "expected": expected_seconds(reading),
                    "heard": True,
                }
            )
    (out / "made.json").write_text(json.dumps(rows, indent=1))


def speak(
    backend: Backend, lane: Lane, texts: Sequence[str], prompt: VoicePrompt, how: SamplingParams
) -> list[Floats]:
    """Samples of each text. All are one request, so that a lane with slots fills them."""
    phonemized = [phonemize(text, "en") for text in texts]
    belongs = [place for place, parts in enumerate(phonemized) for _ in parts]
    synthesizer = Synthesizer(backend, BertFeatures(backend, Path()), lane.slots)
    chunks = synthesizer.speak(
        [part for parts in phonemized for part in parts],
        prompt,
        how,
        streaming=lane.streaming,
        pause=0.0,
    )
    groups = groupby(chunks, lambda chunk: belongs[chunk.sentence])
    return [np.concatenate([chunk.samples for chunk in group]) for _, group in groups]


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
