"""The same feeds through two backends: how far are their numbers apart?

Feeds are random, of several sizes for every free axis; the reference computes first, and a graph
that others feed on (the cache) is compared on the same inputs, so errors do not add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from engines.backends import Array, Backend
from engines.graphs import Axis, GraphSpec, ModelFacts, TensorSpec, graphs

RELATIVE_BOUND = 1e-4
"""Of the largest number of an output: what float32 on another device may differ by."""

SIZES: tuple[Mapping[str, int], ...] = (
    {
        **{"samples": 16_000, "speech": 49, "fbank": 98, "spectrum": 50, "tokens": 25},
        **{"prompt": 25, "phones": 30, "text": 20, "pieces": 12, "frames": 50, "heard": 50},
        **{"slots": 1, "cache": 256},
    },
    {
        **{"samples": 48_300, "speech": 150, "fbank": 301, "spectrum": 151, "tokens": 61},
        **{"prompt": 0, "phones": 71, "text": 33, "pieces": 40, "frames": 122, "heard": 122},
        **{"slots": 3, "cache": 300},
    },
)


@dataclass(frozen=True, slots=True)
class Difference:
    """The worst of one output over all feeds.

    Attributes:
        graph: the graph's name.
        output: the output's name.
        absolute: largest difference; of ids, how many differ.
        relative: the same as a share of the reference's largest number; of ids, the share.
    """

    graph: str
    output: str
    absolute: float
    relative: float


def compare(reference: Backend, other: Backend, names: tuple[str, ...]) -> Iterator[Difference]:
    """Run graphs on both backends and yield the worst error of each output.

    Args:
        reference: what is taken for right.
        other: the same model elsewhere.
        names: the graphs to compare.

    Raises:
        ValueError: the two are not the same model.
        CheckpointError: a graph's file is missing or damaged.
        DeviceError: a device failed.
    """
    if reference.model != other.model:
        raise ValueError(f"{other.model.identity} is not the model {reference.model.identity}")
    for name in names:
        spec = graphs(reference.model)[name]
        left, right = reference.load(name), other.load(name)
        worst: dict[str, Difference] = {}
        for number, sizes in enumerate(SIZES):
            feeds = random_feeds(spec, reference.model, sizes, seed=number)
            expected, made = left.run(feeds), right.run(feeds)
            for output, array in expected.items():
                absolute, relative = _errors(array, made[output])
                known = worst.get(output, Difference(name, output, 0.0, 0.0))
                worst[output] = Difference(
                    name,
                    output,
                    max(absolute, known.absolute),
                    max(relative, known.relative),
                )
        yield from worst.values()


def random_feeds(
    graph: GraphSpec, model: ModelFacts, sizes: Mapping[str, int], seed: int
) -> dict[str, Array]:
    """Feeds of a graph that a sentence could have: ids are known to the model, places exist."""
    random = np.random.default_rng(seed)
    limits = {
        "codes": model.codes,
        "phones": model.phones,
        "prompt": model.codes,
        "token": model.codes,
        "pieces": 100,  # even the smallest BERT knows more
        "slot": sizes["slots"],
        "length": sizes["cache"],
        "position": sizes["cache"],
    }

    def made(tensor: TensorSpec) -> Array:
        shape = [sizes[axis.name] if isinstance(axis, Axis) else axis for axis in tensor.shape]
        if tensor.dtype == "int64":
            return random.integers(0, limits[tensor.name], shape)
        return random.normal(0, 0.5, shape).astype(np.float32)

    return {tensor.name: made(tensor) for tensor in graph.inputs}


def _errors(expected: Array, made: Array) -> tuple[float, float]:
    if expected.shape != made.shape:
        return float("inf"), float("inf")
    if expected.dtype.kind != "f":
        unequal = expected != made
        return float(unequal.sum()), float(unequal.mean())
    absolute = float(np.abs(expected - made).max(initial=0.0))
    if not np.isfinite(absolute):
        return float("inf"), float("inf")
    return absolute, absolute / max(float(np.abs(expected).max(initial=0.0)), 1e-9)
