"""Golden group `s2_*`: the second stage, part by part, whole, stretched, short and streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.checkpoint import load_sovits
from engines.golden.folder import Folder, Vectors
from engines.golden.recording import Recording, recording
from engines.networks import vits
from engines.networks.vits import Condition, Vits, crossfade_latent

_SPEED = re.compile(r"speed([\d.]+)\.noise")
_FLOW = re.compile(r"flow\.flows\.(\d+)")
_SHORT = re.compile(r"(\d+) codes, (\d+) phones")

# Where the official modules end and ours begin elsewhere: the array is what enters our next module.
_ENTERS = {"ref_enc.spectral": "ref_enc.temporal.0", "ref_enc.temporal": "ref_enc.slf_attn"}


def recompute(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of one `s2_NAME.npz`, from the checkpoint of the same name."""
    checkpoint = load_sovits(folder.checkpoint(vectors.group))
    network = vits.load(checkpoint.config, checkpoint.weights)
    if "enc.ssl" in vectors:
        yield from _codes(network, vectors)
    references = _references(vectors)
    codes, phones = _input(vectors, "dec.codes")[:, 0], _input(vectors, "dec.text")
    noise = _input(vectors, "dec.noise")
    rows = network.codebook[codes[0]].T[None]
    yield "dec.quantized", vectors.crop("dec.quantized", rows)

    with recording(network) as record:
        condition = network.condition(network.style(*references[0]))
        latent = network.latent(codes, phones, condition.text)
        yield "out.audio", network.decode(latent, noise, condition)
    yield from _middle(record, vectors)
    for match in filter(None, map(_SPEED.fullmatch, vectors.names)):
        name = match.group(0).removesuffix(".noise")
        audio = network.decode(latent, _input(vectors, f"{name}.noise"), condition)
        yield f"{name}.audio", audio

    mean = torch.stack([network.style(*reference) for reference in references]).mean(0)
    audio = _speak(network, codes, phones, noise, network.condition(mean))
    yield "multi.audio", vectors.crop("multi.audio", audio)
    if "short.audio" in vectors:
        stated = _SHORT.search(folder.description(vectors.group, "short.audio"))
        few = vectors.shape("short.audio")[-1] // checkpoint.spec.samples_per_token
        few_phones = int(stated.group(2)) if stated else 3
        short = codes[:, :few], phones[:, :few_phones], noise[..., : 2 * few]
        yield "short.audio", _speak(network, *short, condition)
    if "stream.noise2" in vectors:
        yield from _stream(network, vectors, codes, phones, condition)


def _input(vectors: Vectors, name: str) -> Tensor:
    array = vectors.input(name)
    return torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "f" else array)


def _references(vectors: Vectors) -> list[tuple[Tensor, Tensor | None]]:
    found: list[tuple[Tensor, Tensor | None]] = []
    while (name := f"dec.refer{len(found)}") in vectors:
        speaker = f"dec.sv{len(found)}"
        found.append(
            (_input(vectors, name), _input(vectors, speaker) if speaker in vectors else None)
        )
    return found


def _codes(network: Vits, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    with recording(network) as record:
        yield "enc.codes", network.extract_latent(_input(vectors, "enc.ssl"))[:, None]
    yield "enc.ssl_proj", record.outputs["ssl_proj"]


def _speak(
    network: Vits, codes: Tensor, phones: Tensor, noise: Tensor, condition: Condition
) -> Tensor:
    return network.decode(network.latent(codes, phones, condition.text), noise, condition)


def _middle(record: Recording, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    for name in (name for name in vectors.names if name.startswith("mid.")):
        module = name.removeprefix("mid.")
        if match := _FLOW.fullmatch(module):
            # Even numbers are couplings; the flip with the next number feeds them.
            layer, flip = divmod(int(match.group(1)), 2)
            side = record.inputs if flip else record.outputs
            yield name, vectors.crop(name, side[f"flow.couplings.{layer}"])
        elif module == "z_p":
            yield name, record.inputs["flow"]
        elif module in _ENTERS:
            entering = record.inputs[_ENTERS[module]].swapaxes(1, 2)
            yield name, vectors.crop(name, entering)
        elif module == "ge_to512":
            yield name, record.outputs[module][:, None]
        elif module in record.outputs:
            yield name, vectors.crop(name, record.outputs[module])


def _stream(
    network: Vits, vectors: Vectors, codes: Tensor, phones: Tensor, condition: Condition
) -> Iterator[tuple[str, Any]]:
    """The first tokens alone, then all of them, cut to the new ones plus an overlap."""
    noise_1, noise_2 = _input(vectors, "stream.noise1"), _input(vectors, "stream.noise2")
    first, kept = noise_1.shape[-1] // 2, noise_2.shape[-1]
    latent_1 = network.latent(codes[:, :first], phones, condition.text)
    yield "stream.latent1", latent_1
    yield "stream.audio1", network.decode(latent_1, noise_1, condition)
    overlap = kept - 2 * (codes.shape[1] - first)
    whole = network.latent(codes, phones, condition.text)
    latent_2 = crossfade_latent(whole[..., -kept:], latent_1[..., -overlap:])
    yield "stream.latent2", latent_2
    yield "stream.audio2", network.decode(latent_2, noise_2, condition)
