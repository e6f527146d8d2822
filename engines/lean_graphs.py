"""A graph for TensorRT without what it would work out anew at every run.

Exported graphs compute sizes in the graph: a reshape asks for a length, joins it with constants and
obeys. TensorRT does such arithmetic on the host, layer by layer, before it starts the card's
work; in SoVITS's encoder it was four layers of five. It also reads a convolution over time as one
over pictures, with a reshape of computed sizes on either side, and a split as slices of computed
sizes. Written the right way at once, none of this is left; the numbers stay the same.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, TypeAlias

import numpy as np
from onnx import helper, numpy_helper, shape_inference

Shape: TypeAlias = "tuple[int | None, ...]"
"""Sizes, nothing where they differ from run to run."""

_VIEWS = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Flatten"})
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_ELEMENTWISE = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "LeakyRelu", "Relu", "Tanh", "Sigmoid"),
        *("QuantizeLinear", "DequantizeLinear"),
    }
)
_PER_AXIS = {"kernel_shape": (1,), "strides": (1,), "dilations": (1,), "output_padding": (0,)}


def lean(model: Any) -> None:
    """Rewrite an ONNX model, weights inside, in place; its inputs and outputs stay."""
    _separate(model.graph)
    _Pictures(model.graph, _shapes(model)).run()
    shapes = _shapes(model)
    _look_up(model.graph, shapes)
    _fix_views(model.graph, shapes)
    _sweep(model.graph)


def _shapes(model: Any) -> dict[str, Shape]:
    """What can be told of each value before a run."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    found: dict[str, Shape] = {
        value.name: tuple(
            size.dim_value if size.HasField("dim_value") else None
            for size in value.type.tensor_type.shape.dim
        )
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }
    return found | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def _constants(graph: Any) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in graph.initializer} | {
        node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"
    }


def _separate(graph: Any) -> None:
    """A convolution whose channels are split becomes one convolution for each part."""
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(output.name for output in graph.output)
    makers = {name: node for node in graph.node for name in node.output}
    constants = _constants(graph)
    nodes = []
    gone = set()
    for node in graph.node:
        maker = makers.get(node.input[0]) if node.op_type == "Split" else None
        if (
            maker is None
            or maker.op_type != "Conv"
            or uses[node.input[0]] != 1
            or [each.i for each in node.attribute if each.name == "axis"] != [1]
            or any(name not in constants for name in (*maker.input[1:], *node.input[1:]))
            or any(each.name == "group" and each.i != 1 for each in maker.attribute)
        ):
            nodes.append(node)
            continue
        gone.add(maker.output[0])
        tables = [numpy_helper.to_array(constants[name]) for name in maker.input[1:]]
        known = [numpy_helper.to_array(constants[name]) for name in node.input[1:]]
        rows_of = _split(node, len(tables[0]), known)
        for part, rows in enumerate(rows_of):
            names = [f"{name}.{node.output[part]}" for name in maker.input[1:]]
            for name, table in zip(names, tables, strict=True):
                graph.initializer.append(numpy_helper.from_array(table[rows], name))
            piece = helper.make_node(
                "Conv", [maker.input[0], *names], [node.output[part]], f"{maker.name}.{part}"
            )
            piece.attribute.extend(maker.attribute)
            nodes.append(piece)
    _replace(graph, [node for node in nodes if node.output[0] not in gone])


