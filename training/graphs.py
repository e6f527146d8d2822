"""Steps of fixed shapes, recorded once and launched as a whole (CUDA graphs).

A step of SoVITS is thousands of small kernels, and Python needs longer to launch them than a big
GPU to run them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

_WARM = 3


class Replayed:
    """`step(kind)`, each kind recorded at its first call.

    Args:
        step: trains one step; everything it touches stays where it is from call to call, and
            nothing in it waits for the GPU. Returns tensors, which the next call overwrites.
    """

    def __init__(self, step: Callable[[Any], dict[str, Tensor]]) -> None:
        self._step = step
        self._graphs: dict[Hashable, tuple[torch.cuda.CUDAGraph, dict[str, Tensor]]] = {}
        self._pool: Any = None
        self._refused = False

    def __call__(self, kind: Any) -> dict[str, Tensor]:
        """Run a step of this kind; the first call runs it `_WARM` times and records it."""
        if self._refused:
            return self._step(kind)
        if kind not in self._graphs:
            parts = self._warmed(kind)
            try:
                self._graphs[kind] = self._recorded(kind)
            except RuntimeError as error:
                print(f"no graph of {kind}: {error}", flush=True)
                self._refused = True
            return parts
        graph, parts = self._graphs[kind]
        graph.replay()
        return parts

    def _warmed(self, kind: Any) -> dict[str, Tensor]:
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(_WARM):
                parts = self._step(kind)
        here.wait_stream(aside)
        return parts

    def _recorded(self, kind: Any) -> tuple[torch.cuda.CUDAGraph, dict[str, Tensor]]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            parts = self._step(kind)
        self._pool = graph.pool()
        return graph, parts
