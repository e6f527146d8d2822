"""Golden group `sv`: the speaker network and the filterbank it hears."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from engines.checkpoint import load_speaker
from engines.golden.folder import Folder, Vectors
from engines.golden.recording import recording
from engines.networks import eres2net
from engines.spectra import filterbank


def recompute(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of `sv.npz`."""
    network = eres2net.load(load_speaker(folder.checkpoint("sv_tiny")))
    fbank = filterbank(torch.from_numpy(vectors.input("wav")), torch)
    yield "fbank", fbank
    with recording(network) as record:
        yield "embedding", network(fbank[None])
    for name in (name for name in vectors.names if name.startswith("mid.")):
        module = name.removeprefix("mid.")
        if module in record.outputs:
            yield name, vectors.crop(name, record.outputs[module])
