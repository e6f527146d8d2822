"""The original's order of things from sentences to 16-bit audio, for comparing numbers.

Our product (`engines.synthesizer`) differs on purpose: here one decoder call mixes the sentences of
a batch, streamed pieces repeat tokens and end without a cross-fade, and every piece, the last one
too, is followed by silence counted at a fixed rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from engines.audio import join, to_pcm16
from engines.golden.original_loops import Row, Tokens, chunks, mute_similarity, run_rows
from engines.networks.t2s import T2S
from engines.networks.vits import Condition, Vits, crossfade_latent
from engines.sampling import Floats, SamplingParams

MUTE = 486
SILENCE_RATE = 32_000
SAMPLES_PER_TOKEN = 1280
SHORT_CHUNK = 10
FIXED_PENALTY = 1.35

DEFAULTS: dict[str, Any] = {
    "top_k": 15,
    "top_p": 1.0,
    "temperature": 1.0,
    "repetition_penalty": 1.35,
    "batch_size": 1,
    "batch_threshold": 0.75,
    "split_bucket": True,
    "speed_factor": 1.0,
    "fragment_interval": 0.3,
    "parallel_infer": True,
    "return_fragment": False,
    "streaming_mode": False,
    "overlap_length": 2,
    "min_chunk_length": 16,
    "fixed_length_chunk": False,
}
"""The original's request fields that decide the numbers."""


class Randomness(Protocol):
    """Where the original's two kinds of noise come from, in the order it draws them."""

    def exponential(self, shape: tuple[int, int]) -> Floats:
        """For one step of the sampler, rows by tokens."""
        ...

    def normal(self, shape: tuple[int, int, int]) -> Floats:
        """For one call of the decoder."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence as the original's front end hands it over."""

    phones: Tokens
    bert: Floats
    length: int


