"""Golden group `sampler`: from logits and noise to a token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from engines.golden.folder import Folder, Vectors
from engines.sampling import SamplingParams, penalise, probabilities

_CASE = re.compile(r"(case\d+)\.token")


def recompute(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of `sampler.npz`."""
    logits, previous = vectors.input("logits"), vectors.input("prev")
    noise = vectors.input("q")
    for match in filter(None, map(_CASE.fullmatch, vectors.names)):
        case = match.group(1)
        params = SamplingParams(
            top_k=int(vectors.input(f"{case}.top_k")),
            top_p=float(vectors.input(f"{case}.top_p")),
            temperature=float(vectors.input(f"{case}.temperature")),
            repetition_penalty=float(vectors.input(f"{case}.repetition_penalty")),
        )
        penalised = [
            penalise(row, heard, params.repetition_penalty)
            for row, heard in zip(logits, previous, strict=True)
        ]
        weights = np.stack([probabilities(row, params) for row in penalised])
        yield f"{case}.penalised", np.stack(penalised)
        yield f"{case}.probs", weights
        yield f"{case}.token", np.argmax(weights / noise, axis=1)
