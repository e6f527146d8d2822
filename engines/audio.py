"""Sound in and out: loading recordings, changing rates, joining pieces, chunks of speech.

numpy only: enrolling a voice must not need torch. Samples are float32 in [-1, 1] unless said
otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from engines.errors import PromptError

Samples = npt.NDArray[np.float32]

MAX_FILE_BYTES = 64 << 20
MAX_SECONDS = 120
MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 8_000, 96_000

_ZERO_CROSSINGS = 6
_ROLL_OFF = 0.99
_SOLA_SEARCH = 320


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of finished speech.

    Attributes:
        samples: float32 (n,).
        sample_rate: samples per second.
        sentence: number of the sentence it belongs to, from 0.
        last: whether it ends its sentence.
    """

    samples: Samples
    sample_rate: int
    sentence: int = 0
    last: bool = False

    def pcm16(self) -> bytes:
        """The samples as 16-bit little-endian PCM."""
        return to_pcm16(self.samples).astype("<i2").tobytes()


def to_pcm16(samples: Samples) -> npt.NDArray[np.int16]:
    """Samples as 16-bit integers, rounded toward zero as the original does, clipped at the ends."""
    scaled = np.clip(np.asarray(samples, np.float32) * 32768, -32768, 32767)
    return scaled.astype(np.int16)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as it was made, mixed to one channel.

    Attributes:
        samples: float32 (n,), the mean of all channels.
        sample_rate: samples per second.
    """

    samples: Samples
    sample_rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.sample_rate


def load_recording(source: Path | BinaryIO) -> Recording:
    """Read a WAV, FLAC, OGG or MP3 file.

    Args:
        source: a path, or the file itself open for reading bytes.

    Raises:
        PromptError: unreadable, not audio, empty, longer than 120 s or 64 MiB, more than
            8 channels, a rate outside 8–96 kHz, or samples that are not numbers.
    """
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                return _read(file)
        return _read(source)
    except OSError as error:
        raise PromptError(f"recording: cannot be read ({error.strerror or error})") from error
    except soundfile.LibsndfileError as error:
        raise PromptError(f"recording: not an audio file ({error.error_string})") from error


def _read(file: BinaryIO) -> Recording:
    size = file.seek(0, 2)
    if size > MAX_FILE_BYTES:
        raise PromptError(f"recording: {size} bytes, at most {MAX_FILE_BYTES >> 20} MiB are read")
    file.seek(0)
    with soundfile.SoundFile(file) as sound:
        rate = sound.samplerate
        if not MIN_RATE <= rate <= MAX_RATE:
            raise PromptError(f"recording: {rate} Hz, must be {MIN_RATE} to {MAX_RATE} Hz")
        if sound.channels > MAX_CHANNELS:
            raise PromptError(f"recording: {sound.channels} channels, at most {MAX_CHANNELS}")
        # One more than allowed, because a header may lie about the length.
        samples = sound.read(MAX_SECONDS * rate + 1, dtype="float32", always_2d=True)
    if len(samples) > MAX_SECONDS * rate:
        raise PromptError(f"recording: longer than {MAX_SECONDS} s")
    if not len(samples):
        raise PromptError("recording: holds no sound")
    if not np.isfinite(samples).all():
        raise PromptError("recording: holds samples that are not numbers")
    return Recording(samples.mean(axis=1, dtype=np.float32), rate)


def resample_soxr(samples: Samples, rate: int, target: int) -> Samples:
    """Change the rate with soxr's "HQ" filter, as the original does ahead of HuBERT.

    Returns:
        float32 (ceil(n · target / rate),).
    """
    if rate == target:
        return samples
    out = soxr.resample(samples, rate, target, quality="HQ")
    length = math.ceil(len(samples) * target / rate)
    fixed = np.zeros(length, np.float32)
    fixed[: min(length, len(out))] = out[:length]
    return fixed


def resample_sinc(samples: Samples, rate: int, target: int) -> Samples:
    """Change the rate with a Hann-windowed sinc filter, as the original does for spectra.

    The published default of torchaudio's resampler (Smith, "Digital Audio Resampling"): 6 zero
    crossings, roll-off 0.99. The models were trained on its exact output.

    Returns:
        float32 (ceil(n · target / rate),).
    """
    if rate == target:
        return samples
    common = math.gcd(rate, target)
    before, after = rate // common, target // common
    kernel, width = sinc_kernel(before, after)
    padded = np.pad(samples, (width, width + before)).astype(np.float32, copy=False)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[1])[::before]
    length = math.ceil(after * len(samples) / before)
    return np.ascontiguousarray((windows @ kernel.T).reshape(-1)[:length])


@lru_cache(maxsize=16)
def sinc_kernel(before: int, after: int) -> tuple[Samples, int]:
    """Filter of every output phase, (after, 2 · width + before), and its half width.

    `before` and `after` are the two rates without their common divisor.
    """
    base = min(before, after) * _ROLL_OFF
    width = math.ceil(_ZERO_CROSSINGS * before / base)
    taps = np.arange(-width, width + before, dtype=np.float64) / before
    # Rounding the phase to float32 and nothing else is what the models' own resampler does.
    phases = (np.arange(0, -after, -1, dtype=np.float32) / np.float32(after)).astype(np.float64)
    t = np.clip((phases[:, None] + taps) * base, -_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = np.cos(t * math.pi / _ZERO_CROSSINGS / 2) ** 2
    kernel = np.sinc(t) * window * (base / before)
    return kernel.astype(np.float32), width


def limit_peak(samples: Samples) -> Samples:
    """Scale down a signal that leaves [-1, 1], by at most 2; quieter ones stay as they are."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples / np.float32(min(2.0, peak)) if peak > 1 else samples


def join(before: Samples, after: Samples, overlap: int) -> Samples:
    """Join two pieces that share about `overlap` samples, where they match best (SOLA).

    The second piece is moved back by up to 320 samples to where its beginning correlates best with
    the end of the first, and faded in over it with a Hann window.

    Args:
        before: (n,), n ≥ overlap.
        after: (m,), m ≥ overlap + 320.
        overlap: samples to fade over; 0 joins end to end.

    Returns:
        float32 (n + m - overlap - shift,), shift between 0 and 320.
    """
    if not overlap:
        return np.concatenate([before, after])
    tail = before[-overlap:]
    shift = best_shift(tail, after[: overlap + _SOLA_SEARCH])
    matched = after[shift:].copy()
    fade = np.hanning(2 * overlap + 1)[:-1].astype(np.float32)
    matched[:overlap] = fade[:overlap] * matched[:overlap] + fade[overlap:] * tail
    return np.concatenate([before[:-overlap], matched])


def best_shift(tail: Samples, searched: Samples) -> int:
    """Where in `searched` the normalised correlation with `tail` is largest."""
    products = np.correlate(searched, tail, mode="valid")
    energy = np.convolve(searched**2, np.ones(len(tail), np.float32), mode="valid")
    return int(np.argmax(products / np.sqrt(energy + np.float32(1e-8))))
