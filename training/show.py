r"""Ten sentences to listen to, their pictures, and all figures, for docs/demo.

    python -m training.show --heard FOLDER --out docs/demo

`--heard` is a folder of `training.evaluate` with the `lanes` of `training.lanes` in it. The first
ten held-out sentences are shown, each by the next held-out speaker: none is chosen by ear.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from engines.sampling import Floats
from training.evaluate import reference_reading, table

RATE = 24_000
SHOWN = 10
_README = """\
# The small model, to listen to

Ten sentences that it never learned, by speakers that it never heard: the first ten held-out
sentences, each by the next speaker, none chosen by ear. A speaker's reference, a few seconds
long, is all that the model is given. The picture shows the reference above and what was made of it
below. All speakers are synthesizers' (`training/voices.py`); in the reference they say: "{said}"

Made by `python -m training.show` from the speech that was scored. How the model is trained:
[training/README.md](../../training/README.md).

| | speaker | text | reference | spoken | wrong words | DNSMOS | likeness |
|---|---|---|---|---|---|---|---|
{rows}

## Figures

Held-out sentences by held-out speakers; WER by Whisper tiny.en, quality by DNSMOS, likeness to the
reference by resemblyzer, nearest: how often the own reference is the nearest of all.

{figures}

## Every way of speaking

The same sentences in fp32, by another seed (how much two readings differ that are equally good),
in 8 bits, in pieces, in pieces while tokens are still drawn, and four side by side:

{lanes}

The regression test (`tests/training/test_lanes.py`) holds the spectra of these together.

## Pictures

{pictures}

Training: [tokenizer](curves-tokenizer.png), [T2S](curves-t2s.png), [SoVITS](curves-sovits.png).
"""


def main() -> None:
    """Write the sounds, the pictures and README.md."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--heard", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/demo"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for pattern in ("[0-9][0-9]-*", "reference-*"):
        for old in args.out.glob(pattern):
            old.unlink()
    heard = json.loads((args.heard / "scores.json").read_text())
    lanes = json.loads((args.heard / "lanes" / "scores.json").read_text())
    rows = chosen(heard["rows"])
    for number, row in enumerate(rows, 1):
        reference = _read(args.heard / "reference" / f"{row['speaker']}.wav")
        samples = _read(args.heard / row["file"])
        soundfile.write(args.out / f"reference-{row['speaker']}.flac", reference, RATE)
        soundfile.write(args.out / f"{_name(number, row)}.wav", samples, RATE, subtype="PCM_16")
        draw(reference, samples, row, args.out / f"{_name(number, row)}.png")
    readme = page(rows, heard["scores"], lanes)
    (args.out / "README.md").write_text(readme, encoding="utf-8")
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"{len(rows)} sentences, {size / 1e6:.1f} MB in {args.out}")


def chosen(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that are shown: every sentence once, every speaker in turn, of those scored."""
    rows = [row for row in rows if row["heard"]]
    speakers = sorted({row["speaker"] for row in rows})
    texts = list(dict.fromkeys(row["text"] for row in rows))[:SHOWN]
    wanted = {text: speakers[place % len(speakers)] for place, text in enumerate(texts)}
    found = {row["text"]: row for row in rows if wanted.get(row["text"]) == row["speaker"]}
    return [found[text] for text in texts]


def page(
    rows: Sequence[dict[str, Any]], scores: dict[str, Any], lanes: dict[str, dict[str, float]]
) -> str:
    """The README of the folder."""
    return _README.format(
        said=reference_reading().text,
        rows="\n".join(_line(number, row) for number, row in enumerate(rows, 1)),
        figures=table(scores),
        lanes=table(lanes),
        pictures="\n\n".join(
            f"![{row['speaker']}: {row['text']}]({_name(number, row)}.png)"
            for number, row in enumerate(rows, 1)
        ),
    )


def draw(reference: Floats, samples: Floats, row: dict[str, Any], out: Path) -> None:
    """Draw both spectrograms, up to 8 kHz, on one scale of time and level."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from PIL import Image

    figure, axes = pyplot.subplots(2, 1, figsize=(8, 4.6), sharex=True)
    titles = (f"reference of {row['speaker']}", f"cloned: {row['text']}")
    for axis, title, sound in zip(axes, titles, (reference, samples), strict=True):
        loud = sound / max(float(np.abs(sound).max()), 1e-6) + 1e-7
        axis.specgram(loud, NFFT=1024, Fs=RATE, noverlap=896, vmin=-140, vmax=-40, cmap="magma")
        axis.set_ylim(0, 8000)
        axis.set_yticks([0, 4000, 8000], ["0", "4", "8 kHz"])
        axis.set_title(title, fontsize=9, loc="left")
    axes[-1].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(out, dpi=70)
    pyplot.close(figure)
    with Image.open(out) as picture:
        few = picture.convert("RGB").quantize(24, dither=Image.Dither.NONE)
    few.save(out, optimize=True)


def _line(number: int, row: dict[str, Any]) -> str:
    name, speaker = _name(number, row), row["speaker"]
    cells = (
        f"{number}",
        speaker,
        row["text"],
        f"[reference](reference-{speaker}.flac)",
        f"[wav]({name}.wav), [picture]({name}.png)",
        f"{row['wer_words']} of {row['words']}",
        f"{row['dnsmos']:.2f}",
        f"{row['similarity']:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def _name(number: int, row: dict[str, Any]) -> str:
    return f"{number:02d}-{row['speaker']}"


def _read(path: Path) -> Floats:
    samples, rate = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(samples, rate, RATE), np.float32)


if __name__ == "__main__":
    main()
