"""Whether the parts of a recording, between its pauses, can be one person's.

Two things must change together: the pitch of the voice and the colour of its sound. One person's
pitch alone moves far in a lively sentence, and the colour of one person's sound moves from word to
word. People who are alike are not told apart, nor are those who talk at once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from engines.audio import Recording
from service.listening import part, spoken_parts

Floats = npt.NDArray[np.float64]

PITCH_JUMP = 6.0  # semitones between the medians of two parts
COLOUR_JUMP = 3.0  # dB between the shapes of their spectra, RMS over the bands
LEAST_VOICED = 0.5  # seconds with a pitch in a part that is compared

_RATE = 16_000
_FRAME, _HOP = 960, 160  # 60 ms, in which the lowest voice has four periods, every 10 ms
_FFT = 2048
_LOWEST, _HIGHEST = 65.0, 500.0  # Hz, of people's pitch
_PITCH_BAND = 1_000.0  # Hz; what repeats is clearest in the lowest harmonics
_CLEAR = 0.6  # autocorrelation from which a frame has a pitch
_FIRST_PEAK = 0.88  # of the highest: a later one is two periods, not one
# Of equal width on the mel scale, each wide enough for a harmonic; a telephone has them all.
_BANDS, _BAND_RANGE = 8, (150.0, 3_600.0)


@dataclass(frozen=True, slots=True)
class Voice:
    """What a part of a recording sounds like.

    Attributes:
        low, median, high: quartiles of its pitch in semitones above 1 Hz.
        colour: mean level of its bands in dB, less their mean; (bands,).
    """

    low: float
    median: float
    high: float
    colour: Floats


def pitch_jump(recording: Recording) -> float:
    """Semitones between two parts of a recording that two people seem to speak; 0 for one person.

    Args:
        recording: of at least a few milliseconds; finite.
    """
    voices = [_voice(part(recording, stretch)) for stretch in spoken_parts(recording)]
    heard = [voice for voice in voices if voice is not None]
    jumps = [_jump(*pair) for pair in itertools.combinations(heard, 2)]
    return max(jumps, default=0.0)


def _jump(one: Voice, other: Voice) -> float:
    lower, higher = sorted((one, other), key=lambda voice: voice.median)
    jump = higher.median - lower.median
    colour = float(np.sqrt(np.mean((one.colour - other.colour) ** 2)))
    apart = higher.low > lower.high
    return jump if apart and jump > PITCH_JUMP and colour > COLOUR_JUMP else 0.0


def _voice(piece: Recording) -> Voice | None:
    """The voice of a piece; None where too little of it has a pitch."""
    samples = soxr.resample(piece.samples, piece.sample_rate, _RATE)
    if len(samples) < _FRAME:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP]
    window = np.hanning(_FRAME)
    power = np.abs(np.fft.rfft(frames * window, _FFT)) ** 2
    lags, clarity = _periods(power, window)
    voiced = clarity > _CLEAR
    if voiced.sum() * _HOP < LEAST_VOICED * _RATE:
        return None
    semitones = 12 * np.log2(_RATE / lags[voiced])
    low, median, high = np.quantile(semitones, [0.25, 0.5, 0.75])
    return Voice(float(low), float(median), float(high), _colour(power[voiced]))


def _periods(power: Floats, window: Floats) -> tuple[Floats, Floats]:
    """Period of every frame in samples, and how clearly it repeats, from 0 to 1.

    The autocorrelation of a windowed frame over that of the window (Boersma 1993).
    """
    frequencies = np.fft.rfftfreq(_FFT, 1 / _RATE)
    banded = np.where(frequencies <= _PITCH_BAND, power, 0.0)
    shortest, longest = int(_RATE / _HIGHEST), int(_RATE / _LOWEST)
    repeats = np.fft.irfft(banded)[:, : longest + 1]
    own = np.fft.irfft(np.abs(np.fft.rfft(window, _FFT)) ** 2)[: longest + 1]
    scale = np.maximum(repeats[:, :1], 1e-12) * (own / own[0])
    strength = (repeats / scale)[:, shortest:]
    inner = strength[:, 1:-1]
    peaks = (inner >= strength[:, :-2]) & (inner >= strength[:, 2:])
    heights = np.where(peaks, inner, 0.0)
    highest = heights.max(axis=1)
    first = np.argmax(heights >= _FIRST_PEAK * highest[:, None], axis=1)
    return (first + shortest + 1).astype(np.float64), highest


def _colour(power: Floats) -> Floats:
    """Shape of the mean spectrum of frames in dB, (bands,)."""
    lowest, highest = (2595 * np.log10(1 + edge / 700) for edge in _BAND_RANGE)
    mels = np.linspace(lowest, highest, _BANDS + 1)
    edges = np.round(700 * (10 ** (mels / 2595) - 1) * _FFT / _RATE).astype(int)
    bands = np.add.reduceat(power, edges[:-1], axis=1)[:, :_BANDS] / np.diff(edges)
    levels = 10 * np.log10(np.maximum(bands.mean(axis=0), 1e-12))
    shape: Floats = levels - levels.mean()
    return shape
