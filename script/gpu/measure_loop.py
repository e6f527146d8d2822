"""The product's device loop on a card without TensorRT: `measure_loop.py KERNELS RECIPE`.

pycuda's context, our kernels behind `StreamDriver` and `DeviceSemantic`, prefill and SoVITS by
PyTorch under CUDA graphs. 80 phones and 100 prompt tokens in, 100 tokens out (4 s), medians of 9,
wall clock, host included. Sections come in the order of their worth and stop at --seconds; every
figure is printed when it is known and written to --json at once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines.backends.cuda_device import CudaDevice, load_cuda
from engines.backends.kernels.decode_loop import DecodeLoop, Prefilled
from engines.backends.kernels.packing import pack
from engines.backends.stream_driver import StreamDriver
from engines.checkpoint import load_sovits, load_t2s
from engines.device_semantic import DeviceSemantic
from engines.errors import OutOfMemoryError
from engines.golden import Folder
from engines.graphs import ModelFacts
from engines.networks import t2s, vits
from engines.sampling import SamplingParams
from engines.semantic import Sentence

PHONES, SPOKEN_PHONES, PROMPT, TOKENS, FIRST = 80, 40, 100, 100, 25
RUNS = 9
STARTED = time.perf_counter()


class Report:
    """Figures as they come.

    Args:
        path: where they are kept, if anywhere.
        seconds: after so many nothing new is begun.
    """

    def __init__(self, path: Path | None, seconds: float) -> None:
        self.path, self.seconds = path, seconds
        self.figures: dict[str, Any] = {}

    def note(self, name: str, value: Any) -> None:
        """Print a figure and keep it."""
        shown = f"{value:.3f}" if isinstance(value, float) else value
        print(f"[{time.perf_counter() - STARTED:6.1f} s] {name:<48} {shown}", flush=True)
        self.figures[name] = value
        if self.path is not None:
            self.path.write_text(json.dumps(self.figures, indent=1) + "\n")

    def section(self, name: str, work: Callable[[], None]) -> None:
        """Do a part; what goes wrong in it is a figure too."""
        if time.perf_counter() - STARTED > self.seconds:
            self.note(name, "not run: out of time")
            return
        try:
            work()
        except Exception as error:
            self.note(name, f"FAILED {type(error).__name__}: {error}")


def milliseconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median wall-clock time of a call that returns when all is done."""
    times = []
    for _ in range(runs + 2):
        begun = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times[2:])


class TorchPrefill:
    """The prefill of one size as a CUDA graph, on the loop's stream."""

    def __init__(self, net: Any, stream: Any) -> None:
        self.dtype = next(net.parameters()).dtype
        self.stream = torch.cuda.ExternalStream(stream.handle)
        self.phones = torch.zeros((1, PHONES), dtype=torch.int64, device="cuda")
        self.bert = torch.zeros((1, 1024, PHONES), dtype=self.dtype, device="cuda")
        self.prompt = torch.zeros((1, PROMPT), dtype=torch.int64, device="cuda")
        self.graph, made = recorded(lambda: net.prefill(self.phones, self.bert, self.prompt))
        with torch.cuda.graph(self.graph):
            self.outputs = [part.float().contiguous() for part in made()]

    def __call__(self, sentence: Sentence) -> Prefilled:
        """Read a sentence."""
        with torch.cuda.stream(self.stream):
            self.phones.copy_(torch.from_numpy(sentence.phone_ids[None]))
            self.bert.copy_(torch.from_numpy(sentence.bert[None]))
            self.prompt.copy_(torch.from_numpy(sentence.prompt[None]))
            self.graph.replay()
        logits, keys, values = (part.data_ptr() for part in self.outputs)
        return Prefilled(logits, keys, values, PHONES + PROMPT, PHONES + PROMPT)


