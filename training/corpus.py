"""All speech in the memory of one device, and the windows that training cuts out of it.

Ten hours are 2.3 GB as 16-bit samples, so nothing has to be fed while a GPU works.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.audio import sinc_kernel
from training import shards
from training.phones import class_table
from training.shards import Utterance

RATE, HALF_RATE = 32_000, 16_000
CODE = 1280
"""Samples of one semantic token at 32 kHz."""
TAIL = 19_200
"""Zeros that enrolment appends to a reference (0.6 s), at 32 kHz."""

_SILENCE = 0.006
"""Share of the loudest frame's energy (as amplitude) below which a frame is silence."""
_PITCH_EDGES = (-0.25, -0.08, 0.08, 0.25)
PITCHES = len(_PITCH_EDGES) + 2
"""Classes of pitch: 0 without voice, the others relative to the utterance's median."""


@dataclass(slots=True)
class Corpus:
    """Utterances on a device.

    Attributes:
        audio: int16, all utterances in a row.
        starts: where each begins (U,).
        lengths: samples of each (U,).
        speaker: number of each one's speaker (U,).
        phones: phone ids of each.
        ends: where its phones end, in samples.
        speakers: names by number.
    """

    audio: Tensor
    starts: Tensor
    lengths: Tensor
    speaker: Tensor
    phones: list[Tensor]
    ends: list[Tensor]
    speakers: list[str]
    _timeline: Tensor
    _classes: Tensor

    @classmethod
    def of(cls, utterances: Iterable[Utterance], device: str) -> Corpus:
        """Put utterances on a device."""
        rows = list(utterances)
        names = sorted({row.speaker for row in rows})
        lengths = [len(row.samples) for row in rows]
        starts = [0, *itertools.accumulate(lengths)][:-1]
        # All phones of all utterances on one time line, so that one search finds a whole batch's.
        timeline = [
            np.append(r.ends[:-1], n) + s for r, n, s in zip(rows, lengths, starts, strict=True)
        ]
        classes = _table()[np.concatenate([row.phone_ids for row in rows])]
        return cls(
            torch.from_numpy(np.concatenate([row.samples for row in rows])).to(device),
            torch.tensor(starts, device=device),
            torch.tensor(lengths, device=device),
            torch.tensor([names.index(row.speaker) for row in rows], device=device),
            [torch.from_numpy(row.phone_ids).to(device) for row in rows],
            [torch.from_numpy(row.ends).to(device) for row in rows],
            names,
            torch.from_numpy(np.concatenate(timeline)).to(device),
            classes.to(device),
        )

    @classmethod
    def load(cls, folders: Sequence[Path], device: str, workers: int = 1) -> Corpus:
        """Read every shard of the folders; a folder named twice counts twice."""
        paths = [path for folder in folders for path in sorted(folder.glob("*.npz"))]
        if not paths:
            raise FileNotFoundError(f"no shards in {', '.join(map(str, folders))}")
        # Reading, checking and decoding all happen outside Python's lock.
        with ThreadPoolExecutor(workers) as pool:
            once = list(dict.fromkeys(paths))
            rows = dict(zip(once, pool.map(_rows, once), strict=True))
        return cls.of((row for path in paths for row in rows[path]), device)

    def __len__(self) -> int:
        return len(self.phones)

    @property
    def hours(self) -> float:
        """Length of all speech."""
        return len(self.audio) / RATE / 3600

    def windows(self, utterances: Tensor, first: Tensor, length: int) -> Tensor:
        """Samples `first` to `first + length` of each utterance, zeros behind its end.

        Args:
            utterances: (B,) numbers.
            first: (B,) samples.
            length: samples.

        Returns:
            float32 (B, length) in [-1, 1].
        """
        places = first[:, None] + torch.arange(length, device=self.audio.device)
        inside = places < self.lengths[utterances, None]
        flat = (self.starts[utterances, None] + places).clamp(max=len(self.audio) - 1)
        return torch.where(inside, self.audio[flat].float() / 32768, 0.0)

    def phone_at(self, utterances: Tensor, times: Tensor) -> Tensor:
        """Phone class at sample times (B, T), see `training.phones.class_table`; 0 outside."""
        place = torch.searchsorted(
            self._timeline, self.starts[utterances, None] + times, right=True
        )
        found = self._classes[place.clamp(max=len(self._classes) - 1)]
        return torch.where(times < self.lengths[utterances, None], found, 0)


