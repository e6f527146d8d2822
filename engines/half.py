"""A float32 ONNX graph as a mixed one: products with weights in float16, and what lies between.

Strongly typed TensorRT computes in the types that the graph states, so precision is decided here.
Float32 stay layer norms, attention's softmax and its two products (they have no weights, and one
TensorRT cannot join a float16 product to a float32 softmax), sums over an axis, powers and
exponentials, the embedding tables, and the last product before an output (logits, samples, the
prior's mean): what is rounded there reaches the ear or the draw directly. Inputs and outputs stay
float32, so a graph can be exchanged for its half without anybody else noticing. Masks are one or
nought, exact in either type, and take that of whoever they hide something from.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from engines.padding import MASK_NAMES

PRODUCTS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})

KEPT = frozenset(
    {
        *("LayerNormalization", "InstanceNormalization", "BatchNormalization", "Softmax", "Erf"),
        *("Exp", "Log", "Pow", "Sqrt", "Reciprocal", "Sin", "Cos", "Softplus", "CumSum", "Range"),
        *("ReduceMean", "ReduceSum", "ReduceL2", "ReduceSumSquare", "ArgMax", "ArgMin"),
        *("QuantizeLinear", "DequantizeLinear"),
    }
)
"""Operators whose float inputs and outputs stay float32."""

LARGEST = 60_000.0
"""A product with a weight beyond this stays float32 (the largest float16 is 65504)."""

_CACHES = ("keys", "values")
_BOOLEAN = frozenset({"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or"})
_INTEGER = frozenset({"Shape", "Size", "NonZero", "ArgMax", "ArgMin"})

_VIEWS = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Transpose", "Concat"})

# A constant and a mask take the type of whoever computes with them.
Kind = Literal["half", "float", "constant", "mask", "other"]


def to_half(model: Any) -> int:
    """Rewrite a float32 ONNX model, weights inside, in place.

    Returns:
        How many products are computed in float16 now.

    Raises:
        ValueError: the graph has branches or loops, which this does not follow.
    """
    rewriting = _Rewriting(model.graph)
    rewriting.run()
    return rewriting.products


class _Rewriting:
    """One pass over the nodes in their order, which is topological."""

    def __init__(self, graph: Any) -> None:
        self.products = 0
        self._graph = graph
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._kinds: dict[str, Kind] = {
            tensor.name: "constant" if tensor.data_type == TensorProto.FLOAT else "other"
            for tensor in graph.initializer
        }
        for value in graph.input:
            is_float = value.type.tensor_type.elem_type == TensorProto.FLOAT
            kind: Kind = "mask" if value.name in MASK_NAMES else "float"
            self._kinds[value.name] = kind if is_float else "other"
        self._last = last_products(graph)
        self._nodes: list[Any] = []
        self._converted: dict[tuple[str, str], str] = {}

    def run(self) -> None:
        for node in self._graph.node:
            if any(attribute.HasField("g") for attribute in node.attribute):
                raise ValueError(f"{node.op_type} {node.name!r} has a graph of its own")
            self._rewrite(node)
        for output in self._graph.output:
            if self._kinds[output.name] == "half":
                self._restore(output.name)
        used = {name for node in self._nodes for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:], self._graph.node[:], self._graph.value_info[:]
        self._graph.initializer.extend(kept)
        self._graph.node.extend(self._nodes)

    def _rewrite(self, node: Any) -> None:
        if node.op_type == "Constant":
            tensor = node.attribute[0].t
            self._kinds[node.output[0]] = (
                "constant" if tensor.data_type == TensorProto.FLOAT else "other"
            )
            self._weights[node.output[0]] = tensor
            self._nodes.append(node)
            return
        kind = self._kind_of(node)
        if kind != "other":
            for place, name in enumerate(node.input):
                if name and self._kinds[name] not in (kind, "other"):
                    node.input[place] = self._as(name, kind)
        self._nodes.append(node)
        made = _made(node, kind)
        for name in node.output:
            self._kinds[name] = made
        self.products += node.op_type in PRODUCTS and kind == "half"

    def _kind_of(self, node: Any) -> Kind:
        kinds = {self._kinds[name] for name in node.input if name} - {"other"}
        if not kinds:
            return "other"
        if kinds == {"mask"} and node.op_type in _VIEWS:
            return "mask"
        if node.op_type in KEPT or node.op_type == "Cast":
            return "float"
        if node.op_type in PRODUCTS:
            fits = "constant" in kinds and all(self._fits(name) for name in node.input if name)
            return "half" if fits and node.output[0] not in self._last else "float"
        return "half" if kinds <= {"half", "constant", "mask"} and "half" in kinds else "float"

    def _fits(self, name: str) -> bool:
        if self._kinds[name] != "constant":
            return True
        return bool(np.abs(numpy_helper.to_array(self._weights[name])).max(initial=0) < LARGEST)

    def _as(self, name: str, kind: Kind) -> str:
        """A value in another float type; constants are converted here, values by a cast."""
        constant = self._kinds[name] == "constant"
        if kind == "float" and self._kinds[name] in ("constant", "mask"):
            return name
        if (name, kind) not in self._converted:
            other = f"{name}.{kind}"
            self._converted[name, kind] = other
            self._kinds[other] = kind
            if constant:
                array = numpy_helper.to_array(self._weights[name]).astype(np.float16)
                self._graph.initializer.append(numpy_helper.from_array(array, other))
            else:
                self._cast(name, other, kind)
        return self._converted[name, kind]

    def _cast(self, name: str, other: str, kind: Kind) -> None:
        to = TensorProto.FLOAT16 if kind == "half" else TensorProto.FLOAT
        self._nodes.append(helper.make_node("Cast", [name], [other], name=f"{other}.cast", to=to))

    def _restore(self, output: str) -> None:
        """Give an output that became float16 its old type, under its old name."""
        inner = f"{output}.inner"
        for node in self._nodes:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == output:
                        names[place] = inner
        self._cast(inner, output, "float")


def _made(node: Any, kind: Kind) -> Kind:
    """The type of what a node gives, if it computes in `kind`."""
    if node.op_type in _BOOLEAN or node.op_type in _INTEGER:
        return "other"
    if node.op_type == "Cast":
        return "float" if node.attribute[0].i == TensorProto.FLOAT else "other"
    if node.op_type == "ConstantOfShape":
        filled = node.attribute[0].t.data_type if node.attribute else TensorProto.FLOAT
        return "float" if filled == TensorProto.FLOAT else "other"
    return kind


def last_products(graph: Any) -> set[str]:
    """Outputs of the products after which only other operators lead to an output of the graph."""
    makers = {name: node for node in graph.node for name in node.output}
    waiting = [output.name for output in graph.output if not output.name.endswith(_CACHES)]
    seen: set[str] = set()
    last: set[str] = set()
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if name in seen or node is None:
            continue
        seen.add(name)
        if node.op_type in PRODUCTS:
            last.add(node.output[0])
        elif node.op_type != "LayerNormalization":
            waiting.extend(node.input)
    return last
