"""The T2S weights under their official names, read back from a converted model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnx import numpy_helper

from engines.errors import CheckpointError

_MATRICES = ("self_attn.in_proj_weight", "self_attn.out_proj.weight")
_FEED = ("linear1.weight", "linear2.weight")


def official_weights(step: Path) -> dict[str, npt.NDArray[Any]]:
    """What `packing.pack` takes.

    Args:
        step: the plain graph of `t2s_decode`; its weights lie beside it. The exporter keeps the
            names of vectors and tables; matrices it turns over and renames, but it leaves them in
            the order in which a step reads them: four of each layer, then the logits'.

    Raises:
        CheckpointError: the file is not such a graph.
    """
    try:
        graph = onnx.load(step).graph
    except Exception as error:
        # protobuf's errors have no base of their own but Exception.
        raise CheckpointError(f"{step} cannot be read: {error}") from error
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    named = {name.removeprefix("t2s."): array for name, array in arrays.items() if "." in name}
    products = [
        arrays[node.input[1]]
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in arrays
    ]
    layers, rest = divmod(len(products), 4)
    if rest != 1:
        raise CheckpointError(f"{step}: {len(products)} matrices are not four a layer and one")
    for layer in range(layers):
        for place, name in enumerate((*_MATRICES, *_FEED)):
            named[f"h.layers.{layer}.{name}"] = products[4 * layer + place].T
    named["ar_predict_layer.weight"] = products[-1].T
    return named
