"""The T2S matrices in 8 bits: reading its weights is what a step of the decode loop waits for.

Each matrix is cut along its input into blocks with a scale of their own, and a product is computed
in 8 bits with 32-bit sums (`com.microsoft.MatMulNBits`, accuracy level 4: the activations are
rounded too). The last matrix, the embeddings and the norms stay float32: they are small, and the
logits' order is decided there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper, numpy_helper

from engines.sampling import Floats

BLOCKS = (128, 64, 32, 16)
"""Sizes that the runtime has; the largest that divides a matrix's input is taken."""

_EIGHT_BIT_SUMS = 4
_MIDDLE = 128  # stored bytes are unsigned


def quantize_layers(model: Any, layers: int) -> None:
    """Replace the four matrices of every layer in a T2S graph, and their biases with them.

    Args:
        model: ONNX model of `t2s_prefill` or `t2s_decode`, weights inside.
        layers: of the network, to check that all were found.

    Raises:
        ValueError: the graph has another number of such matrices.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    # Every layer's matrices have a bias, and so has the projection of BERT's features, which only
    # the prefill uses: it comes before the first layer norm.
    nodes = list(graph.node)
    first_norm = next(i for i, node in enumerate(nodes) if node.op_type == "LayerNormalization")
    first_layer = _first_projection(nodes, first_norm, weights)
    replaced = 0
    for node in nodes[first_layer:]:
        if node.op_type != "MatMul" or node.input[1] not in weights:
            continue
        bias = _bias_of(node, nodes, weights)
        if bias is None:
            continue
        name = node.input[1]
        matrix = numpy_helper.to_array(weights[name])
        rows, columns = matrix.shape
        block = next(size for size in BLOCKS if rows % size == 0)
        values, scales = quantized(matrix, block)
        graph.initializer.append(numpy_helper.from_array(values, f"{name}.values"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}.scales"))
        add, vector = bias
        product = helper.make_node(
            "MatMulNBits",
            [node.input[0], f"{name}.values", f"{name}.scales", "", "", vector],
            [add.output[0]],
            name=node.name,
            domain="com.microsoft",
            K=rows,
            N=columns,
            bits=8,
            block_size=block,
            accuracy_level=_EIGHT_BIT_SUMS,
        )
        add.CopyFrom(product)
        graph.node.remove(node)
        graph.initializer.remove(weights.pop(name))
        replaced += 1
    if replaced != 4 * layers:
        raise ValueError(f"{replaced} matrices for {layers} layers")
    if all(opset.domain != "com.microsoft" for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def quantized(matrix: Floats, block: int) -> tuple[npt.NDArray[np.uint8], Floats]:
    """A matrix (K, N) in 8 bits, rounded to nearest.

    Returns:
        Bytes (N, K / block, block), 128 standing for zero, and scales (N, K / block).
    """
    rows, columns = matrix.shape
    blocks = matrix.T.reshape(columns, rows // block, block)
    peak = np.abs(blocks).max(axis=2, keepdims=True)
    scales = np.where(peak == 0, 1, peak / (_MIDDLE - 1)).astype(np.float32)
    values = np.round(blocks / scales) + _MIDDLE
    return values.astype(np.uint8), scales[:, :, 0]


def _first_projection(nodes: Sequence[Any], norm: int, weights: dict[str, Any]) -> int:
    """Index of the first layer's first product of weights, given that of its first norm."""
    products = [
        index
        for index, node in enumerate(nodes[:norm])
        if node.op_type == "MatMul" and node.input[1] in weights
    ]
    # The in- and the out-projection; attention's own products have no weights.
    return products[-2]


def _bias_of(node: Any, nodes: Sequence[Any], weights: dict[str, Any]) -> tuple[Any, str] | None:
    """The addition of a vector of weights that follows a product, and the vector's name."""
    for other in nodes:
        if other.op_type == "Add" and node.output[0] in other.input:
            for name in other.input:
                if name in weights and len(weights[name].dims) == 1:
                    return other, name
    return None
