"""Golden group `audio`: resampling, spectra and joining; no weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch

from engines import spectra
from engines.audio import join, resample_sinc
from engines.golden.folder import Folder, Vectors
from engines.spec import MELS

_RESAMPLE = re.compile(r"resample\.(\d+)_(\d+)\.in")
_MEL = re.compile(r"mel_(\w+)\.in")


def recompute(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of `audio.npz`."""
    for match in filter(None, map(_RESAMPLE.fullmatch, vectors.names)):
        samples = vectors.input(match[0])[0]
        out = resample_sinc(samples, int(match[1]), int(match[2]))[None]
        yield match[0].removesuffix("in") + "out", out
    for match in filter(None, map(_MEL.fullmatch, vectors.names)):
        name, spec = f"mel_{match[1]}", MELS[match[1]]
        mel = spectra.log_mel(torch.from_numpy(vectors.input(match[0])[0]), spec, torch)[None]
        yield f"{name}.out", mel
        yield f"{name}.norm", spectra.normalised_mel(mel)
        yield f"{name}.basis", spectra.slaney_mel_banks(spec)
    yield "fbank.mel_banks", spectra.kaldi_mel_banks(torch)
    if "spec.in" in vectors:
        samples = torch.from_numpy(vectors.input("spec.in")[0])
        yield "spec.out", spectra.magnitudes(samples, torch)[None]
    if "fbank.in" in vectors:
        samples = torch.from_numpy(vectors.input("fbank.in"))
        yield "fbank.out", spectra.filterbank(samples, torch)
    if "sola.a" in vectors:
        yield from _joined(folder, vectors)


def _joined(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    """The overlap is stated in the table, not stored."""
    stated = re.search(r"overlap_len (\d+)", folder.description(vectors.group, "sola.out"))
    overlap = int(stated[1]) if stated else 400
    yield "sola.out", join(vectors.input("sola.a"), vectors.input("sola.b"), overlap)
