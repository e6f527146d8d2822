"""TensorRT 8.6 is the oldest that builds our engines: each speaking graph is what it reads.

It needs a card even to parse, so its parser's own table stands in for it here: docs/operators.md of
onnx-tensorrt, branch release/8.6-EA (Apache License 2.0), which is the parser of the wheel 8.6.0.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, shape_inference

from engines.backends import CheckpointFiles
from engines.build import graph_model, speaking
from engines.export import convert
from engines.model_folder import ModelFolder

OPSET = 17
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16}
# The parser reads 64-bit integers as 32-bit ones.
NUMBERS = FLOATS | {TensorProto.INT32, TensorProto.INT64}
ANY = NUMBERS | {TensorProto.BOOL}
BOOL = {TensorProto.BOOL}
OPERATORS: dict[str, set[int]] = {
    **dict.fromkeys(("And", "Or", "Not"), BOOL),
    **dict.fromkeys(("Cast", "Concat", "Constant", "Expand", "Gather", "Identity"), ANY),
    **dict.fromkeys(("Reshape", "Shape", "Slice", "Split", "Squeeze", "Transpose"), ANY),
    **dict.fromkeys(("Unsqueeze", "Where"), ANY),
    **dict.fromkeys(("Add", "Div", "Equal", "Greater", "GreaterOrEqual", "IsNaN"), NUMBERS),
    **dict.fromkeys(("Less", "LessOrEqual", "Max", "Min", "Mul", "Pad", "Range", "Sub"), NUMBERS),
    **dict.fromkeys(("Conv", "ConvTranspose", "Erf", "Exp", "LayerNormalization"), FLOATS),
    **dict.fromkeys(("LeakyRelu", "MatMul", "ReduceMax", "ReduceMean", "Relu"), FLOATS),
    "GatherElements": NUMBERS | BOOL,
    **dict.fromkeys(("Sigmoid", "Softmax", "Softplus", "Sqrt", "Tanh"), FLOATS),
    # Its input is a shape; the table speaks of what it gives, the importer takes integers too.
    "ConstantOfShape": {TensorProto.INT64},
}
"""Operator → types of its inputs."""

WHOLE = (-(2**31), 2**31 - 1)
ENDS = (-(2**63), 1 - 2**63, 2**63 - 1)
CONSTANT_INPUTS = {"Slice": (3, 4), "Squeeze": (1,), "Unsqueeze": (1,), "Split": (1,)}
"""Operator → inputs that have to be constants; of a slice the axes and steps."""


@pytest.fixture(scope="module")
def pro(golden: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("pro")
    for name, stored in (("chinese-hubert-base", "hubert_pipe"), ("sv", "sv_tiny")):
        shutil.copytree(golden.checkpoint(stored).parent, models / name)
    files = CheckpointFiles(golden.checkpoint("s1_pipe"), golden.checkpoint("s2_v2Pro"), models)
    convert(files, models / "converted")
    return models / "converted"


@pytest.fixture(scope="module", params=["tiny_model", "pro"])
def folder(request: pytest.FixtureRequest) -> ModelFolder:
    return ModelFolder.read(request.getfixturevalue(request.param))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_speaking_graph_is_made_of_what_8_6_reads(
    folder: ModelFolder, precision: Any
) -> None:
    assert set(speaking(folder)) >= {"t2s_prefill", "t2s_decode", "vits_encode", "vits_generate"}
    found = {name: refused(graph_model(folder, name, precision)) for name in speaking(folder)}
    assert found == {name: [] for name in speaking(folder)}


def refused(model: Any) -> list[str]:
    """What the parser of 8.6 would not take, in words."""
    model = shape_inference.infer_shapes(model)
    graph = model.graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.input, *graph.value_info, *graph.output)
    } | {tensor.name: tensor.data_type for tensor in graph.initializer}
    constants = {tensor.name: tensor for tensor in graph.initializer} | {
        node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"
    }
    wrong = [
        f"{each.domain or 'ai.onnx'} {each.version}"
        for each in model.opset_import
        if (each.domain, each.version) != ("", OPSET)
    ]
    for node in graph.node:
        taken = OPERATORS.get(node.op_type, set())
        given = [(place, name) for place, name in enumerate(node.input) if name]
        needed = CONSTANT_INPUTS.get(node.op_type, ())
        wrong += [node.op_type] * (node.op_type not in OPERATORS or bool(node.domain))
        wrong += [
            f"{node.op_type} {node.name} of {TensorProto.DataType.Name(types[name])}"
            for place, name in given
            if types[name] not in taken | indices(node.op_type, place)
        ]
        wrong += [
            f"{node.op_type} {node.name}: input {place} is computed"
            for place, name in given
            if place in needed and name not in constants
        ]
    return wrong + [name for name, tensor in constants.items() if is_wide(tensor)]


def indices(operator: str, place: int) -> set[int]:
    """Types of the inputs that are not of the operator's own type."""
    return {
        ("Where", 0): BOOL,
        ("Pad", 1): {TensorProto.INT64},
    }.get((operator, place), set())


def is_wide(tensor: Any) -> bool:
    """Whether whole numbers are cut off; those that mean an end of a slice still mean it then."""
    if tensor.data_type != TensorProto.INT64:
        return False
    array = numpy_helper.to_array(tensor)
    return bool((((array < WHOLE[0]) | (array > WHOLE[1])) & ~np.isin(array, ENDS)).any())


@pytest.mark.parametrize(
    ("operator", "kind", "opset"),
    [("Gelu", TensorProto.FLOAT, 20), ("CumSum", TensorProto.FLOAT, 17), ("Relu", 11, 17)],
)
def test_what_it_does_not_read_is_found(operator: str, kind: int, opset: int) -> None:
    node = onnx.helper.make_node(operator, ["x"], ["y"], name="a")
    values = [onnx.helper.make_tensor_value_info(name, kind, [2]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    imports = [onnx.helper.make_opsetid("", opset)]
    assert refused(onnx.helper.make_model(graph, opset_imports=imports))
