"""Half precision for releases of TensorRT that choose types themselves (8.6).

Later ones compute in the types that a graph states (`engines.half`). These are given the float32
graph, a flag, and the layers whose type is not theirs to choose: the same rule, told by what a
layer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HALF_LEVEL = 2
"""How hard they look for kernels, 0 to 5: SoVITS's generator took eight minutes at the usual 3."""

_CAREFUL = ("SOFTMAX", "NORMALIZATION", "REDUCE", "UNARY")
_PRODUCTS = ("MATRIX_MULTIPLY", "CONVOLUTION", "DECONVOLUTION")
_VIEWS = ("SHUFFLE", "CAST", "IDENTITY", "QUANTIZE", "DEQUANTIZE")
"""What may lie between a weight and its product."""


def allow_half(trt: Any, config: Any, network: Any, precision: str) -> None:
    """Allow float16, or 8 bits where a graph states them, and say which layers take what.

    Args:
        trt: the module.
        config: of the build.
        network: the parsed graph, in float32.
        precision: fp16 or int8.
    """
    config.set_flag(trt.BuilderFlag.FP16)
    # Of an 8-bit build only some graphs state 8 bits; for the others the flag would ask for ranges.
    kinds = {network.get_layer(index).type for index in range(network.num_layers)}
    states_bits = precision == "int8" and trt.LayerType.DEQUANTIZE in kinds
    if states_bits:
        config.set_flag(trt.BuilderFlag.INT8)
    config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
    config.builder_optimization_level = HALF_LEVEL
    careful, halved = sorted_layers(trt, network)
    for layer in careful:
        layer.precision = trt.float32
    if not states_bits:
        # Left to choose, it times every product in both types, and keeps the matrices of mixed
        # blocks in float32. In 8 bits a product's type is stated by what it reads.
        for layer in halved:
            layer.precision = trt.float16


def sorted_layers(trt: Any, network: Any) -> tuple[list[Any], list[Any]]:
    """Layers that `engines.half` keeps in float32, and products that it computes in float16.

    They are found by what they are: such releases call every float of a parsed network float32,
    whatever its graph states. A product is told by its weights, and the last one before an output
    by its place.
    """
    careful, products, views = (
        {getattr(trt.LayerType, name, None) for name in names}
        for names in (_CAREFUL, _PRODUCTS, _VIEWS)
    )
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    makers = {layer.get_output(n).name: layer for layer in layers for n in range(layer.num_outputs)}

    def of_weights(layer: Any) -> bool:
        if layer.type != trt.LayerType.MATRIX_MULTIPLY:
            return True  # a convolution
        return any(_is_weight(trt, layer.get_input(n), makers, views) for n in (0, 1))

    last = _before(network, makers, products)
    kept: list[Any] = []
    halved: list[Any] = []
    for layer in layers:
        if not layer.num_outputs or layer.get_output(0).dtype not in (trt.float32, trt.float16):
            continue
        if layer.type in products:
            is_half = layer.name not in last and of_weights(layer)
            (halved if is_half else kept).append(layer)
        elif layer.type in careful:
            kept.append(layer)
    return kept, halved


def _is_weight(trt: Any, tensor: Any, makers: Mapping[str, Any], views: set[Any]) -> bool:
    maker = makers.get(tensor.name)
    while maker is not None and maker.type in views:
        maker = makers.get(maker.get_input(0).name)
    return maker is not None and maker.type == trt.LayerType.CONSTANT


def _before(network: Any, makers: Mapping[str, Any], products: set[Any]) -> set[str]:
    """Names of the products that an output is made of without another product between."""
    outputs = (network.get_output(index).name for index in range(network.num_outputs))
    waiting = [name for name in outputs if not name.endswith(("keys", "values"))]
    found, seen = set(), set()
    while waiting:
        name = waiting.pop()
        maker = makers.get(name)
        if maker is None or name in seen:
            continue
        seen.add(name)
        if maker.type in products:
            found.add(maker.name)
        else:
            given = (maker.get_input(index) for index in range(maker.num_inputs))
            waiting += [tensor.name for tensor in given if tensor is not None]
    return found
