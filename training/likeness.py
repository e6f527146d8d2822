"""How two readings of a sentence differ to the ear, in numbers that need no judge.

Log-mel spectra, aligned by dynamic time warping, so that a reading of other tokens (another seed, 8
bits) is compared phone by phone, and a hole, a swap or noise stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.sampling import Floats

_FFT, _HOP, _BANDS = 1024, 320, 40
_FLOOR_DB = -70.0  # under the loudest band; quieter is not heard


@dataclass(frozen=True, slots=True)
class Difference:
    """What one reading is to another.

    Attributes:
        length: its length over the other's.
        level: dB of RMS over the other's.
        colour: dB between the long-term spectra, mean over the bands.
        apart: dB between the aligned spectra, mean over bands and time.
        samples: largest difference of two samples, infinite where lengths differ.
    """

    length: float
    level: float
    colour: float
    apart: float
    samples: float


def difference(reference: Floats, other: Floats, rate: int) -> Difference:
    """Compare two readings, each float32 [samples], not silent."""
    one, two = _spectrum(reference, rate), _spectrum(other, rate)
    same = len(reference) == len(other)
    return Difference(
        len(other) / len(reference),
        20 * float(np.log10(_rms(other) / _rms(reference))),
        float(np.abs(one.mean(0) - two.mean(0)).mean()),
        _aligned(one, two),
        float(np.abs(reference - other).max()) if same else float("inf"),
    )


def _spectrum(samples: Floats, rate: int) -> npt.NDArray[np.float64]:
    """Band levels in dB [frames, bands], equally wide in mel."""
    padded = np.pad(samples.astype(np.float64), (0, max(0, _FFT - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP] * np.hanning(_FFT)
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(_FFT, 1 / rate) / 700)
    edges = np.linspace(mel[2], mel[-1], _BANDS + 2)
    up = (mel[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    down = (edges[2:] - mel[:, None]) / np.diff(edges)[1:]
    bands = power @ np.clip(np.minimum(up, down), 0, None)
    return np.asarray(np.maximum(10 * np.log10(bands + 1e-12), _loudest(bands) + _FLOOR_DB))


def _loudest(bands: npt.NDArray[np.float64]) -> float:
    return 10 * float(np.log10(bands.max() + 1e-12))


def _aligned(one: npt.NDArray[np.float64], two: npt.NDArray[np.float64]) -> float:
    """Mean distance along the best path (Sakoe & Chiba 1978, symmetric steps)."""
    costs = np.abs(one[:, None] - two[None]).mean(2)
    rows, columns = costs.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for row in range(rows):
        for column in range(columns):
            cost = costs[row, column]
            total[row + 1, column + 1] = min(
                total[row, column] + 2 * cost,
                total[row, column + 1] + cost,
                total[row + 1, column] + cost,
            )
    return float(total[rows, columns] / (rows + columns))


def _rms(samples: Floats) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