def halved(samples: Tensor) -> Tensor:
    """32 kHz (B, n) → 16 kHz (B, n // 2), with the filter of `engines.audio`."""
    kernel, width = sinc_kernel(2, 1)
    taps = torch.from_numpy(kernel).to(samples)[:, None]
    padded = F.pad(samples[:, None], (width, width + 2))
    return F.conv1d(padded, taps, stride=2)[:, 0, : samples.shape[1] // 2]


def silent(samples: Tensor, frame: int) -> Tensor:
    """Which frames of (B, n) nobody hears, (B, n // frame)."""
    level = samples.reshape(len(samples), -1, frame).square().mean(2).sqrt()
    return level < _SILENCE * level.amax(1, keepdim=True).clamp(min=0.01) * 2


def pitch(samples: Tensor, rate: int, hop: int) -> tuple[Tensor, Tensor]:
    """Whether there is a voice, and how high it is, by autocorrelation of 64 ms around each place.

    Args:
        samples: (B, n), n a multiple of `hop`.
        rate: of the samples, in Hz.
        hop: samples from place to place.

    Returns:
        bool (B, n / hop), and the natural logarithm of 67 to 444 Hz.
    """
    length = rate * 64 // 1000
    beside = (length - hop) // 2
    frames = F.pad(samples, (beside, beside)).unfold(1, length, hop)
    frames = frames - frames.mean(2, keepdim=True)
    power = torch.fft.rfft(frames, 2 * length).abs().square()
    shortest, longest = 35 * rate // HALF_RATE, 241 * rate // HALF_RATE
    correlation = torch.fft.irfft(power)[..., shortest:longest]
    energy = frames.square().sum(2).clamp(min=1e-6)
    # A lag loses as much of the window as it is long; without this, short lags always win.
    lags = torch.arange(shortest, longest, device=samples.device)
    likeness = correlation / energy[..., None] / (1 - lags / length)
    inner = likeness[..., 1:-1]
    peak = (inner >= likeness[..., :-2]) & (inner >= likeness[..., 2:])
    best = torch.where(peak, inner, 0).amax(2, keepdim=True)
    # Twice the period is as good as the period: the first good peak counts.
    place = (peak & (inner > 0.9 * best)).float().argmax(2)
    voiced = (best[..., 0] > 0.5) & (energy > 0.05 * length / 1024)
    return voiced, torch.log(rate / (place + shortest + 1).float())


def pitch_classes(samples: Tensor) -> Tensor:
    """Relative pitch of each token.

    Args:
        samples: 16 kHz (B, n), n a multiple of 640.

    Returns:
        int64 (B, n / 640) below `PITCHES`; 0 without voice.
    """
    voiced, logs = pitch(samples, HALF_RATE, 640)
    middle = torch.where(voiced, logs, torch.nan).nanmedian(1, keepdim=True).values
    edges = torch.tensor(_PITCH_EDGES, device=samples.device)
    classes = 1 + torch.bucketize((logs - middle).nan_to_num(0.0), edges)
    return torch.where(voiced, classes, 0)


def _rows(path: Path) -> list[Utterance]:
    return list(shards.load(path))


def _table() -> Tensor:
    classes = class_table()
    table = torch.zeros(max(classes) + 1, dtype=torch.int64)
    for phone, number in classes.items():
        table[phone] = number
    return table