class TorchSpeech:
    """SoVITS of one length as a CUDA graph."""

    def __init__(self, net: Any, conditions: Any, tokens: int) -> None:
        dtype = next(net.parameters()).dtype
        self.codes = torch.zeros((1, tokens), dtype=torch.int64, device="cuda")
        phones = torch.randint(0, 700, (1, SPOKEN_PHONES), device="cuda")
        text, flow, voice = (part.to(dtype) for part in conditions)
        noise = torch.randn((1, 192, 2 * tokens), device="cuda", dtype=dtype)

        def speak() -> Any:
            latent = net.latent(self.codes, phones, text)
            mean, log_deviation = net.enc_p.proj(latent).chunk(2, dim=1)
            drawn = mean + noise * log_deviation.exp() * 0.5
            return net.dec(net.flow(drawn, flow), voice)

        self.eager = speak
        self.graph, made = recorded(speak)
        with torch.cuda.graph(self.graph):
            self.audio = made().float()
        self.host = torch.empty(self.audio.shape, pin_memory=True)

    def __call__(self, tokens: list[int]) -> Any:
        """Samples on the host."""
        self.codes.copy_(torch.tensor([tokens]), non_blocking=True)
        self.graph.replay()
        self.host.copy_(self.audio, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return self.host


def recorded(work: Callable[[], Any]) -> tuple[Any, Callable[[], Any]]:
    """A graph to be captured, after the work has warmed up on a side stream."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    return torch.cuda.CUDAGraph(), work


def sentence(number: int, temperature: float = 1.0) -> Sentence:
    """A random sentence of the fixed size."""
    random = np.random.default_rng(number)
    return Sentence(
        random.integers(0, 700, PHONES),
        random.standard_normal((1024, PHONES)).astype(np.float32),
        random.integers(0, 1024, PROMPT),
        SamplingParams(seed=number, temperature=temperature),
        limit=TOKENS,
    )


def spoken(decoder: DeviceSemantic, sentences: list[Sentence]) -> list[list[int]]:
    """Tokens of some sentences side by side."""
    streams = [decoder.admit(each) for each in sentences]
    while not all(stream.finished for stream in streams):
        decoder.step()
    return [stream.tokens for stream in streams]


def greedy(net: Any, given: Sentence, steps: int) -> list[int]:
    """The likeliest tokens by the float32 network, penalty and end as the loop has them."""
    from engines.sampling import exponential_noise, sample

    logits, new_keys, new_values = net.prefill(
        torch.from_numpy(given.phone_ids[None]).cuda(),
        torch.from_numpy(given.bert[None]).cuda(),
        torch.from_numpy(given.prompt[None]).cuda(),
    )
    room = (0, 0, 0, steps + 1)
    keys, values = (torch.nn.functional.pad(part, room) for part in (new_keys, new_values))
    tokens: list[int] = []
    for step in range(steps):
        noise = exponential_noise(given.params.seed or 0, step, logits.shape[1])
        heard = np.concatenate([given.prompt, np.array(tokens, np.int64)])
        token, ended = sample(logits[0].cpu().numpy(), heard, step, given.params, noise)
        if ended:
            break
        tokens.append(token)
        place = [torch.tensor([number]).cuda() for number in (token, PROMPT + step)]
        length = torch.tensor([PHONES + PROMPT + step]).cuda()
        logits, keys, values = net.step(*place, length, keys, values)
    return tokens


@torch.inference_mode()
def main() -> int:
    """Measure everything that time allows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernels", type=Path)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/golden"))
    parser.add_argument("--models", nargs="+", default=["v2", "v2ProPlus"])
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report = Report(arguments.json, arguments.seconds)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    folder = Folder(arguments.recipe, arguments.cache)
    checkpoint = load_t2s(folder.checkpoint("full_s1"))
    arrays = {
        name.removeprefix("model."): tensor.numpy() for name, tensor in checkpoint.weights.items()
    }
    # Nobody ends by itself, so that all measure the same length.
    arrays["ar_predict_layer.weight"][-1] = 0
    packed = pack(arrays)
    report.note("weights made, s", time.perf_counter() - STARTED)
    torch.zeros(1).cuda()
    device = CudaDevice(load_cuda())
    report.note("card", f"{device.name} {device.architecture}, torch {torch.__version__}")
    stream = device.stream(urgent=True)
    exact = t2s.load(checkpoint.config, checkpoint.weights).cuda()
    fast = t2s.load(checkpoint.config, checkpoint.weights).to("cuda", torch.float16)
    prefill = TorchPrefill(fast, stream)
    facts = _facts(checkpoint.config)

    def decoder(slots: int, clusters: bool = True, read: Any = prefill) -> DeviceSemantic:
        driver = StreamDriver(device, stream, arguments.kernels, clusters)
        loop = DecodeLoop(driver, packed, slots, 512)
        report.figures.setdefault("clusters", loop.clusters)
        record = None if loop.clusters else driver.capture
        return DeviceSemantic(facts, loop, read, record=record)

    one, eight = decoder(1), decoder(8)

    def read(count: int) -> None:
        for number in range(count):
            prefill(sentence(number))
        stream.synchronize()

    def drawing() -> None:
        report.note("uses clusters", report.figures["clusters"])
        report.note("prefill of 80 phones and 100 tokens, ms", milliseconds(lambda: read(1)))
        for which, count in ((one, 1), (eight, 8)):
            given = [sentence(number) for number in range(count)]
            whole = milliseconds(partial(spoken, which, given))
            only = milliseconds(partial(read, count))
            report.note(f"batch {count}: {TOKENS} tokens with prefill, ms", whole)
            report.note(f"batch {count}: AR ms a step, host included", (whole - only) / TOKENS)

    def correct() -> None:
        together = spoken(eight, [sentence(n) for n in range(8)])
        alone = [spoken(one, [sentence(n)])[0] for n in range(8)]
        report.note("8 slots = each alone", sum(map(list.__eq__, together, alone)))
        chain = decoder(2, clusters=False)
        chained = spoken(chain, [sentence(0), sentence(1)])
        report.note(
            "chain of kernels in a graph = clusters, of 2", sum(map(list.__eq__, chained, alone))
        )
        report.note(
            "chain, batch 2, ms a step",
            milliseconds(lambda: spoken(chain, [sentence(0), sentence(1)])) / TOKENS,
        )
        careful = decoder(1, read=TorchPrefill(exact, stream))
        same = [
            greedy(exact, sentence(n, 0.0), 60) == spoken(careful, [sentence(n, 0.0)])[0][:60]
            for n in range(6)
        ]
        report.note("greedy, 60 tokens = torch float32, of 6", sum(same))

    def speech(model: str) -> None:
        read = load_sovits(folder.checkpoint(f"full_s2_{model}"))
        net = vits.load(read.config, read.weights).cuda()
        conditions = net.condition(torch.randn((1, read.config.gin_channels, 1)).cuda() * 0.3)
        exact_speech = TorchSpeech(net, conditions, TOKENS)
        report.note(
            f"{model}: SoVITS 100 tokens, torch float32 graph, ms",
            milliseconds(lambda: exact_speech([1] * TOKENS)),
        )
        report.note(
            f"{model}: SoVITS 100 tokens, torch float32 eager, ms",
            milliseconds(lambda: (exact_speech.eager(), torch.cuda.synchronize())),
        )
        net = net.half()
        whole, first = (TorchSpeech(net, conditions, size) for size in (TOKENS, FIRST))
        report.note(
            f"{model}: SoVITS 100 tokens, torch float16 graph, ms",
            milliseconds(lambda: whole([1] * TOKENS)),
        )
        report.note(
            f"{model}: SoVITS 25 tokens, torch float16 graph, ms",
            milliseconds(lambda: first([1] * FIRST)),
        )

        def opening() -> None:
            stream_ = one.admit(sentence(3))
            while len(stream_.tokens) < FIRST:
                one.step()
            first(stream_.tokens[:FIRST])
            one.drop(stream_)

        report.note(f"{model}: first audio (25 tokens), ms", milliseconds(opening))
        report.note(
            f"{model}: 4 s sentence, whole, ms",
            milliseconds(lambda: whole(spoken(one, [sentence(3)])[0])),
        )

        def streamed() -> None:
            stream_, heard = one.admit(sentence(3)), 0
            while not stream_.finished:
                one.step()
                while len(stream_.tokens) >= heard + FIRST:
                    first(stream_.tokens[heard : heard + FIRST])
                    heard += FIRST

        report.note(f"{model}: 4 s in four pieces while tokens come, ms", milliseconds(streamed))
        report.note(f"{model}: memory of the card in use, MiB", device.used / 2**20)

    def endurance() -> None:
        before = device.used
        for number in range(200):
            spoken(one, [sentence(number)])
        report.note("200 sentences: memory grew by, MiB", (device.used - before) / 2**20)
        try:
            device.allocate(1 << 40)
            report.note("a terabyte", "was there?")
        except OutOfMemoryError as error:
            report.note("a terabyte: error", f"{error.code}, sticky {error.sticky}")
        report.note("tokens after it", len(spoken(one, [sentence(1)])[0]))

    report.section("drawing", drawing)
    for model in arguments.models:
        report.section(model, lambda model=model: speech(model))  # type: ignore[misc]
        if model == arguments.models[0]:
            report.section("correct", correct)
            report.section("endurance", endurance)
    device.close()
    return 0


def _facts(config: Any) -> ModelFacts:
    names = ("version", "symbols", "identity")
    numbers = dict.fromkeys(ModelFacts.__dataclass_fields__, 0)
    known = {"layers": config.n_layer, "heads": config.head, "max_tokens": 1500, "head_size": 32}
    return ModelFacts(**{**numbers, **dict.fromkeys(names, ""), **known})  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
