"""A card of paper, for a trial of `tensorrt_steps` where there is no card (`script/gpu/trial`).

Imported before anything asks for TensorRT or a card, and run in the place of `-m engines`: an
engine is then its graph, which ONNX Runtime computes in the host's memory.
"""

from __future__ import annotations

import sys

from engines.backends import cuda_device, tensorrt_module
from tests.engines.backends.card import Bindings, Paper, PyCuda

CAPACITY = 1 << 34

bindings, cuda = Bindings(), PyCuda((9, 0))
cuda.capacity = CAPACITY
tensorrt_module.find_tensorrt = lambda: Paper(bindings)
cuda_device.load_cuda = lambda: (cuda, bindings)


if __name__ == "__main__":
    from engines.__main__ import main

    sys.exit(main())
