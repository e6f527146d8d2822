"""A model by TensorRT, against what PyTorch said: `tensorrt_measure.py ROOT MODEL --json FILE`.

Checks and columns come in the order of their worth and stop at --seconds; each figure is printed
and written when it is known, and a part that fails is a figure too. Nothing is built here: what
needs an engine that is missing says which.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
if os.environ.get("STAND_IN"):
    import tensorrt_stand_in  # noqa: F401  # before anything asks for a card

from tensorrt_job import GREEDY_SLOTS, SPOKEN, greedy_tokens, sentence, utterance_of

from engines.backends.cuda_device import architecture
from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
from engines.backends.prepared_session import PreparedSession
from engines.backends.tensorrt_backend import TensorRTBackend
from engines.backends.tensorrt_module import find_tensorrt
from engines.backends.tensorrt_session import TensorRTSession
from engines.bench import Figures, measure
from engines.bert_features import BertFeatures
from engines.build import ENGINES, engine_key, speaking
from engines.calibrate import spectral_distance
from engines.decoders import Streaming, Utterance, VitsDecoder
from engines.engine_store import EngineStore
from engines.errors import DeviceError, OutOfMemoryError
from engines.model_folder import ModelFolder
from engines.prompt import VoicePrompt
from engines.sampling import SamplingParams, normal_noise
from engines.semantic import open_decoder
from engines.synthesizer import Synthesizer
from engines.text.types import PhonemizedText, Run
from engines.token_drift import compare_logits, record_logits

STARTED = time.monotonic()
PRODUCT = "TensorRT FP16, our kernels"
ASKED = ("product", "sound", "lose")
PARTS = ("fp32", "table", "fp16", "drawn", "stages", "lengths", "first_audio", "endurance")
"""Of a measurement, in the order of their worth; those of `ASKED` are done where they are named."""
ROWS = {
    "first_audio_ms": "first audio (25 tokens), ms",
    "prefill_ms": "prefill, ms",
    "token_ms": "a token at batch 1, ms",
    "batch_step_ms": "a step at batch 8, ms",
    "sovits_ms": "SoVITS of 100 tokens, ms",
    "sentence_ms": "sentence of 4 s, ms",
    "rtf": "real-time factor",
    "gpu_mib": "card in use, MiB",
}


class Report:
    """Figures as they come."""

    def __init__(self, path: Path | None, seconds: float) -> None:
        self.path, self.seconds = path, seconds
        self.figures: dict[str, Any] = {}

    def note(self, name: str, value: Any) -> None:
        """Print a figure and keep it."""
        shown = f"{value:.4g}" if isinstance(value, float) else value
        print(f"[{time.monotonic() - STARTED:6.1f} s] {name:<44} {shown}", flush=True)
        self.figures[name] = value
        if self.path is not None:
            self.path.write_text(json.dumps(self.figures, indent=1) + "\n")

    def part(self, name: str, work: Callable[[], None]) -> None:
        """Do a part, if there is time."""
        if time.monotonic() - STARTED > self.seconds:
            self.note(name, "not run: out of time")
            return
        try:
            work()
        except Exception as error:
            self.note(name, f"FAILED {type(error).__name__}: {error}")


class Measurement:
    """One model in the precisions that there are.

    Args:
        given: the command's arguments.
        report: takes the figures.
    """

    def __init__(self, given: argparse.Namespace, report: Report) -> None:
        self.model, self.kernels = given.root / "models" / given.model, given.root / "kernels"
        kept = given.root / "reference" / given.model
        self.voice = VoicePrompt.load(kept / "voice.npz")
        self.reference = dict(np.load(kept / "reference.npz"))
        self.torch = Figures(**json.loads((kept / "torch.json").read_text()))
        self.given, self.report = given, report

    def backend(self, precision: Any, kernels: bool = True) -> TensorRTBackend:
        """TensorRT, with nothing left to the CPU.

        Raises:
            LookupError: an engine is missing.
        """
        folder = ModelFolder.read(self.model)
        found, store = find_tensorrt(), EngineStore(self.model / ENGINES)
        for name in speaking(folder):
            spared = kernels and name == "t2s_decode"
            if not spared and not store.holds(
                engine_key(folder, name, precision, found), [architecture()]
            ):
                raise LookupError(f"there is no engine of {name} in {precision}")
        drawing = self.kernels if kernels else self.kernels / "none"
        return TensorRTBackend(self.model, precision, kernels=drawing, build_missing=False)

    def fp32(self) -> None:
        """Single precision against PyTorch."""
        self._equal("fp32")

    def fp16(self) -> None:
        """Half precision against PyTorch."""
        self._equal("fp16")

    def sound(self) -> None:
        """Sound of half precision and of 8 bits against PyTorch's; needs no engine of the step."""
        for precision in ("fp16", "int8"):
            self.report.part(f"{precision}: sound", lambda: self._sound(precision))  # noqa: B023

    def _sound(self, precision: str) -> None:
        note = lambda name, value: self.report.note(f"{precision}: {name}", value)  # noqa: E731
        backend = self.backend(precision, kernels=precision != "fp32")
        decoder = VitsDecoder(backend)
        sounds = self.reference["sounds"]
        made = [
            decoder.whole(*utterance_of(backend.model, self.voice, seed)) for seed in range(SPOKEN)
        ]
        errors = [np.abs(a - b).max() / np.abs(a).max() for a, b in zip(sounds, made, strict=True)]
        note("sound, largest error of the largest sample", float(max(errors)))
        distances = [spectral_distance(a, b) for a, b in zip(sounds, made, strict=True)]
        note("sound, spectral distance, dB", float(np.mean(distances)))
        backend.close()

    def _equal(self, precision: str) -> None:
        self._sound(precision)
        note = lambda name, value: self.report.note(f"{precision}: {name}", value)  # noqa: E731
        backend = self.backend(precision, kernels=False)
        logits, _ = record_logits(backend, self.reference["tokens"])
        drift = compare_logits(self.reference["logits"], logits)
        note("likeliest token the same, same history", drift.agreement)
        note("tokens drawn differently at best", drift.variation)
        note("logits, error of their deviation", drift.error)
        tokens = greedy_tokens(backend, GREEDY_SLOTS)
        self._compare(f"{precision}: greedy sentences identical", tokens)
        backend.close()

    def stages(self) -> None:
        """Where the time of 100 tokens' sound goes, each graph waited for."""
        backend, run = self.backend("fp16"), TensorRTSession.run
        times: dict[str, list[float]] = defaultdict(list)
        sessions: dict[Any, None] = {}

        def timed(session: Any, *given: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            made = run(session, *given, **named)
            session._stream.synchronize()
            times[session._graph.name].append(1e3 * (time.perf_counter() - begun))
            sessions[session] = None
            return made

        decoder = VitsDecoder(backend)
        TensorRTSession.run = timed  # type: ignore[method-assign]
        try:
            for _ in range(self.given.runs + 2):
                decoder.whole(*utterance_of(backend.model, self.voice, 1))
        finally:
            TensorRTSession.run = run  # type: ignore[method-assign]
        for name, found in times.items():
            self.report.note(f"fp16: {name}, ms", float(np.median(found[2:])))
        for session in sessions:
            self._host_share(session)
        backend.close()
        noise = _median(lambda: normal_noise(1, backend.model.latent, 0, 200), self.given.runs)
        self.report.note("noise of 200 frames, on the host, ms", noise)

    def _host_share(self, session: PreparedSession) -> None:
        """The engine alone: asked for by the host, and recorded, which leaves the card's share."""
        name, ready = session._graph.name, next(reversed(session._sizes.values()))

        def waited(work: Callable[[], Any]) -> float:
            def both() -> None:
                work()
                session._stream.synchronize()

            return _median(both, 4 * self.given.runs)

        took = waited(lambda: session.execute(ready._context))
        self.report.note(f"fp16: {name}, engine alone, ms", took)
        self.report.note(f"fp16: {name}, recorded, ms", waited(ready.run))

    def lengths(self) -> None:
        """Sentences of every length: the first time at a size, and when all sizes are known."""
        backend = self.backend("fp16")
        vits, random = VitsDecoder(backend), np.random.default_rng(0)
        decoder, held = open_decoder(backend), backend.device.used
        prepared = {
            name: session
            for name, session in backend._sessions.items()
            if isinstance(session, PreparedSession)
        }
        for name, session in prepared.items():
            begun = time.perf_counter()
            session.warm_up()
            took = time.perf_counter() - begun
            self.report.note(f"fp16: warming up {name}, s, sizes, MiB", [took, *_held(session)])
        # From half a second to six: what a home says.
        jobs = [
            (random.integers(0, backend.model.codes, count), random.integers(1, 60, texts))
            for count, texts in zip(
                random.integers(12, 150, 60), random.integers(8, 80, 60), strict=True
            )
        ]
        for turn in ("first time", "again", "once more"):
            times = []
            for tokens, phones in jobs:
                said = Utterance(phones, self.voice, SamplingParams(seed=1))
                begun = time.perf_counter()
                vits.whole(tokens, said)
                times.append(1e3 * (time.perf_counter() - begun))
            each = [100 * took / len(job[0]) for took, job in zip(times, jobs, strict=True)]
            self.report.note(
                f"fp16: SoVITS of 60 lengths, {turn}: median, worst, for 100 tokens, ms",
                [float(np.median(times)), float(max(times)), float(np.median(each))],
            )
        for turn in ("first time", "again"):
            times = []
            for number in range(20):
                given = sentence(backend.model, number)
                count = 30 + 3 * number
                given = replace(
                    given, phone_ids=given.phone_ids[:count], bert=given.bert[:, :count]
                )
                begun = time.perf_counter()
                stream = decoder.admit(given)
                backend._urgent.stream.synchronize()
                times.append(1e3 * (time.perf_counter() - begun))
                decoder.drop(stream)
            self.report.note(
                f"fp16: prefill of 20 lengths, {turn}: median, worst, ms",
                [float(np.median(times)), float(max(times))],
            )
        for name, session in prepared.items():
            self.report.note(f"fp16: {name}, prepared sizes, MiB", _held(session))
        self.report.note("fp16: all of them, MiB", (backend.device.used - held) / 2**20)
        backend.close()

    def drawn(self) -> None:
        """The same for tokens drawn by our kernels."""
        backend = self.backend("fp16")
        decoder = open_decoder(backend, GREEDY_SLOTS)
        self.report.note("fp16: tokens are drawn by", type(decoder).__name__)
        tokens = greedy_tokens(backend, GREEDY_SLOTS, decoder)
        self._compare("fp16 with kernels: greedy sentences identical", tokens)
        backend.close()

    def _compare(self, name: str, tokens: Any) -> None:
        same = (tokens == self.reference["greedy"]).all(axis=1)
        before = (tokens == self.reference["greedy"]).cumprod(axis=1).mean()
        self.report.note(name, f"{same.sum()} of {len(same)}")
        self.report.note(f"{name}, share before a first difference", float(before))

    def product(self) -> None:
        """The column of what a user runs, alone."""
        self._table({PRODUCT: lambda: self.backend("fp16")})

    def table(self) -> None:
        """Columns in turns, beside PyTorch's own of the same minutes on the same card."""
        columns: dict[str, Callable[[], Any]] = {
            PRODUCT: lambda: self.backend("fp16"),
            "TensorRT FP32": lambda: self.backend("fp32", kernels=False),
            "TensorRT FP16, engines alone": lambda: self.backend("fp16", kernels=False),
            "TensorRT INT8, our kernels": lambda: self.backend("int8"),
            "ONNX Runtime CPU": lambda: OnnxRuntimeBackend(self.model, self.given.threads),
        }
        self._table(columns)

    def _table(self, columns: dict[str, Callable[[], Any]]) -> None:
        found = [self.torch]
        # The card's memory is of one column at a time.
        for name, make in columns.items():
            self.report.part(name, lambda: self._column(name, make, found))  # noqa: B023
        self.report.note("markdown", _markdown(self.given.model, found))

    def _column(self, name: str, make: Callable[[], Any], found: list[Figures]) -> None:
        backend = make()
        found += measure({name: backend}, self.given.runs if name.startswith("TensorRT") else 2)
        backend.close()
        self.report.figures["table"] = {each.name: each.summary() for each in found}
        self.report.note(name, json.dumps(found[-1].summary()))

    def first_audio(self) -> None:
        """Wall clock to the first 25 tokens' sound, and to a stream's short first piece."""
        backend = self.backend("fp16")
        decoder, vits = open_decoder(backend), VitsDecoder(backend)

        def opening(tokens: int) -> None:
            _, utterance = utterance_of(backend.model, self.voice, 1)
            stream = decoder.admit(sentence(backend.model, 1))
            while len(stream.tokens) < tokens and not stream.finished:
                decoder.step()
            vits.whole(np.array(stream.tokens[:tokens]), utterance)
            decoder.drop(stream)

        for tokens in (25, 12):
            took = _median(lambda tokens=tokens: opening(tokens), self.given.runs)  # type: ignore[misc]
            self.report.note(f"fp16: sound of {tokens} tokens, wall clock, ms", took)
        speaker = self._speaker(backend)
        for name, streaming in (("whole", None), ("eager", Streaming(eager=True))):
            firsts = [self._first(speaker, number, streaming) for number in range(self.given.runs)]
            self.report.note(f"fp16: first piece, {name}, ms", float(np.median(firsts)))
        backend.close()

    def endurance(self) -> None:
        """Many sentences: memory stays flat; no memory is a typed error, and the next one works."""
        backend = self.backend("fp16")
        speaker, marks = self._speaker(backend), []
        for number in range(self.given.sentences + 1):
            if number % max(self.given.sentences // 10, 1) == 0:
                marks.append((number, _resident(), backend.device.used / 2**20))
            self._first(speaker, number, Streaming(eager=True), to_the_end=True)
            if time.monotonic() - STARTED > self.report.seconds:
                marks.append((number, _resident(), backend.device.used / 2**20))
                break
        self.report.note("soak: sentences, process MiB, card MiB", marks)
        try:
            backend.device.allocate(1 << 45)
            self.report.note("more memory than there is", "was given?")
        except OutOfMemoryError as error:
            self.report.note("more memory than there is", f"{error.code}, sticky {error.sticky}")
        self._first(speaker, 1, None, to_the_end=True)
        self.report.note("the sentence after it", "spoken")
        backend.close()

    def lose(self) -> None:
        """An illegal address must say that the process has to be started anew."""
        from engines.backends.stream_driver import StreamDriver

        backend = self.backend("fp16")
        driver = StreamDriver(backend.device, backend.device.stream(), self.kernels)
        bad = [np.uint64(64)] * 4 + [np.int32(0), np.int32(1), np.int32(0), np.int32(512)]
        try:
            driver.launch("t2s_draw", (1, 1), 256, 0, bad)
            driver.stream.synchronize()
            self.report.note("an illegal address", "was not noticed?")
        except DeviceError as error:
            self.report.note("an illegal address", f"{error.code}, sticky {error.sticky}: {error}")

    def _speaker(self, backend: TensorRTBackend) -> Synthesizer:
        return Synthesizer(backend, BertFeatures(backend, self.model / "none"))

    def _first(
        self, speaker: Synthesizer, number: int, streaming: Any, to_the_end: bool = False
    ) -> float:
        ids = np.random.default_rng(number).integers(1, speaker.model.phones, 3 + number % 5)
        said = PhonemizedText(
            "x", "en", tuple(ids.tolist()), (Run("en", "x", ("AH0",) * len(ids)),)
        )
        begun = time.perf_counter()
        chunks = speaker.speak([said], self.voice, SamplingParams(seed=number), streaming=streaming)
        next(chunks)
        took = 1e3 * (time.perf_counter() - begun)
        if to_the_end:
            for _ in chunks:
                pass
        chunks.close()  # type: ignore[attr-defined]
        return took


def _held(session: PreparedSession) -> list[float]:
    """How many sizes a session is prepared for, and what they took of the card in MiB."""
    sizes = session._sizes.values()
    return [len(sizes), sum(ready.bytes for ready in sizes) / 2**20]


def _median(work: Callable[[], None], runs: int) -> float:
    times = []
    for _ in range(runs + 2):
        begun = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(times[2:]))


def _resident() -> float:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096 / 2**20


def _markdown(model: str, columns: list[Figures]) -> str:
    table = {each.name: each.summary() for each in columns}
    base = table[columns[0].name]["sentence_ms"]
    lines = [f"| {model} | " + " | ".join(table) + " |", "|---" * (1 + len(table)) + "|"]
    for key, label in ROWS.items():
        cells = (f"{row[key]:.2f}" if key in row else "" for row in table.values())
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    ratios = (f"{base / row['sentence_ms']:.1f}×" for row in table.values())
    return "\n".join([*lines, "| against PyTorch eager | " + " | ".join(ratios) + " |"])


def main() -> int:
    """Measure everything that time allows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("model")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS + ASKED)
    given = parser.parse_args()
    measurement = Measurement(given, report := Report(given.json, given.seconds))
    for name in given.parts:
        report.part(name, getattr(measurement, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
