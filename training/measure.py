"""What a step of SoVITS costs on this machine, while its processors still make the speech.

    python -m training.measure --out FILE

Times the step with the discriminators in both memory layouts, writes the better one's flag for
`training.train` to FILE, and prints where the GPU spends such a step. Noise takes the place of
speech: shapes are what counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training import sizes, sovits, train
from training.discriminators import Discriminators
from training.graphs import Replayed

_PHONES, _ROUNDS = 90, 10
LAST = "--channels-last"


def main() -> None:
    """Measure, print, and write the flag."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file of the flag")
    parser.add_argument("--seconds", type=int, default=52, help="speech in a batch")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    gpu = args.device == "cuda"
    if gpu:
        train.fast_convolutions()
    costs = {}
    for flag in ("", LAST):
        step = stepper(args, flag)
        costs[flag] = milliseconds(Replayed(step) if gpu else step, True, gpu)
        print(f"with adversary {flag}: {costs[flag]:.1f} ms a step", flush=True)
    best = min(costs, key=lambda flag: costs[flag])
    args.out.write_text(best)
    step = stepper(args, best)
    print(f"without: {milliseconds(Replayed(step) if gpu else step, False, gpu):.1f} ms a step")
    if gpu:
        kind = (sovits.WINDOWS[1], True)
        step(kind)
        # Launched one by one: the profiler does not see into a recorded step.
        with torch.profiler.profile() as profile:
            step(kind)
            torch.cuda.synchronize()
        print(profile.key_averages().table(sort_by="self_device_time_total", row_limit=30))


def stepper(args: Any, flag: str) -> Callable[[Any], dict[str, Tensor]]:
    """A step of training on windows of noise."""
    device, tokens = args.device, sovits.WINDOWS[1]
    rows = max(args.seconds * 25 // tokens, 1)
    samples = torch.randn(rows, tokens * 2 * sovits.HOP, device=device) * 0.1
    batch = sovits.Batch(
        torch.randint(1024, (rows, tokens), device=device),
        torch.randint(1, 700, (rows, _PHONES), device=device),
        torch.full((rows,), _PHONES, device=device),
        samples,
        sovits.magnitudes(samples[:, : sovits.STYLE_FRAMES * sovits.HOP]),
    )
    codebook = torch.randn(1024, sizes.SSL, device=device)
    network = sovits.Sovits(sizes.SOVITS).to(device)
    judges = Discriminators().to(device)
    return train.sovits_step(args, network, judges, lambda _: batch, codebook, flag == LAST)[0]


def milliseconds(run: Callable[[Any], object], adversary: bool, gpu: bool) -> float:
    """The mean step, the first ones left out."""
    kind = (sovits.WINDOWS[1], adversary)
    run(kind)
    began = time.monotonic()
    for _ in range(_ROUNDS if gpu else 1):
        run(kind)
    if gpu:
        torch.cuda.synchronize()
    return 1000 * (time.monotonic() - began) / (_ROUNDS if gpu else 1)


if __name__ == "__main__":
    main()
