"""Mixed graphs: what is in which precision, and what that costs against float32."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.build import graph_model
from engines.graphs import graphs
from engines.half import to_half
from engines.lean_graphs import lean
from engines.model_folder import ModelFolder
from engines.padding import without_padding
from engines.verify import SIZES, random_feeds

BOUND = 3e-3
"""Of an output's largest number; the tiny model's worst is 1.7e-3, full-size v2's 7.6e-4."""

GRAPHS = (
    *("hubert", "quantize", "style", "condition", "t2s_prefill", "t2s_decode"),
    *("vits_encode", "vits_flow", "vits_generate"),
)
HALVED = ("hubert", "style", "t2s_prefill", "t2s_decode", "vits_encode", "vits_flow")


def session(model: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


@pytest.mark.parametrize("graph", GRAPHS)
def test_half_is_close_to_float32(tiny_model: Path, graph: str) -> None:
    folder = ModelFolder.read(tiny_model)
    whole = session(graph_model(folder, graph, "fp32"))
    half = session(graph_model(folder, graph, "fp16"))
    names = {value.name for value in whole.get_inputs()}
    for number, sizes in enumerate(SIZES):
        feeds = random_feeds(graphs(folder.model)[graph], folder.model, sizes, number)
        told = without_padding(graphs(folder.model)[graph], feeds)
        given = {name: array for name, array in told.items() if name in names}
        for expected, made in zip(whole.run(None, given), half.run(None, given), strict=True):
            assert made.dtype == expected.dtype
            np.testing.assert_allclose(made, expected, rtol=0, atol=BOUND * np.abs(expected).max())


def types(model: Any) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model)
    known = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for value in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output):
        known[value.name] = value.type.tensor_type.elem_type
    return known


@pytest.mark.parametrize("graph", [*HALVED, "vits_generate"])
def test_norms_and_softmax_stay_float32(tiny_model: Path, graph: str) -> None:
    model = graph_model(ModelFolder.read(tiny_model), graph, "fp16")
    known = types(model)
    seen: Counter[tuple[str, int | None]] = Counter()
    for node in model.graph.node:
        seen.update((node.op_type, known.get(name)) for name in node.input[:1])
    for kept in ("LayerNormalization", "Softmax", "Exp", "ReduceMean", "Sqrt"):
        assert (kept, TensorProto.FLOAT16) not in seen
    products = ("MatMul", "Conv", "ConvTranspose", "Gemm")
    assert sum(seen[name, TensorProto.FLOAT16] for name in products) > 0


@pytest.mark.parametrize("graph", ["vits_flow", "vits_encode"])
def test_a_mask_takes_the_type_of_what_it_hides(tiny_model: Path, graph: str) -> None:
    folder = ModelFolder.read(tiny_model)
    padded = graph_model(folder, graph, "fp16")
    plain = onnx.load(folder.graph_file(graph))
    lean(plain)
    to_half(plain)
    casts = [sum(node.op_type == "Cast" for node in model.graph.node) for model in (plain, padded)]
    # Each mask once; the rest is as without.
    assert casts[0] < casts[1] <= casts[0] + 2


@pytest.mark.parametrize(
    ("graph", "output"),
    [("t2s_prefill", "logits"), ("t2s_decode", "logits"), ("vits_generate", "audio")],
)
def test_what_is_heard_or_drawn_is_not_rounded_last(
    tiny_model: Path, graph: str, output: str
) -> None:
    model = graph_model(ModelFolder.read(tiny_model), graph, "fp16")
    known = types(model)
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers[output]
    while node.op_type not in ("MatMul", "Gemm", "Conv"):
        node = makers[node.input[0]]
    assert {known[name] for name in node.input} == {TensorProto.FLOAT}


def test_the_matrices_take_half_the_bytes(tiny_model: Path) -> None:
    folder = ModelFolder.read(tiny_model)
    sizes = [
        len(graph_model(folder, "vits_flow", precision).SerializeToString())
        for precision in ("fp32", "fp16")
    ]
    assert sizes[1] < 0.6 * sizes[0]


def product(weight: float) -> Any:
    matrix = numpy_helper.from_array(np.full((2, 2), weight, np.float32), "w")
    last = numpy_helper.from_array(np.eye(2, dtype=np.float32), "v")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("MatMul", ["y", "v"], ["z"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in "xz"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [matrix, last])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("weight", "halved"), [(1.5, 1), (70_000.0, 0)])
def test_a_weight_that_half_cannot_hold_keeps_its_product(weight: float, halved: int) -> None:
    model = product(weight)
    assert to_half(model) == halved
    onnx.checker.check_model(model, full_check=True)
    made = session(model).run(None, {"x": np.ones((1, 2), np.float32)})[0]
    np.testing.assert_allclose(made, [[2 * weight, 2 * weight]], rtol=1e-3)


def test_a_graph_with_branches_is_refused() -> None:
    model = product(1.0)
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node.append(
        helper.make_node("If", ["x"], ["b"], then_branch=inner, else_branch=inner)
    )
    with pytest.raises(ValueError, match="If"):
        to_half(model)
