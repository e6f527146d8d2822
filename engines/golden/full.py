"""Golden group `full`: spot checks of every network at its official size.

The inputs are stated in the folder's README rather than stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.checkpoint import load_bert, load_hubert, load_sovits, load_t2s
from engines.golden.folder import Folder, GoldenError, Vectors
from engines.golden.recording import recording
from engines.networks import bert, hubert, t2s, vits
from engines.sampling import SamplingParams, sample

_Inputs = dict[str, Any]

_DECODER = re.compile(r"(\w+)\.enc_p\.proj")


def recompute(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of `full.npz`, one network in memory at a time."""
    yield from _t2s(folder, vectors)
    for match in filter(None, map(_DECODER.fullmatch, vectors.names)):
        yield from _sovits(folder, vectors, match[1])
    if "hubert.part" in vectors:
        yield "hubert.part", _hubert(folder, vectors)
    if "bert.part" in vectors:
        yield "bert.part", _bert(folder, vectors)


def _stated(folder: Folder, vectors: Vectors, array: str, seed: int | None = None) -> _Inputs:
    made = folder.inputs_in(folder.description(vectors.group, array), seed)
    if not made:
        raise GoldenError(f"README.md does not state the inputs of {vectors.group}/{array}")
    return {name: torch.from_numpy(value) for name, value in made.items()}


def _t2s(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    if "s1.logits" not in vectors:
        return
    inputs = _stated(folder, vectors, "s1.seed", int(vectors.input("s1.seed")))
    checkpoint = load_t2s(folder.checkpoint("full_s1"))
    network = t2s.load(checkpoint.config, checkpoint.weights)
    forced = vectors.input("s1.forced")
    steps = vectors.shape("s1.logits")[0]
    run = _T2SRun(network, inputs, room=max(steps, *vectors.shape("s1.greedy")))
    logits = [run.logits] + [run.step(int(token)) for token in forced[: steps - 1]]
    yield "s1.logits", np.stack(logits)
    run = _T2SRun(network, inputs, room=vectors.shape("s1.greedy")[0])
    yield "s1.greedy", run.greedy(inputs["y"][0].numpy(), vectors.shape("s1.greedy")[0])


class _T2SRun:
    """One sentence's cache and its latest logits (V,)."""

    def __init__(self, network: t2s.T2S, inputs: _Inputs, room: int) -> None:
        self.network = network
        self.prompt = inputs["y"].shape[1]
        logits, keys, values = network.prefill(inputs["x"], inputs["b"], inputs["y"])
        self.logits = logits[0].numpy()
        self.length, self.steps = keys.shape[3], 0
        spare = (0, 0, 0, room + 1)
        self.cache = [torch.nn.functional.pad(kept, spare) for kept in (keys, values)]

    def step(self, token: int) -> Any:
        numbers = (token, self.prompt + self.steps, self.length + self.steps)
        feeds = [torch.tensor([number]) for number in numbers]
        logits, *self.cache = self.network.step(*feeds, *self.cache)
        self.steps += 1
        self.logits = logits[0].numpy()
        return self.logits

    def greedy(self, prompt: Any, count: int) -> Any:
        """The likeliest tokens, each step penalised as in the original."""
        heard, params = prompt, SamplingParams()
        while True:
            ones = np.ones(len(self.logits), np.float32)
            token, ended = sample(self.logits, heard, self.steps, params, ones)
            heard = np.append(heard, token)
            if ended or len(heard) == len(prompt) + count:
                return heard[len(prompt) : -1] if ended else heard[len(prompt) :]
            self.step(token)


def _sovits(folder: Folder, vectors: Vectors, name: str) -> Iterator[tuple[str, Any]]:
    inputs = _stated(folder, vectors, f"{name}.enc_p.proj")
    checkpoint = load_sovits(folder.checkpoint(f"full_s2_{name}"))
    network = vits.load(checkpoint.config, checkpoint.weights)
    spectrum, codes = inputs["refer"].abs(), inputs["codes"][:, 0]
    ge = network.style(spectrum, inputs.get("sv"))
    condition = network.condition(ge)
    with recording(network) as record:
        latent = network.latent(codes, inputs["text"], condition.text)
        audio: Tensor = network.decode(latent, inputs["z"], condition)
    yield f"{name}.enc_p.proj", record.outputs["enc_p.proj"]
    yield f"{name}.z", record.outputs["flow"]
    yield f"{name}.ge", ge
    yield f"{name}.audio", audio


def _hubert(folder: Folder, vectors: Vectors) -> Any:
    inputs = _stated(folder, vectors, "hubert.part")
    checkpoint = load_hubert(folder.checkpoint("full_hubert").parent)
    network = hubert.load(checkpoint.config, checkpoint.weights)
    return _part(network(inputs["wav"][None])[0], vectors.shape("hubert.part"))


def _bert(folder: Folder, vectors: Vectors) -> Any:
    checkpoint = load_bert(folder.checkpoint("full_bert").parent)
    network = bert.load(checkpoint.config, checkpoint.weights)
    ids = torch.from_numpy(vectors.input("bert.ids"))
    return _part(network(ids)[0, 1:-1], vectors.shape("bert.part"))


def _part(features: Tensor, shape: tuple[int, ...]) -> Any:
    """Every k-th channel, as many as were recorded."""
    return features[:, :: features.shape[1] // shape[1]]
