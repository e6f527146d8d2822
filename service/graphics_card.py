"""Whether this machine may have a graphics card that speaks."""

from __future__ import annotations

import ctypes
import importlib.util

from engines.backends.tensorrt_module import FLAVOURS

CARD, CPU = "tensorrt", "onnxruntime"


def backends_for(setting: str) -> tuple[str, ...]:
    """Who runs each model's networks, the best first; the CPU stands by wherever a card speaks.

    Args:
        setting: `onnxruntime`, `tensorrt`, or `auto` for a card where one may be there. That it
            really is, and can be used, the building of its engines finds out.
    """
    card = setting == CARD or (setting == "auto" and may_have_card())
    return (CARD, CPU) if card else (CPU,)


def may_have_card() -> bool:
    """Whether TensorRT, what it needs and NVIDIA's driver are installed; loads none of them but
    the driver's library, which does nothing until it is asked."""
    if not any(map(_installed, FLAVOURS)):
        return False
    if not (_installed("pycuda") and _installed("cuda.bindings")):
        return False
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
