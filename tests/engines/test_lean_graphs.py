"""Graphs for TensorRT: the same numbers, without arithmetic of sizes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.build import graph_file
from engines.graphs import Axis, graphs
from engines.lean_graphs import lean
from engines.model_folder import ModelFolder
from engines.padding import without_padding

GRAPHS = ("t2s_prefill", "t2s_decode", "vits_encode", "vits_flow", "vits_generate")


def exported(folder: Path, name: str) -> Any:
    return onnx.load(graph_file(ModelFolder.read(folder), name, "fp32"))


def computed(model: Any, feeds: dict[str, Any]) -> list[Any]:
    return list(onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds))


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("size", [1, 3, 18])
def test_the_numbers_stay(tiny_model: Path, name: str, size: int) -> None:
    model = exported(tiny_model, name)
    random, sizes = np.random.default_rng(size), {"slots": 2}
    wanted = {value.name for value in model.graph.input}
    feeds = {}
    row = graphs(ModelFolder.read(tiny_model).model)[name]
    for tensor in row.inputs:
        shape = [
            sizes.setdefault(axis.name, max(axis.min, size + len(sizes)))
            if isinstance(axis, Axis)
            else axis
            for axis in tensor.shape
        ]
        whole = random.integers(0, 2, shape)
        floats = random.standard_normal(shape).astype(np.float32)
        if tensor.name in wanted:
            feeds[tensor.name] = whole if tensor.dtype == "int64" else floats
    feeds = without_padding(row, feeds)
    expected = computed(model, feeds)
    lean(model)
    onnx.checker.check_model(model)
    for one, other in zip(expected, computed(model, feeds), strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("vits_generate", 0),
        ("vits_flow", 0),
        ("t2s_prefill", 4),
        # For the window of each of the three encoders, however many layers they have.
        ("vits_encode", 9),
    ],
)
def test_few_sizes_are_asked_for(tiny_model: Path, name: str, most: int) -> None:
    model = exported(tiny_model, name)
    lean(model)
    count = Counter(node.op_type for node in model.graph.node)
    assert count["Shape"] <= most
    if name.startswith("vits"):
        assert not count["Split"] + count["Unsqueeze"] * (most == 0)
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        ranks = {
            len(weights[node.input[1]].dims)
            for node in model.graph.node
            if node.op_type in ("Conv", "ConvTranspose")
        }
        assert ranks == {4}


def graph_of(nodes: list[Any], tables: dict[str, Any], *outputs: str) -> Any:
    values = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [1, 4, None] if name == "x" else None
        )
        for name in ("x", *outputs)
    ]
    stored = [numpy_helper.from_array(np.asarray(table), name) for name, table in tables.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


X = np.random.default_rng(0).standard_normal((1, 4, 6)).astype(np.float32)
WEIGHT = np.random.default_rng(1).standard_normal((4, 4, 3)).astype(np.float32)


def test_a_split_convolution_becomes_one_for_each_part() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1], kernel_shape=[3]),
        helper.make_node("Split", ["c", "sizes"], ["a", "b"], axis=1),
    ]
    model = graph_of(nodes, {"w": WEIGHT, "sizes": np.array([1, 3])}, "a", "b")
    expected = computed(model, {"x": X})
    lean(model)
    assert Counter(node.op_type for node in model.graph.node)["Conv"] == 2
    assert all(node.op_type != "Split" for node in model.graph.node)
    for one, other in zip(expected, computed(model, {"x": X}), strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)


def test_a_convolution_that_somebody_else_hears_stays_whole() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1], kernel_shape=[3]),
        helper.make_node("Split", ["c", "sizes"], ["a", "b"], axis=1),
        helper.make_node("Softmax", ["c"], ["s"], axis=1),
    ]
    model = graph_of(nodes, {"w": WEIGHT, "sizes": np.array([2, 2])}, "a", "b", "s")
    expected = computed(model, {"x": X})
    lean(model)
    assert Counter(node.op_type for node in model.graph.node)["Conv"] == 1
    for one, other in zip(expected, computed(model, {"x": X}), strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("first", "last", "step"),
    [(0, 2, 1), (1, 2**31 - 1, 1), (-3, -1, 1), (-1, -(2**63) + 1, -1), (3, 0, -2)],
)
def test_parts_of_a_known_axis_are_looked_up(first: int, last: int, step: int) -> None:
    known = {"f": [first], "l": [last], "axes": [1], "s": [step]}
    tables = {name: np.array(value, np.int64) for name, value in known.items()}
    model = graph_of([helper.make_node("Slice", ["x", *tables], ["y"])], tables, "y")
    expected = computed(model, {"x": X})
    lean(model)
    assert [node.op_type for node in model.graph.node] == ["Gather"]
    np.testing.assert_array_equal(computed(model, {"x": X})[0], expected[0])


def test_a_slice_over_time_stays() -> None:
    tables = {"f": np.array([1]), "l": np.array([3]), "axes": np.array([2])}
    model = graph_of([helper.make_node("Slice", ["x", *tables], ["y"])], tables, "y")
    lean(model)
    assert [node.op_type for node in model.graph.node] == ["Slice"]
