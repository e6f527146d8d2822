"""The spectra that the networks listen to: magnitude, Kaldi filterbank, log-mel.

Every function takes the array library it computes with. Speaking and enrolling use numpy. The check
against recorded values passes torch, the library that made them: quiet bands hold nothing but the
rounding errors of louder ones, so two Fourier transforms differ there by more than any formula.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from engines.spec import MelSpec

STYLE_FFT, STYLE_HOP = 2048, 640  # of the 32 kHz reference, as the style encoder sees it
_STYLE_FLOOR, _MEL_FLOOR = 1e-8, 1e-9
_LOG_MEL_FLOOR = 1e-5
_MEL_LOW, _MEL_HIGH = -12.0, 2.0

# Kaldi's defaults at 16 kHz
_RATE, _FRAME, _HOP, _FFT, _BANDS = 16000, 400, 160, 512, 80
_LOWEST = 20.0
_PREEMPHASIS = 0.97
_POVEY = 0.85
_FBANK_FLOOR = 1.1920929e-07  # the smallest step of float32 at 1


def magnitudes(samples: Any, xp: Any = np) -> Any:
    """Magnitude spectrum that the style encoder sees.

    Args:
        samples: 32 kHz float32 (n,), n > 704.
        xp: numpy or torch; `samples` is one of its arrays.

    Returns:
        float32 (1025, (n - 640) // 640 + 1), an array of `xp`.
    """
    return _magnitudes(samples, STYLE_FFT, STYLE_HOP, _STYLE_FLOOR, xp)


def filterbank(samples: Any, xp: Any = np) -> Any:
    """Kaldi's log-mel filterbank, which the speaker network hears.

    Samples stay in [-1, 1] (Kaldi's own tools scale them to 16-bit numbers); no dither.

    Args:
        samples: 16 kHz float32 (n,), n ≥ 400.
        xp: numpy or torch; `samples` is one of its arrays.

    Returns:
        float32 (1 + (n - 400) // 160, 80), an array of `xp`.
    """
    frames = _frames(samples, _FRAME, _HOP, xp)
    frames = frames - frames.mean(1)[:, None]
    previous = xp.concatenate([frames[:, :1], frames[:, :-1]], 1)
    window = _hann(_FRAME, _FRAME - 1, xp) ** _POVEY
    spectrum = xp.fft.rfft((frames - _PREEMPHASIS * previous) * window, _FFT, 1)
    energies = (xp.abs(spectrum) ** 2)[:, :-1] @ kaldi_mel_banks(xp).T
    return xp.log(xp.clip(energies, _FBANK_FLOOR, None))


def log_mel(samples: Any, spec: MelSpec, xp: Any = np) -> Any:
    """Log-mel spectrogram of the flow-matching decoders.

    Args:
        samples: float32 (n,) at the spec's rate, n > (fft - hop) / 2.
        spec: lengths and number of bands.
        xp: numpy or torch; `samples` is one of its arrays.

    Returns:
        float32 (bands, n // hop), an array of `xp`.
    """
    magnitude = _magnitudes(samples, spec.fft_length, spec.hop_length, _MEL_FLOOR, xp)
    return xp.log(xp.clip(xp.asarray(slaney_mel_banks(spec)) @ magnitude, _LOG_MEL_FLOOR, None))


def normalised_mel(mel: Any) -> Any:
    """Map the log-mel range [-12, 2] to [-1, 1]."""
    return (mel - _MEL_LOW) / (_MEL_HIGH - _MEL_LOW) * 2 - 1


def kaldi_mel_banks(xp: Any = np) -> Any:
    """Triangles of Kaldi's filterbank, drawn in mel: float32 (80, 256), without the last bin."""
    low = 1127.0 * math.log(1 + _LOWEST / 700)
    step = (1127.0 * math.log(1 + _RATE / 2 / 700) - low) / (_BANDS + 1)
    hertz = xp.arange(_FFT // 2, dtype=xp.float32) * (_RATE / _FFT)
    bins = 1127.0 * xp.log(1 + hertz / 700)
    band = xp.arange(_BANDS, dtype=xp.float32)[:, None]
    left, centre, right = low + band * step, low + (band + 1) * step, low + (band + 2) * step
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return xp.clip(xp.minimum(rising, falling), 0, None)


@lru_cache(maxsize=4)
def slaney_mel_banks(spec: MelSpec) -> Any:
    """Triangular filters of equal area on Slaney's mel scale (Auditory Toolbox, 1998).

    Returns:
        float32 (bands, fft / 2 + 1), a numpy array.
    """
    linear, corner, step = 200 / 3, 1000.0, math.log(6.4) / 27
    knee = corner / linear
    top = knee + math.log(spec.sample_rate / 2 / corner) / step
    mels = np.linspace(0.0, top, spec.bands + 2)
    above = corner * np.exp(step * (np.maximum(mels, knee) - knee))
    points = np.where(mels < knee, mels * linear, above)
    bins = np.linspace(0.0, spec.sample_rate / 2, spec.fft_length // 2 + 1)
    left, centre, right = points[:-2, None], points[1:-1, None], points[2:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (right - left))).astype(np.float32)


def _magnitudes(samples: Any, fft: int, hop: int, floor: float, xp: Any) -> Any:
    """|STFT| with a periodic Hann window, (bins, frames); the ends are padded by reflection."""
    pad, last = (fft - hop) // 2, samples.shape[0] - 1
    mirrored = last - abs(last - abs(xp.arange(-pad, last + 1 + pad)))
    frames = _frames(samples[mirrored], fft, hop, xp)
    spectrum = xp.fft.rfft(frames * _hann(fft, fft, xp), fft, 1)
    return xp.sqrt(spectrum.real**2 + spectrum.imag**2 + floor).T


def _frames(samples: Any, length: int, hop: int, xp: Any) -> Any:
    """Overlapping frames, (count, length); what does not fill a frame is left out."""
    count = (samples.shape[0] - length) // hop + 1
    return samples[xp.arange(count)[:, None] * hop + xp.arange(length)]


def _hann(length: int, period: int, xp: Any) -> Any:
    return 0.5 - 0.5 * xp.cos(xp.arange(length, dtype=xp.float32) * (2 * math.pi / period))