@dataclass(slots=True)
class Output:
    """What a run gave: 16-bit pieces, and the tokens of every decoder call."""

    pieces: list[npt.NDArray[np.int16]] = field(default_factory=list)
    decoded: list[Tokens] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A model, and a voice in the original's terms.

    Attributes:
        t2s: first stage.
        vits: second stage.
        condition: of the voice.
        early_stop: tokens after which a sentence is ended.
        prompt: the reference's tokens and text; None speaks without them.
    """

    t2s: T2S
    vits: Vits
    condition: Condition
    early_stop: int
    prompt: tuple[Tokens, Text] | None

    def run(self, request: dict[str, Any], texts: Sequence[Text], random: Randomness) -> Output:
        """Speak `texts` as the original would for a request (see `DEFAULTS`)."""
        given = DEFAULTS | {key: value for key, value in request.items() if key in DEFAULTS}
        run = _Run(self, given, random)
        with torch.inference_mode():
            if given["streaming_mode"]:
                for text in texts:
                    run.stream(text)
            else:
                run.batches(texts)
        return run.output


class _Run:
    def __init__(self, pipeline: Pipeline, request: dict[str, Any], random: Randomness) -> None:
        self.pipeline = pipeline
        self.request = request
        self.random = random
        self.speed = float(request["speed_factor"])
        self.params = SamplingParams(
            top_k=request["top_k"],
            top_p=request["top_p"],
            temperature=request["temperature"],
            repetition_penalty=request["repetition_penalty"],
        )
        self.output = Output()

    def batches(self, texts: Sequence[Text]) -> None:
        """Everything but token streaming."""
        size, fragments = self.request["batch_size"], self.request["return_fragment"]
        bucketed = self.request["split_bucket"] and not fragments and self.speed == 1
        threshold = self.request["batch_threshold"]
        groups = buckets(texts, size, threshold) if bucketed else plain_groups(texts, size)
        spoken: dict[int, Floats] = {}
        for group in groups:
            batch = [texts[number] for number in group]
            for number, audio in zip(group, self._decode(batch, self._tokens(batch)), strict=True):
                spoken[number] = audio
            if fragments:
                self._emit([spoken[number] for number in group])
        if not fragments:
            self._emit([spoken[number] for number in range(len(texts))])

    def stream(self, text: Text) -> None:
        """One sentence in chunks of tokens."""
        fixed = self.request["fixed_length_chunk"]
        similarity = None if fixed else mute_similarity(self.pipeline.t2s, MUTE)
        [row] = self._rows([text], self.params)
        voice = _ChunkVoice(self, text)
        for tokens, final in chunks(row, self.request["min_chunk_length"], similarity):
            self._emit([voice.say(tokens, final)], interval=0.0)
        silence = int(SILENCE_RATE * self.request["fragment_interval"])
        self._emit([np.zeros(silence, np.float32)], interval=0.0)

    def decode(self, tokens: Tokens, latent: torch.Tensor) -> Floats:
        """One call of the decoder; `tokens` is what the original handed to it."""
        self.output.decoded.append(tokens)
        frames = latent.shape[2]
        if self.speed != 1:
            frames = int(frames / self.speed) + 1
        inter = self.pipeline.vits.dec.conv_pre.in_channels
        noise = torch.from_numpy(self.random.normal((1, inter, frames)))
        audio = self.pipeline.vits.decode(latent, noise, self.pipeline.condition)
        return np.asarray(audio[0, 0].numpy())

    def latent(self, tokens: Tokens, phones: Tokens) -> torch.Tensor:
        """Latent frames of tokens."""
        codes, ids = torch.from_numpy(tokens)[None], torch.from_numpy(phones)[None]
        return self.pipeline.vits.latent(codes, ids, self.pipeline.condition.text)

    def _rows(self, texts: Sequence[Text], params: SamplingParams) -> list[Row]:
        prompt = self.pipeline.prompt
        items = []
        for text in texts:
            parts = [text] if prompt is None else [prompt[1], text]
            phones = np.concatenate([part.phones for part in parts])
            items.append((phones, np.concatenate([part.bert for part in parts], axis=1)))
        heard = None if prompt is None else prompt[0]
        early_stop, random = self.pipeline.early_stop, self.random
        return run_rows(self.pipeline.t2s, items, heard, params, random.exponential, early_stop)

    def _tokens(self, batch: Sequence[Text]) -> list[Tokens]:
        prompted = self.pipeline.prompt is not None
        if self.request["parallel_infer"] and prompted:
            kept = [row.batched() for row in self._rows(batch, self.params)]
        else:
            # The batched loop without a prompt falls back to this one and forgets the penalty.
            penalty = FIXED_PENALTY if self.request["parallel_infer"] else None
            params = self.params if penalty is None else _with_penalty(self.params, penalty)
            kept = [self._rows([text], params)[0].naive_kept(prompted) for text in batch]
        return [np.array(tokens, np.int64) for tokens in kept]

    def _decode(self, batch: Sequence[Text], tokens: Sequence[Tokens]) -> Iterator[Floats]:
        if self.speed != 1:
            for text, codes in zip(batch, tokens, strict=True):
                yield self.decode(codes, self.latent(codes, text.phones))
            return
        joined = np.concatenate(tokens)
        phones = np.concatenate([text.phones for text in batch])
        audio = self.decode(joined, self.latent(joined, phones))
        start = 0
        for codes in tokens:
            stop = start + SAMPLES_PER_TOKEN * len(codes)
            yield audio[start:stop]
            start = stop

    def _emit(self, parts: Sequence[Floats], interval: float | None = None) -> None:
        seconds = self.request["fragment_interval"] if interval is None else interval
        silence = np.zeros(int(SILENCE_RATE * seconds), np.float32)
        finished = []
        for part in parts:
            peak = float(np.abs(part).max(initial=0.0))
            finished += [part / np.float32(peak) if peak > 1 else part, silence]
        self.output.pieces.append(to_pcm16(np.concatenate(finished)))


class _ChunkVoice:
    """One sentence's streamed chunks: history, overlap and joins as the original has them."""

    def __init__(self, run: _Run, text: Text) -> None:
        self.run = run
        self.text = text
        self.history = np.zeros(0, np.int64)
        self.audio: Floats | None = None
        self.latent: torch.Tensor | None = None
        self.overlap = int(run.request["overlap_length"])
        self.samples = math.ceil(self.overlap * SAMPLES_PER_TOKEN / run.speed)

    def say(self, tokens: Sequence[int], final: bool) -> Floats:
        """What the original gives out for a chunk."""
        before = self.audio
        if not len(tokens) and before is not None:
            return before[-self.samples :]
        audio = self._decode(tokens)
        self.audio = audio
        if before is None:
            return audio if final else audio[: -self.samples]
        if final:
            return audio
        joined = join(before, audio, self.samples)
        return joined[len(before) - self.samples : -self.samples]

    def _decode(self, tokens: Sequence[int]) -> Floats:
        run, overlap = self.run, self.overlap
        self.history = np.concatenate([self.history, np.array(tokens, np.int64)])
        latent = run.latent(self.history, self.text.phones)
        if self.latent is not None:
            overlap += max(0, SHORT_CHUNK - len(tokens))
            kept = latent[:, :, -2 * (len(tokens) + overlap) :]
            latent = crossfade_latent(kept, self.latent[:, :, -2 * overlap :])
        self.latent = latent
        audio = run.decode(self.history, latent)
        if overlap > self.overlap:
            per_token = SAMPLES_PER_TOKEN / run.speed
            audio = audio[-int((self.overlap + len(tokens)) * per_token) :]
        return audio


def plain_groups(texts: Sequence[Text], size: int) -> list[list[int]]:
    """Numbers of the texts in groups, in their order."""
    return [list(range(i, min(i + size, len(texts)))) for i in range(0, len(texts), size)]


def buckets(texts: Sequence[Text], size: int, threshold: float) -> list[list[int]]:
    """Numbers of the texts in groups of similar length."""
    order = sorted(range(len(texts)), key=lambda number: texts[number].length)
    groups = []
    while order:
        group = order[:size]
        while len(group) > 1:
            lengths = np.array([texts[number].length for number in group], np.float32)
            if lengths[len(group) // 2] / (lengths.mean() + 1e-8) >= threshold:
                break
            group = group[:-1]
        groups.append(group)
        order = order[len(group) :]
    return groups


def _with_penalty(params: SamplingParams, penalty: float) -> SamplingParams:
    return SamplingParams(params.top_k, params.top_p, params.temperature, penalty)
