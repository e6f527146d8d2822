"""Golden group `hubert`: the speech encoder, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from engines.checkpoint import load_hubert
from engines.golden.folder import Folder, Vectors
from engines.golden.recording import recording
from engines.networks import hubert


def recompute(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of `hubert.npz`."""
    checkpoint = load_hubert(folder.checkpoint("hubert_tiny").parent)
    network = hubert.load(checkpoint.config, checkpoint.weights)
    with recording(network) as record:
        samples = torch.from_numpy(vectors.input("wav"))
        yield "last_hidden_state", network(samples[None])
    for name in (name for name in vectors.names if name.startswith("mid.")):
        module = name.removeprefix("mid.")
        if module in record.outputs:
            yield name, vectors.crop(name, record.outputs[module])
    if "lengths" in vectors:
        lengths = vectors.input("lengths")[:, 0]
        counted = [hubert.frames(checkpoint.config, int(length)) for length in lengths]
        yield "lengths", np.stack([lengths, counted], axis=1)