class _Pictures:
    """Convolutions over time as ones over pictures of height one, and all between them, too."""

    def __init__(self, graph: Any, shapes: dict[str, Shape]) -> None:
        self._graph, self._shapes = graph, shapes
        self._nodes: list[Any] = []
        self._flat: set[str] = {value.name for value in graph.input}
        self._tall: dict[str, str] = {}
        self._constants = _constants(graph)
        self._makers = {name: node for node in graph.node for name in node.output}
        self._weights: set[str] = set()

    def run(self) -> None:
        for node in self._graph.node:
            if node.op_type in _CONVOLUTIONS and self._is_over_time(node):
                self._convolution(node)
            elif node.op_type in _ELEMENTWISE and self._follows(node):
                self._elementwise(node)
            else:
                for name in node.input:
                    self._flatten(name)
                self._nodes.append(node)
                self._flat.update(node.output)
        for output in self._graph.output:
            self._flatten(output.name)
        _replace(self._graph, self._nodes)

    def _is_over_time(self, node: Any) -> bool:
        weight = self._weight(node.input[1])
        return weight is not None and len(weight.dims) == 3 + (weight.name in self._weights)

    def _weight(self, name: str) -> Any:
        """The constant that a weight is, or that it is dequantized from."""
        maker = self._makers.get(name)
        if maker is not None and maker.op_type == "DequantizeLinear":
            name = maker.input[0]
        return self._constants.get(name)

    def _convolution(self, node: Any) -> None:
        weight = self._weight(node.input[1])
        if weight.name not in self._weights:
            self._weights.add(weight.name)
            sizes = [*weight.dims[:2], 1, weight.dims[2]]
            del weight.dims[:]
            weight.dims.extend(sizes)
        for attribute in node.attribute:
            if attribute.name in _PER_AXIS:
                attribute.ints[:] = [*_PER_AXIS[attribute.name], *attribute.ints]
            elif attribute.name == "pads":
                before, after = attribute.ints
                attribute.ints[:] = [0, before, 0, after]
        node.input[0] = self._picture(node.input[0])
        self._add(node)

    def _follows(self, node: Any) -> bool:
        return any(name in self._tall and name not in self._flat for name in node.input) and all(
            len(self._shapes.get(name, (None,) * 9)) in (0, 3) for name in node.input if name
        )

    def _elementwise(self, node: Any) -> None:
        for place, name in enumerate(node.input):
            if name and self._shapes[name]:
                node.input[place] = self._picture(name)
        self._add(node)

    def _add(self, node: Any) -> None:
        name = node.output[0]
        node.output[0] = self._tall[name] = f"{name}.picture"
        self._nodes.append(node)

    def _picture(self, name: str) -> str:
        """The value as (1, C, 1, T)."""
        if name not in self._tall:
            self._tall[name] = f"{name}.picture"
            self._view(name, self._tall[name], (0, 0, 1, -1))
        return self._tall[name]

    def _flatten(self, name: str) -> None:
        """Make sure that somebody else finds the value under its name, as (1, C, T)."""
        if name in self._tall and name not in self._flat:
            self._flat.add(name)
            self._view(self._tall[name], name, (0, 0, -1))

    def _view(self, source: str, target: str, shape: tuple[int, ...]) -> None:
        # 0 keeps a size, -1 takes what is left.
        sizes = numpy_helper.from_array(np.array(shape, np.int64), f"{target}.sizes")
        self._graph.initializer.append(sizes)
        self._nodes.append(
            helper.make_node("Reshape", [source, sizes.name], [target], f"{target}.view")
        )


def _look_up(graph: Any, shapes: dict[str, Shape]) -> None:
    """Parts of an axis whose size is known, by their indices."""
    constants = _constants(graph)
    nodes: list[Any] = []
    for node in graph.node:
        shape, rest = shapes.get(node.input[0] if node.input else "", ()), node.input[1:]
        if node.op_type in ("Slice", "Split") and all(name in constants for name in rest):
            known = [numpy_helper.to_array(constants[name]) for name in rest]
            found = _parts(node, shape, known)
            if found is not None:
                axis, parts = found
                for output, part in zip(node.output, parts, strict=True):
                    name = f"{output}.indices"
                    graph.initializer.append(numpy_helper.from_array(part, name))
                    given = [node.input[0], name]
                    nodes.append(helper.make_node("Gather", given, [output], output, axis=axis))
                continue
        nodes.append(node)
    _replace(graph, nodes)


def _parts(node: Any, shape: Shape, known: list[Any]) -> tuple[int, list[Any]] | None:
    """Axis and indices of each part, if both are known."""
    if node.op_type == "Split":
        axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
        size = shape[axis] if axis < len(shape) else None
        return None if size is None else (axis, _split(node, size, known))
    if len(known) < 3 or len(known[2]) != 1:
        return None
    axis = int(known[2][0])
    size = shape[axis] if axis < len(shape) else None
    if size is None:
        return None
    first, last = int(known[0][0]), int(known[1][0])
    step = int(known[3][0]) if len(known) > 3 else 1
    # The lowest number stands for "to the very first", which Python spells otherwise.
    end = None if step < 0 and last < -(2**31) + 1 else last
    return axis, [np.arange(size)[slice(first, end, step)]]


def _split(node: Any, size: int, known: list[Any]) -> list[Any]:
    """The indices of each part of an axis; equal parts where no sizes are given."""
    sizes = known[0] if known else [size // len(node.output)] * len(node.output)
    return np.split(np.arange(size), np.cumsum(sizes)[:-1])


def _fix_views(graph: Any, shapes: dict[str, Shape]) -> None:
    """Give every view its sizes as a constant, where one of them is free at most."""
    constants = _constants(graph)
    for node in graph.node:
        shape = shapes.get(node.output[0], ())
        known = node.op_type not in _VIEWS or (len(node.input) > 1 and node.input[1] in constants)
        if (known and node.op_type in ("Reshape", "Flatten")) or node.op_type not in _VIEWS:
            continue
        if len(shape) < 2 or shape.count(None) > 1:
            continue
        free = np.array([-1 if size is None else size for size in shape], np.int64)
        sizes = numpy_helper.from_array(free, f"{node.output[0]}.sizes")
        graph.initializer.append(sizes)
        node.op_type = "Reshape"
        del node.attribute[:], node.input[1:]
        node.input.append(sizes.name)


def _sweep(graph: Any) -> None:
    """Leave out what nobody asks for any more."""
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted.update(node.input)
            kept.append(node)
    weights = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(weights)
    _replace(graph, kept[::-1])


def _replace(graph: Any, nodes: list[Any]) -> None:
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
