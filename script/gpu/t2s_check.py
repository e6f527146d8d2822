"""Hold the CUDA decode loop against torch and numpy: `t2s_check.py KERNELS RECIPE`.

Logits and greedy tokens against the torch network in float32 and float16, drawn tokens against the
numpy sampler on the same logits, eight slots against one, and the chain of kernels against the
single launch.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import t2s_setup as setup
import torch
from cupy_driver import CupyDriver

from engines.backends.kernels.decode_loop import RUNNING, DecodeLoop
from engines.backends.kernels.packing import pack
from engines.sampling import SamplingParams, exponential_noise, sample

GREEDY = SamplingParams(top_k=15, seed=0)
PARAMS = [
    SamplingParams(seed=11),
    SamplingParams(seed=2**40 + 7, top_k=50, temperature=0.7),
    SamplingParams(seed=13, top_p=0.8),
    SamplingParams(seed=14, top_p=0.5, temperature=1.5, repetition_penalty=1.0, top_k=1025),
    SamplingParams(seed=15, top_k=1, temperature=0.0),
    SamplingParams(seed=16, top_k=300, repetition_penalty=0.8),
    SamplingParams(seed=17, top_p=0.0, top_k=5),
    SamplingParams(seed=2**64 - 1, temperature=2.0, top_k=1000),
]


@torch.inference_mode()
def torch_greedy(
    net: Any, sentences: list[setup.Sentence], steps: int, forced: list[np.ndarray] | None
) -> tuple[list[np.ndarray], np.ndarray]:
    """Greedy tokens of every sentence, and the logits [steps, B, V] that they came from."""
    dtype = next(net.parameters()).dtype
    places = max(one.length for one in sentences) + steps + 1
    shape = (24, len(sentences), 16, places, 32)
    keys, values = (torch.zeros(shape, dtype=dtype, device="cuda") for _ in range(2))
    for slot, one in enumerate(sentences):
        keys[:, slot, :, : one.length] = one.keys[:, 0].to(dtype)
        values[:, slot, :, : one.length] = one.values[:, 0].to(dtype)
    logits = torch.cat([one.logits for one in sentences]).float().cpu().numpy()
    heard = [one.prompt for one in sentences]
    recorded, ones = [], np.ones(1025, np.float32)
    for step in range(steps):
        recorded.append(logits)
        tokens = []
        for slot in range(len(sentences)):
            token, _ = sample(logits[slot], heard[slot], step, GREEDY, ones)
            if forced is not None:
                token = int(forced[slot][step])
            heard[slot] = np.append(heard[slot], token)
            tokens.append(token)
        at = torch.tensor([len(h) - 1 for h in heard], device="cuda")
        filled = torch.tensor([one.length + step for one in sentences], device="cuda")
        token = torch.tensor(tokens, device="cuda")
        logits = net.step(token, at, filled, keys, values)[0].float().cpu().numpy()
    drawn = [h[len(one.prompt) :] for h, one in zip(heard, sentences, strict=True)]
    return drawn, np.stack(recorded)


def loop_logits(loop: DecodeLoop, sentences: list[setup.Sentence], steps: int) -> Any:
    """Greedy tokens and the logits after every step but the first."""
    for slot, one in enumerate(sentences):
        setup.admit(loop, slot, one, GREEDY, greedy=True)
    recorded = []
    for _ in range(steps - 1):
        loop.step(1)
        recorded.append(loop.logits().copy())
    states = loop.states()
    return [loop.tokens(i, 0, int(s["count"])) for i, s in enumerate(states)], np.stack(recorded)


def agreement(ours: list[np.ndarray], theirs: list[np.ndarray]) -> tuple[int, float]:
    """How many sentences agree in full, and the mean share before the first difference."""
    same, shares = 0, []
    for a, b in zip(ours, theirs, strict=True):
        n = min(len(a), len(b))
        differ = np.flatnonzero(a[:n] != b[:n])
        first = int(differ[0]) if len(differ) else n
        same += not len(differ)
        shares.append(first / n)
    return same, float(np.mean(shares))


def check_torch(kernels: Path, packed: Any, made: Any, steps: int, count: int) -> None:
    """Logits and greedy tokens against the torch network."""
    random = np.random.default_rng(5)
    single, half = setup.network(made, torch.float32), setup.network(made, torch.float16)
    sentences = [
        setup.sentence(single, random, int(random.integers(30, 140)), int(random.integers(40, 160)))
        for _ in range(count)
    ]
    exact, exact_logits = torch_greedy(single, sentences, steps, None)
    halved, _ = torch_greedy(half, sentences, steps, None)
    _, half_logits = torch_greedy(half, sentences, steps, exact)
    ours: dict[str, list[np.ndarray]] = {}
    for name, clusters in (("clusters", True), ("chain", False)):
        loop = DecodeLoop(CupyDriver(kernels, clusters), packed, 8, 512)
        ours[name], errors, half_errors = [], [], []
        for start in range(0, count, 8):
            tokens, logits = loop_logits(loop, sentences[start : start + 8], steps)
            ours[name] += tokens
            for slot, drawn in enumerate(tokens):
                truth = exact[start + slot]
                n = min(len(drawn), len(truth))
                differ = np.flatnonzero(drawn[:n] != truth[:n])
                last = (
                    int(differ[0]) if len(differ) else n - 1
                )  # logits up to there had the same past
                want = exact_logits[1 : last + 1, start + slot]
                other = half_logits[1 : last + 1, start + slot]
                got = logits[:last, slot]
                errors.append(np.linalg.norm(got - want) / np.linalg.norm(want))
                half_errors.append(np.linalg.norm(other - want) / np.linalg.norm(want))
        print(
            f"{name}: logits against torch fp32, relative: worst {max(errors):.2e}, "
            f"median {np.median(errors):.2e} (torch fp16: {max(half_errors):.2e}, "
            f"{np.median(half_errors):.2e})"
        )
        for other_name, other_tokens in (("fp32", exact), ("fp16", halved)):
            same, share = agreement(ours[name], other_tokens)
            print(f"{name}: greedy = torch {other_name}: {same}/{count}, mean share {share:.3f}")
    same, share = agreement(halved, exact)
    print(f"torch fp16 = torch fp32: {same}/{count}, mean share {share:.3f}")
    same, _ = agreement(ours["clusters"], ours["chain"])
    print(f"clusters = chain: {same}/{count}")


def check_draws(kernels: Path, packed: Any, made: Any, steps: int, clusters: bool) -> None:
    """Drawn tokens against the numpy sampler on the same logits."""
    random = np.random.default_rng(6)
    net = setup.network(made, torch.float32)
    sentences = [setup.sentence(net, random, 80, 100) for _ in PARAMS]
    loop = DecodeLoop(CupyDriver(kernels, clusters), packed, 8, 512)
    for slot, (one, params) in enumerate(zip(sentences, PARAMS, strict=True)):
        setup.admit(loop, slot, one, params)
    logits = torch.cat([one.logits for one in sentences]).cpu().numpy()
    before, draws, wrong = loop.states(), 0, []
    for step in range(steps):
        if step:
            running = before["state"] == RUNNING
            loop.step(1)
            logits = loop.logits().copy()
        else:
            running = np.ones(8, bool)
        after = loop.states()
        for slot in map(int, np.flatnonzero(running)):
            drawn = loop.tokens(slot, 0, int(after[slot]["count"]))
            count = int(before[slot]["count"]) if step else 0
            heard = np.concatenate([sentences[slot].prompt, drawn[:count]])
            noise = exponential_noise(PARAMS[slot].seed, count, 1025)
            token, ended = sample(logits[slot], heard, count, PARAMS[slot], noise)
            state = int(after[slot]["state"])
            good = state != RUNNING if ended else state == RUNNING and drawn[-1] == token
            draws += 1
            if not good:
                wrong.append((step, slot, token, ended, int(drawn[-1]), state))
        before = after
    print(
        f"draws like numpy ({'clusters' if clusters else 'chain'}): {draws - len(wrong)}/{draws}",
        wrong[:6],
    )


def check_neighbours(kernels: Path, packed: Any, made: Any, steps: int) -> None:
    """Eight slots against one, another order, another set of kernels, and a grown cache."""
    random = np.random.default_rng(7)
    net = setup.network(made, torch.float32)
    sentences = [
        setup.sentence(net, random, int(random.integers(30, 300)), int(random.integers(0, 200)))
        for _ in range(8)
    ]
    params = [SamplingParams(seed=100 + i) for i in range(8)]

    def speak(loop: DecodeLoop, which: list[int], chunk: int) -> list[np.ndarray]:
        for slot, index in enumerate(which):
            setup.admit(loop, slot, sentences[index], params[index])
        for _ in range(-(-steps // chunk)):
            loop.step(chunk)
        return [
            loop.tokens(i, 0, min(steps, int(s["count"])))
            for i, s in enumerate(loop.states()[: len(which)])
        ]

    together = speak(DecodeLoop(CupyDriver(kernels), packed, 8, 1024), list(range(8)), 16)
    alone = DecodeLoop(CupyDriver(kernels), packed, 1, 1024)
    single = [speak(alone, [i], 5)[0] for i in range(8)]
    backwards = speak(DecodeLoop(CupyDriver(kernels), packed, 8, 2048), list(range(7, -1, -1)), 7)[
        ::-1
    ]
    chain = speak(DecodeLoop(CupyDriver(kernels, False), packed, 8, 1024), list(range(8)), 16)
    print("lengths", [len(t) for t in together], "cache", [s.length for s in sentences])
    for name, other in (("alone", single), ("other order", backwards), ("chain", chain)):
        same = sum(np.array_equal(a, b) for a, b in zip(together, other, strict=True))
        print(f"eight slots = {name}: {same}/8")
    again = speak(DecodeLoop(CupyDriver(kernels), packed, 8, 1024), list(range(8)), 16)
    print(
        "again the same:", sum(np.array_equal(a, b) for a, b in zip(together, again, strict=True))
    )
    grown = DecodeLoop(CupyDriver(kernels), packed, 8, max(s.length for s in sentences) + 3)
    speak(grown, list(range(8)), 16)
    print("states before growing", grown.states()["state"])
    grown.grow(1024)
    for _ in range(-(-steps // 16)):
        grown.step(16)
    tokens = [grown.tokens(i, 0, min(steps, int(s["count"]))) for i, s in enumerate(grown.states())]
    print(
        "grown cache:",
        sum(np.array_equal(a, b) for a, b in zip(together, tokens, strict=True)),
        "/8",
    )


def main() -> None:
    """Run all checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernels", type=Path)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    made = setup.weights(arguments.recipe)
    packed = pack(made)
    quick = arguments.quick
    for check in (
        lambda: check_torch(
            arguments.kernels, packed, made, 30 if quick else 100, 8 if quick else 40
        ),
        lambda: check_draws(arguments.kernels, packed, made, 30 if quick else 120, True),
        lambda: check_draws(arguments.kernels, packed, made, 30 if quick else 120, False),
        lambda: check_neighbours(arguments.kernels, packed, made, 100),
    ):
        start = time.perf_counter()
        check()
        print(f"  ({time.perf_counter() - start:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
