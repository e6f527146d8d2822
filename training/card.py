"""The model card: what the shipped model learned from, what it may be used for, what it scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.evaluate import SAMPLING, table
from training.voices import training_speakers

_CARD = """\
# The demo model

A GPT-SoVITS v2 of 17 million weights in half precision ({size:.1f} MB), trained by this project
with [its own code]({training}). It speaks English in the voice of a recording of three to ten
seconds.

## What it is for

To hear cloning on a fresh machine without a download, and to let tests hear what a change breaks.
The official weights, of 300 million, sound better in every respect and know five languages.

## What it learned from

Synthetic speech only: hibari-tts (Apache-2.0, distilled from Kokoro-82M) with pitch and envelope
moved to make {hibari} speakers, and mixtures of the five Japanese style vectors of Kokoro-82M
(Apache-2.0; ONNX export MIT) reading English as {kokoro} more. Sentences of our own, words of the
CMU Pronouncing Dictionary (BSD-like). No recording of a person, no text of others.

## Licence

Apache-2.0, as the rest of the project; what it learned from stands in [NOTICE](../../NOTICE).

## How it sounds best

Temperature {temperature:g}, repetition penalty {penalty:g}: it is installed with these, so no
request need say so. The voice in `voice.flac` is a synthesizer's and belongs to nobody.

## Limits

English only. Of its own bars it misses two: {wer:.0%} of the words are misheard (bar 10 %; of the
synthesizers' own speech 14 %), and the sound is rough (DNSMOS {dnsmos:.1f}, bar 2.8). The generator
needs more minutes of training; [how to go on]({training}). Voices far from those it learned from
come out as the nearest of them. Clone a person's voice only when that person agrees.

## Figures

Held-out sentences by held-out speakers. WER by Whisper tiny.en, quality by DNSMOS, similarity to
the reference by resemblyzer, real-time factor on two cores:

{figures}

Each way in which the product speaks, the same sentences (`training.lanes`); `another seed` says how
much two readings differ that are equally good:

{lanes}
"""


def card(scores: dict[str, Any], lanes: dict[str, Any], package: Path) -> str:
    """The card of a package, from the scores of `training.evaluate` and `training.lanes`."""
    size = sum(path.stat().st_size for path in (package / "files").rglob("*") if path.is_file())
    return _CARD.format(
        size=size / 1e6,
        temperature=SAMPLING.temperature,
        penalty=SAMPLING.repetition_penalty,
        training="../../training/README.md",
        figures=table(scores),
        lanes=table(lanes),
        wer=scores["all"]["wer"],
        dnsmos=scores["all"]["dnsmos"],
        hibari=len(training_speakers("hibari")),
        kokoro=len(training_speakers("kokoro")),
    )
