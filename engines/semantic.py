"""The text-to-semantic loop: B slots, each speaking one sentence, one token a step for all.

A sentence enters a free slot at any time (`admit` reads it and draws its first token) while the
others go on; every slot has its own place in the cache and its own sampling, so what a sentence
becomes does not depend on its neighbours. The number of slots never changes while sentences run,
and a free slot computes along without effect: a matrix product of another height may round
differently, and a rounding can turn into another token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from engines.backends import Backend, Feed
from engines.sampling import Floats, SamplingParams, exponential_noise, sample

Tokens = npt.NDArray[np.int64]
Noise = Callable[[int, int], Floats]

CACHE_STEP = 256
"""The cache grows by so many places; between growths its shape stays the same."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What the loop reads.

    Attributes:
        phone_ids: [n], the prompt's and the sentence's.
        bert: float32 [1024, n].
        prompt: semantic tokens of the reference, [P]; empty if its text is not known.
        params: how tokens are drawn; the seed is definite.
        limit: after so many tokens it is ended, if the model's own limit does not come first.
        noise: (step, size) -> exponential noise; by default the seed's own.
    """

    phone_ids: Tokens
    bert: Floats
    prompt: Tokens
    params: SamplingParams
    limit: int | None = None
    noise: Noise | None = None


@dataclass(slots=True)
class Stream:
    """A sentence on its way.

    Attributes:
        sentence: what is spoken.
        tokens: what was drawn so far; the end token is never among them.
        finished: no more tokens will come.
        cut: it finished because it reached a limit, not by itself.
    """

    sentence: Sentence
    tokens: list[int] = field(default_factory=list)
    finished: bool = False
    cut: bool = False


class TokenDecoder(Protocol):
    """Slots that draw tokens, wherever they do it."""

    @property
    def free(self) -> int:
        """Slots that could admit a sentence now."""
        ...

    def admit(self, sentence: Sentence) -> Stream:
        """Read a sentence into a free slot; its first tokens come now or with the next step."""
        ...

    def step(self) -> None:
        """Draw one or a few more tokens for every running stream."""
        ...

    def drop(self, stream: Stream) -> None:
        """Free the slot of a stream that nobody wants any more."""
        ...


@runtime_checkable
class DrawsTokens(Protocol):
    """A backend that may bring a decoder of its own, which keeps tokens on the device."""

    def open_decoder(self, slots: int) -> TokenDecoder | None:
        """Its decoder; nothing where this model or card has none."""
        ...


def open_decoder(backend: Backend, slots: int = 1) -> TokenDecoder:
    """The fastest decoder that a backend has.

    Raises:
        DeviceError: the device failed.
    """
    own = backend.open_decoder(slots) if isinstance(backend, DrawsTokens) else None
    return own or SemanticDecoder(backend, slots)


class SemanticDecoder:
    """Prefill, decode, stop and refill over a fixed number of slots.

    Args:
        backend: runs the graphs `t2s_prefill` and `t2s_decode`.
        slots: how many sentences are spoken side by side.
    """

    def __init__(self, backend: Backend, slots: int = 1) -> None:
        self._model = backend.model
        self._prefill = backend.load("t2s_prefill")
        self._decode = backend.load("t2s_decode")
        self._streams: list[Stream | None] = [None] * slots
        self._token = np.zeros(slots, np.int64)
        self._position = np.zeros(slots, np.int64)
        self._length = np.zeros(slots, np.int64)
        self._capacity = 0
        self._cache: dict[str, Feed] = {}

    @property
    def free(self) -> int:
        """Slots that could admit a sentence now."""
        return self._streams.count(None)

    @property
    def running(self) -> int:
        """Slots that speak."""
        return len(self._streams) - self.free

    def admit(self, sentence: Sentence) -> Stream:
        """Read a sentence into a free slot and draw its first token.

        Raises:
            ValueError: no slot is free.
            DeviceError: the device failed.
        """
        slot = self._streams.index(None)
        length = len(sentence.phone_ids) + len(sentence.prompt)
        self._reserve(length + 1)
        outputs = self._prefill.run(
            {
                "phones": sentence.phone_ids[None],
                "bert": sentence.bert[None],
                "prompt": sentence.prompt[None],
                "slot": np.array([slot], np.int64),
                **self._cache,
            },
            keep=("keys", "values"),
        )
        self._keep(outputs)
        stream = Stream(sentence)
        self._streams[slot] = stream
        self._length[slot] = length
        self._draw(slot, stream, outputs["logits"][0])
        return stream

    def step(self) -> None:
        """Draw one more token for every running stream.

        Raises:
            DeviceError: the device failed.
        """
        self._reserve(int(self._length.max()) + 1)
        outputs = self._decode.run(
            {
                "token": self._token,
                "position": self._position,
                "length": self._length,
                **self._cache,
            },
            keep=("keys", "values"),
        )
        self._keep(outputs)
        for slot, stream in enumerate(self._streams):
            if stream is not None:
                self._length[slot] += 1
                self._draw(slot, stream, outputs["logits"][slot])

    def drop(self, stream: Stream) -> None:
        """Free the slot of a stream that nobody wants any more."""
        for slot, other in enumerate(self._streams):
            if other is stream:
                self._release(slot)
        stream.finished = True

    def _draw(self, slot: int, stream: Stream, logits: Floats) -> None:
        sentence, step = stream.sentence, len(stream.tokens)
        if sentence.noise is None:
            noise = exponential_noise(sentence.params.seed, step, len(logits))
        else:
            noise = sentence.noise(step, len(logits))
        heard = np.concatenate([sentence.prompt, np.array(stream.tokens, np.int64)])
        token, ended = sample(logits, heard, step, sentence.params, noise)
        if not ended:
            stream.tokens.append(token)
            limit = self._model.max_tokens if sentence.limit is None else sentence.limit
            stream.cut = len(stream.tokens) >= min(limit, self._model.max_tokens)
        stream.finished = ended or stream.cut
        if stream.finished:
            self._release(slot)
        else:
            self._token[slot] = token
            self._position[slot] = len(sentence.prompt) + step

    def _release(self, slot: int) -> None:
        self._streams[slot] = None
        self._token[slot] = self._position[slot] = self._length[slot] = 0

    def _keep(self, outputs: dict[str, Any]) -> None:
        self._cache = {"keys": outputs["keys"], "values": outputs["values"]}

    def _reserve(self, places: int) -> None:
        wanted = -(-places // CACHE_STEP) * CACHE_STEP
        if self.running and wanted <= self._capacity:
            return
        model = self._model
        shape = (model.layers, len(self._streams), model.heads, wanted, model.head_size)
        if self.running:
            room = [(0, 0)] * 3 + [(0, wanted - self._capacity), (0, 0)]
            self._cache = {name: np.pad(_host(kept), room) for name, kept in self._cache.items()}
        elif wanted != self._capacity:
            self._cache = {name: np.zeros(shape, np.float32) for name in ("keys", "values")}
        self._capacity = wanted


def speak_in_order(
    decoder: TokenDecoder,
    sentences: Iterable[Sentence],
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Stream]:
    """Speak many sentences side by side, and hand them on in the order given.

    Yields the first sentence that is not done yet after every token, and once more when it is
    finished; then it is the next one's turn.

    Args:
        decoder: with no stream of somebody else.
        sentences: taken one by one as slots become free.
        cancelled: asked between tokens; once true, what runs is dropped and nothing more comes.
    """
    waiting = iter(sentences)
    order: list[Stream] = []
    exhausted = False
    try:
        while not cancelled():
            while not exhausted and decoder.free:
                sentence = next(waiting, None)
                exhausted = sentence is None
                if sentence is not None:
                    order.append(decoder.admit(sentence))
            while order and order[0].finished:
                yield order.pop(0)
            if order:
                yield order[0]
                decoder.step()
            elif exhausted:
                return
    finally:
        for stream in order:
            decoder.drop(stream)


def _host(feed: Feed) -> Floats:
    return feed if isinstance(feed, np.ndarray) else feed.numpy()
