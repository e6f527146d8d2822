"""SoVITS: semantic tokens in, samples out, whole or in pieces.

A sentence can be decoded in three ways:

- `VitsDecoder.whole`: all at once, the original's numbers.
- `VitsDecoder.pieces`: the same numbers, handed over piece by piece. The generator only sees a few
  latent frames to each side of a sample, so a piece with that much context is exact.
- `EagerSpeech`: pieces while tokens still come. The encoder looks at the whole sentence in both
  directions, so what it says about a frame still changes a little as tokens arrive; the pieces
  overlap in time and are cross-faded, the last one too. All are cut from the same clock and the
  same noise, so no search for a fitting place is needed and the length is that of the whole.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.backends import Backend, DeviceTensor, Feed
from engines.graphs import FRAMES_PER_TOKEN, GENERATOR_CONTEXT, HEARD
from engines.padding import WINDOWS
from engines.prompt import VoicePrompt
from engines.sampling import Floats, SamplingParams, normal_noise

Tokens = npt.NDArray[np.int64]
Places = npt.NDArray[np.float64]

FLOW_CONTEXT = 32
"""What `GENERATOR_CONTEXT` is, for the flow: four couplings of four convolutions of two frames."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is decoded: the sentence's own phones, the voice, and how.

    Attributes:
        phone_ids: [n], without the prompt's.
        prompt: the voice.
        params: speed, and a definite seed.
        noise: standard normal [1, C, frames] in place of the seed's own, for a whole sentence.
    """

    phone_ids: Tokens
    prompt: VoicePrompt
    params: SamplingParams
    noise: Floats | None = None


@dataclass(frozen=True, slots=True)
class Streaming:
    """How a sentence is cut into pieces.

    Attributes:
        chunk_tokens: tokens of a piece; there are 25 in a second.
        first_tokens: tokens of the first piece, if that is fewer: it is what a listener waits for,
            and half a second of sound is enough for the next to be made meanwhile.
        eager: begin before the sentence's last token is drawn. The first sound comes sooner, and
            each piece is decoded from what is known by then; otherwise the pieces are exactly
            the sentence's audio.
        overlap_tokens: length of the cross-fade between eager pieces.
        lookahead_tokens: tokens that must be known beyond an eager piece.
    """

    chunk_tokens: int = 24
    eager: bool = False
    overlap_tokens: int = 2
    lookahead_tokens: int = 3
    first_tokens: int = 12

    def __post_init__(self) -> None:
        least = min(self.chunk_tokens, self.first_tokens, self.overlap_tokens)
        if least < 1 or self.lookahead_tokens < 0:
            raise ValueError(
                "chunk_tokens, first_tokens and overlap_tokens must be at least 1, lookahead 0"
            )

    def tokens_after(self, spoken: int) -> int:
        """Tokens of the piece that follows after so many."""
        return self.chunk_tokens if spoken else min(self.first_tokens, self.chunk_tokens)


class VitsDecoder:
    """The second stage of a model.

    Args:
        backend: runs the graphs `vits_encode`, `vits_flow` and `vits_generate`.
    """

    def __init__(self, backend: Backend) -> None:
        self.model = backend.model
        self._encode = backend.load("vits_encode")
        self._flow = backend.load("vits_flow")
        self._generate = backend.load("vits_generate")

    def whole(self, tokens: Tokens, utterance: Utterance) -> Floats:
        """Samples of a finished sentence, float32 [samples]."""
        latent = self._whole_latent(tokens, utterance)
        frames = latent.shape[2]
        if frames <= HEARD.max:
            return self._samples(latent, utterance)
        step = HEARD.max - 2 * GENERATOR_CONTEXT
        cuts = itertools.pairwise([*range(0, frames, step), frames])
        array = latent.numpy()
        parts = [self.part(array, 0, start, stop, utterance) for start, stop in cuts]
        return np.concatenate(parts)

    def pieces(
        self, tokens: Tokens, utterance: Utterance, streaming: Streaming
    ) -> Iterator[Floats]:
        """The same samples, a few tokens at a time."""
        latent = self._whole_latent(tokens, utterance).numpy()
        frames, start = latent.shape[2], 0
        while start < frames:
            stop = min(frames, start + streaming.tokens_after(start) * FRAMES_PER_TOKEN)
            yield self.part(latent, 0, start, stop, utterance)
            start = stop

    def statistics(self, tokens: Tokens, utterance: Utterance) -> tuple[DeviceTensor, DeviceTensor]:
        """Mean and log deviation of the prior, each [1, C, 2 frames a token], while they come."""
        feeds: dict[str, Feed] = {
            "codes": tokens[None],
            "phones": utterance.phone_ids[None],
            "text_style": utterance.prompt.text_style,
        }
        outputs = self._encode.run(feeds, keep=("mean", "log_deviation"))
        return outputs["mean"], outputs["log_deviation"]

    def latent(
        self, mean: Feed, log_deviation: Feed, noise: Floats, voice: VoicePrompt
    ) -> DeviceTensor:
        """What the generator hears, [1, C, T], from a prior and noise of the same shape."""
        feeds: dict[str, Feed] = {
            "mean": mean,
            "log_deviation": log_deviation,
            "noise": noise,
            "flow_style": voice.flow_style,
        }
        return self._flow.run(feeds, keep=("flowed",))["flowed"]  # type: ignore[no-any-return]

    def part(
        self, latent: Floats, first: int, start: int, stop: int, utterance: Utterance
    ) -> Floats:
        """Samples of the frames `start` to `stop` of a latent whose first frame is `first`."""
        end = first + latent.shape[2]
        low, high = max(first, start - GENERATOR_CONTEXT), min(end, stop + GENERATOR_CONTEXT)
        prepared = next((size for size in WINDOWS if size >= high - low), high - low)
        if prepared <= latent.shape[2]:
            # More context changes nothing, and a card is fastest at these sizes.
            high = min(end, low + prepared)
            low = high - prepared
        heard = np.ascontiguousarray(latent[:, :, low - first : high - first])
        samples = self._samples(heard, utterance)
        return samples[(start - low) * self.model.hop : (stop - low) * self.model.hop]

    def _whole_latent(self, tokens: Tokens, utterance: Utterance) -> DeviceTensor:
        mean, deviation = self.statistics(tokens, utterance)
        frames = stretched_frames(mean.shape[2], utterance.params.speed)
        places: Places = (np.arange(frames, dtype=np.float64) + 0.5) * (
            mean.shape[2] / frames
        ) - 0.5
        noise = utterance.noise
        if noise is None:
            # Drawn while the device is still at the prior.
            noise = normal_noise(utterance.params.seed, self.model.latent, 0, frames)
        return self.latent(
            stretched(mean, places), stretched(deviation, places), noise, utterance.prompt
        )

    def _samples(self, latent: Feed, utterance: Utterance) -> Floats:
        feeds: dict[str, Feed] = {"latent": latent, "voice_style": utterance.prompt.voice_style}
        return np.asarray(self._generate.run(feeds)["audio"][0])


class EagerSpeech:
    """One sentence, spoken while its tokens still come.

    Args:
        decoder: the second stage.
        utterance: what is said.
        streaming: how it is cut.
    """

    def __init__(self, decoder: VitsDecoder, utterance: Utterance, streaming: Streaming) -> None:
        self._decoder = decoder
        self._utterance = utterance
        self._streaming = streaming
        self._tokens = 0  # known at the last piece
        self._spoken = 0  # frames that have left
        self._tail = np.zeros(0, np.float32)  # the frames after them, as they sounded then

    def push(self, tokens: list[int], finished: bool) -> Floats:
        """Samples that can be spoken now that these tokens of the sentence are known.

        Args:
            tokens: all so far.
            finished: these are all.

        Returns:
            float32 [samples]; empty while there are too few new tokens for a piece.
        """
        cut = self._streaming
        reach = 0 if finished else cut.lookahead_tokens + cut.overlap_tokens
        if not finished and len(tokens) - reach < self._tokens + cut.tokens_after(self._tokens):
            return np.zeros(0, np.float32)
        self._tokens = len(tokens) - reach
        return self._piece(np.array(tokens, np.int64), finished)

    def _piece(self, tokens: Tokens, finished: bool) -> Floats:
        speed, cut = self._utterance.params.speed, self._streaming
        mean, deviation = self._decoder.statistics(tokens, self._utterance)
        if finished:
            known = end = stop = stretched_frames(mean.shape[2], speed)
        else:
            known = int(mean.shape[2] / speed)
            end = known - math.ceil(cut.lookahead_tokens * FRAMES_PER_TOKEN / speed)
            stop = end - math.ceil(cut.overlap_tokens * FRAMES_PER_TOKEN / speed)
        start = self._spoken
        first = max(0, start - GENERATOR_CONTEXT - FLOW_CONTEXT)
        # Steps of exactly `speed`: the whole sentence's length is not known yet.
        places: Places = (np.arange(first, known, dtype=np.float64) + 0.5) * speed - 0.5
        noise = normal_noise(self._utterance.params.seed, self._decoder.model.latent, first, known)
        latent = self._decoder.latent(
            stretched(mean, places), stretched(deviation, places), noise, self._utterance.prompt
        ).numpy()
        samples = crossfade(
            self._tail, self._decoder.part(latent, first, start, end, self._utterance)
        )
        ready = (stop - start) * self._decoder.model.hop
        self._spoken, self._tail = stop, samples[ready:]
        return samples[:ready]


def stretched_frames(frames: int, speed: float) -> int:
    """How many latent frames a sentence has at a speed."""
    return frames if speed == 1 else int(frames / speed) + 1


def stretched(values: DeviceTensor, places: Places) -> Feed:
    """The same as `stretch`, left on its device at normal speed from the beginning."""
    last = values.shape[2] - 1
    if len(places) == last + 1 > 0 and places[0] == 0 and places[-1] == last:
        return values
    return stretch(values.numpy(), places)


def stretch(values: Floats, places: Places) -> Floats:
    """Linear interpolation of [1, C, T] at fractional places in time, held at both ends."""
    last = values.shape[2] - 1
    places = np.clip(places, 0, last)
    left = np.minimum(places.astype(np.int64), last)
    right = np.minimum(left + 1, last)
    weight = (places - left).astype(np.float32)
    return np.asarray(values[:, :, left] * (1 - weight) + values[:, :, right] * weight, np.float32)


def crossfade(old: Floats, new: Floats) -> Floats:
    """Fade from `old` into the beginning of `new`, both being the same moment's samples."""
    length = min(len(old), len(new))
    fade = np.sin(np.pi / 2 * (np.arange(length) + 0.5) / max(length, 1)).astype(np.float32) ** 2
    faded = new.copy()
    faded[:length] = new[:length] * fade + old[:length] * (1 - fade)
    return faded
