"""How fast is a model here? The same job on every backend, in turns, so that all wait alike.

The job of the peers in docs/performance.md: 80 phones and 100 tokens of the reference in, 100
tokens out, which is 4 seconds of speech. Phones and tokens are random: the time is the same.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engines.backends import Backend
from engines.decoders import Utterance, VitsDecoder
from engines.prompt import VoicePrompt
from engines.sampling import SamplingParams
from engines.semantic import Sentence, TokenDecoder, open_decoder

PHONES, PROMPT, TOKENS, FIRST = 40, 100, 100, 25
SECONDS = 4.0
BATCH = 8

PREFILL, STEP, STEP_BATCH = "prefill_ms", "token_ms", "batch_step_ms"
SPEECH, OPENING = "sovits_ms", "sovits_first_ms"

Times = dict[str, list[float]]
Pick = Callable[[Sequence[float]], float]


@dataclass(slots=True)
class Figures:
    """What was measured on one backend; all in milliseconds unless said otherwise.

    Attributes:
        name: of the backend.
        times: every measurement by its kind.
        memory: MiB of the process at its peak, and of the card where there is one.
    """

    name: str
    times: Times = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def summary(
        self, pick: Callable[[Sequence[float]], float] = statistics.median
    ) -> dict[str, Any]:
        """The table's figures from the median (or another pick) of each measurement."""
        one = {name: pick(values) for name, values in self.times.items()}
        sentence = one[PREFILL] + (TOKENS - 1) * one[STEP] + one[SPEECH]
        return {
            "first_audio_ms": one[PREFILL] + (FIRST - 1) * one[STEP] + one[OPENING],
            **{name: one[name] for name in (PREFILL, STEP, STEP_BATCH, SPEECH)},
            "sentence_ms": sentence,
            "rtf": sentence / 1e3 / SECONDS,
            **self.memory,
        }


class Job:
    """The job on one backend.

    Args:
        backend: runs the model.
        batch: sentences side by side in the second measurement of tokens.
    """

    def __init__(self, backend: Backend, batch: int = BATCH) -> None:
        model = backend.model
        random = np.random.default_rng(0)
        style = random.normal(0, 0.3, (1, model.style, 1)).astype(np.float32)
        derived = backend.load("condition").run({"style": style})
        bert = np.zeros((model.bert_width, 2 * PHONES), np.float32)
        prompt = VoicePrompt(
            semantic_tokens=random.integers(0, model.codes, PROMPT),
            phone_ids=random.integers(0, model.phones, PHONES),
            bert=bert[:, :PHONES],
            style=style,
            model=model.identity,
            **derived,
        )
        phones = random.integers(0, model.phones, PHONES)
        heard = np.concatenate([prompt.phone_ids, phones])
        self._utterance = Utterance(phones, prompt, SamplingParams(seed=1))
        self._tokens = random.integers(0, model.codes, TOKENS)
        self._vits = VitsDecoder(backend)
        self._one, self._many = open_decoder(backend), open_decoder(backend, batch)
        self._batch = batch
        self._sentences = [
            Sentence(heard, bert, prompt.semantic_tokens, SamplingParams(seed=seed), TOKENS)
            for seed in range(batch)
        ]

    def run(self, times: Times) -> None:
        """Do it once and note every time."""
        first, token = _draw(self._one, self._sentences[:1])
        _, step = _draw(self._many, self._sentences)
        found = {PREFILL: first, STEP: token, STEP_BATCH: step}
        for name, count in ((SPEECH, TOKENS), (OPENING, FIRST)):
            begun = time.perf_counter()
            self._vits.whole(self._tokens[:count], self._utterance)
            found[name] = 1e3 * (time.perf_counter() - begun)
        for name, value in found.items():
            times.setdefault(name, []).append(value)


def measure(
    backends: dict[str, Backend],
    runs: int,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> list[Figures]:
    """The job on every backend, in turns; the first turn of each only warms it up.

    Raises:
        DeviceError: a device failed.
    """
    jobs = {name: Job(backend) for name, backend in backends.items()}
    figures = {name: Figures(name) for name in jobs}
    total = (runs + 1) * len(jobs)
    done = 0
    for turn in range(runs + 1):
        for name, job in jobs.items():
            progress(done, total, name)
            job.run(figures[name].times if turn else {})
            done += 1
    for name, backend in backends.items():
        device = getattr(backend, "device", None)
        if device is not None:
            figures[name].memory["gpu_mib"] = device.used / 2**20
    return list(figures.values())


def peak_memory() -> float:
    """The most memory that this process has had so far, in MiB."""
    # Not getrusage: its peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if "VmHWM" in line)


def _draw(decoder: TokenDecoder, sentences: list[Sentence]) -> tuple[float, float]:
    """Milliseconds to the first token of the last sentence, and of a further step."""
    begun = time.perf_counter()
    streams = [decoder.admit(sentence) for sentence in sentences]
    while not streams[-1].tokens and not streams[-1].finished:
        decoder.step()
    first = time.perf_counter()
    known = max(len(stream.tokens) for stream in streams)
    while any(not stream.finished for stream in streams):
        decoder.step()
    steps = max(len(stream.tokens) for stream in streams) - known
    spent = time.perf_counter() - first
    return 1e3 * (first - begun), 1e3 * spent / max(steps, 1)
