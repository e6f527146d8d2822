"""The table of graphs and the modules behind it: every named size stays free when exported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engines.backends.torch_backend import TorchBackend
from engines.graphs import Axis, GraphSpec, TensorSpec, graphs

SHORT = {
    "prompt": 7,
    "phones": 12,
    "text": 9,
    "slots": 3,
    "cache": 40,
    "tokens": 10,
    "frames": 16,
    "heard": 16,
}
LONG = {
    "prompt": 31,
    "phones": 45,
    "text": 30,
    "slots": 2,
    "cache": 99,
    "tokens": 24,
    "frames": 50,
    "heard": 50,
}
SPOKEN = ("t2s_prefill", "t2s_decode", "vits_encode", "vits_flow", "vits_generate")


def feeds(graph: GraphSpec, sizes: dict[str, int]) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(1)

    def feed(tensor: TensorSpec) -> Any:
        shape = [sizes[axis.name] if isinstance(axis, Axis) else axis for axis in tensor.shape]
        whole = torch.randint(0, 2, shape, generator=generator)
        return {
            "int64": whole,
            "float32": torch.randn(shape, generator=generator) * 0.3,
        }[tensor.dtype]

    return tuple(feed(tensor) for tensor in graph.inputs)


def free(tensor: TensorSpec) -> dict[int, Any]:
    # From 2: PyTorch takes sizes of 0 and 1 for constants.
    return {
        place: torch.export.Dim(axis.name, min=2, max=axis.max)
        for place, axis in enumerate(tensor.shape)
        if isinstance(axis, Axis)
    }


def flat(outputs: Any) -> list[Any]:
    return [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)


@pytest.mark.parametrize("name", SPOKEN)
def test_a_graph_is_exported_with_every_named_size_free(tiny: TorchBackend, name: str) -> None:
    graph, module = graphs(tiny.model)[name], tiny.module(name)
    dimensions = tuple(free(tensor) for tensor in graph.inputs)
    with torch.no_grad():
        program = torch.export.export(module, feeds(graph, SHORT), dynamic_shapes=dimensions)
        for sizes in (SHORT, LONG):
            # Twice made: the cache is written to.
            ours = flat(module(*feeds(graph, sizes)))
            exported = flat(program.module()(*feeds(graph, sizes)))
            assert len(ours) == len(exported) == len(graph.outputs)
            for left, right in zip(ours, exported, strict=True):
                np.testing.assert_allclose(left.numpy(), right.numpy(), atol=1e-5)


def test_a_size_is_the_same_wherever_it_is_named(tiny: TorchBackend) -> None:
    named: dict[str, Axis] = {}
    for graph in graphs(tiny.model).values():
        for tensor in (*graph.inputs, *graph.outputs):
            for axis in (axis for axis in tensor.shape if isinstance(axis, Axis)):
                assert named.setdefault(axis.name, axis) == axis
                assert axis.min <= axis.opt <= axis.max


def test_the_facts_of_the_tiny_model(tiny: TorchBackend) -> None:
    model = tiny.model
    assert (model.sample_rate, model.samples_per_token, model.codes) == (32_000, 1280, 1024)
    assert (model.vocabulary, model.phones, model.max_tokens) == (1025, 732, 50)
    assert (model.symbols, model.speaker_embedding) == ("v2", False)
