"""Time a decode step: `t2s_bench.py KERNELS RECIPE`.

80 phones and 100 prompt tokens in, 100 tokens out, drawing included; medians of the runs, in the
same process as PyTorch eager and PyTorch under a CUDA graph.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy
import numpy as np
import t2s_setup as setup
import torch
from cupy_driver import CupyDriver

from engines.backends.kernels.decode_loop import RUNNING, DecodeLoop
from engines.backends.kernels.packing import pack
from engines.sampling import SamplingParams

RUNS = 9


def timed(stream: Any, prepare: Callable[[], None], work: Callable[[], None]) -> float:
    """Median milliseconds of `work` on a CuPy stream."""
    times = []
    for _ in range(RUNS + 2):
        prepare()
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        stream.synchronize()
        start.record(stream)
        work()
        stop.record(stream)
        stop.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, stop))
    return statistics.median(times[2:])


def ours(
    kernels: Path,
    packed: Any,
    spoken: Any,
    slots: int,
    chunk: int,
    clusters: bool,
    tokens: int,
    capacity: int = 512,
) -> float:
    """Milliseconds of a step."""
    driver = CupyDriver(kernels, clusters)
    loop = DecodeLoop(driver, packed, slots, capacity)

    def prepare() -> None:
        for slot in range(slots):
            setup.admit(loop, slot, spoken, SamplingParams(seed=slot))

    prepare()
    graph = None if clusters else driver.capture(lambda: loop.step(chunk))

    def work() -> None:
        for _ in range(tokens // chunk):
            if graph is None:
                loop.step(chunk)
            else:
                graph.launch(stream=driver.stream)

    milliseconds = timed(driver.stream, prepare, work) / tokens
    states = loop.states()
    if not ((states["state"] == RUNNING) & (states["count"] == tokens + 1)).all():
        raise RuntimeError(f"a slot stopped: {states}")
    return milliseconds


class TorchLoop:
    """The torch network with drawing on the device, one slot set."""

    def __init__(self, net: Any, spoken: Any, slots: int, tokens: int) -> None:
        dtype = next(net.parameters()).dtype
        self.net, self.slots, self.spoken = net, slots, spoken
        shape = (24, slots, 16, spoken.length + tokens + 2, 32)
        self.keys, self.values = (torch.zeros(shape, dtype=dtype, device="cuda") for _ in range(2))
        self.keys[:, :, :, : spoken.length] = spoken.keys.to(dtype)
        self.values[:, :, :, : spoken.length] = spoken.values.to(dtype)
        self.token = torch.zeros(slots, dtype=torch.int64, device="cuda")
        self.position = torch.zeros_like(self.token)
        self.length = torch.zeros_like(self.token)
        self.heard = torch.zeros((slots, 1025), dtype=torch.bool, device="cuda")

    def prepare(self) -> None:
        """Back to the first step."""
        self.token.fill_(7)
        self.position.fill_(len(self.spoken.prompt))
        self.length.fill_(self.spoken.length)
        self.heard.zero_()

    def step(self) -> None:
        """One token for every slot."""
        logits = self.net.step(self.token, self.position, self.length, self.keys, self.values)[0]
        logits = logits.float()
        weakened = torch.where(logits < 0, logits * 1.35, logits / 1.35)
        logits = torch.where(self.heard, weakened, logits)
        values, tokens = torch.topk(logits, 15)
        noise = torch.empty_like(values).exponential_(1)
        pick = (values.softmax(-1) / noise).argmax(-1, keepdim=True)
        token = tokens.gather(1, pick)
        self.heard.scatter_(1, token, True)
        self.token.copy_(token[:, 0])
        self.position.add_(1)
        self.length.add_(1)


@torch.inference_mode()
def theirs(net: Any, spoken: Any, slots: int, tokens: int, graph: bool) -> float:
    """Milliseconds of a step of the torch network."""
    loop = TorchLoop(net, spoken, slots, tokens)
    stream = torch.cuda.Stream()
    step: Callable[[], None] = loop.step
    with torch.cuda.stream(stream):
        loop.prepare()
        for _ in range(3):
            loop.step()
        if graph:
            stream.synchronize()
            captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(captured, stream=stream):
                loop.step()
            step = captured.replay
        times = []
        for _ in range(RUNS + 1):
            loop.prepare()
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            stream.synchronize()
            start.record()
            for _ in range(tokens):
                step()
            stop.record()
            stop.synchronize()
            times.append(start.elapsed_time(stop))
    return statistics.median(times[1:]) / tokens


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernels", type=Path)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--torch", action="store_true", help="time PyTorch too")
    parser.add_argument("--sweep", action="store_true", help="other chunks and lengths too")
    arguments = parser.parse_args()
    made = setup.weights(arguments.recipe, end_logit=False)
    packed = pack(made)
    single = setup.network(made, torch.float32)
    random = np.random.default_rng(1)
    spoken = setup.sentence(single, random, 80, 100)
    rows: list[tuple[str, list[float]]] = []
    for clusters, name in ((True, "clusters"), (False, "chain, graph")):
        for chunk in (1, 5, 10, 25) if arguments.sweep else (10,):
            made_times = [
                ours(arguments.kernels, packed, spoken, slots, chunk, clusters, 100)
                for slots in (1, 8)
            ]
            rows.append((f"ours, {name}, {chunk} steps a launch", made_times))
    if arguments.sweep:
        for length in (600, 1200):
            longer = setup.sentence(single, random, length - 100, 100)
            for clusters, name in ((True, "clusters"), (False, "chain, graph")):
                made_times = [
                    ours(arguments.kernels, packed, longer, slots, 10, clusters, 100, 1536)
                    for slots in (1, 8)
                ]
                rows.append((f"ours, {name}, from {length} places", made_times))
    if arguments.torch:
        half = setup.network(made, torch.float16)
        for graph, name in ((False, "PyTorch fp16 eager"), (True, "PyTorch fp16, CUDA graph")):
            rows.append((name, [theirs(half, spoken, slots, 100, graph) for slots in (1, 8)]))
    print(f"{'ms a step':44s} {'batch 1':>9s} {'batch 8':>9s}")
    for name, times in rows:
        print(f"{name:44s} " + " ".join(f"{time:9.4f}" for time in times))


if __name__ == "__main__":
    main()
