"""The text-to-semantic loop on a GPU: the host looks once every few tokens.

Same slots, streams and tokens as `engines.semantic.SemanticDecoder`, but sampling, the next step's
embedding and the stop flags stay on the device. While the caller turns what came into sound, the
device is already drawing the tokens after that.
"""

from __future__ import annotations

from collections.abc import Callable

from engines.backends.kernels.decode_loop import (
    CUT,
    ENDED,
    FULL,
    MAX_TOKENS,
    DecodeLoop,
    Prefilled,
)
from engines.graphs import ModelFacts
from engines.semantic import Sentence, Stream

AHEAD = 8
"""Tokens between two looks: a third of a second of speech, about a millisecond of drawing."""
CACHE_STEP = 256

Prefill = Callable[[Sentence], Prefilled]


class DeviceSemantic:
    """B slots of a decode loop as streams.

    Args:
        model: facts of the model.
        loop: draws the tokens.
        prefill: reads a sentence on the loop's stream; what it returns must stay until the next
            call.
        ahead: tokens that are drawn between two looks.
        record: makes a callable of work that is done again and again, such as a captured graph.
    """

    def __init__(
        self,
        model: ModelFacts,
        loop: DecodeLoop,
        prefill: Prefill,
        ahead: int = AHEAD,
        record: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
    ) -> None:
        self._model, self._loop, self._prefill = model, loop, prefill
        self._ahead = ahead
        self._record = record
        self._launch: Callable[[], None] | None = None
        self._streams: list[Stream | None] = [None] * loop.slots
        self._under_way = False

    @property
    def free(self) -> int:
        """Slots that could admit a sentence now."""
        return self._streams.count(None)

    @property
    def running(self) -> int:
        """Slots that speak."""
        return len(self._streams) - self.free

    def admit(self, sentence: Sentence) -> Stream:
        """Read a sentence into a free slot; its first token comes with the next `step`.

        Raises:
            ValueError: no slot is free, or the sentence brings noise of its own.
            DeviceError: the device failed.
        """
        slot = self._streams.index(None)
        if sentence.noise is not None:
            raise ValueError("noise: tokens are drawn on the device, with the seed's own noise")
        limit = self._model.max_tokens if sentence.limit is None else sentence.limit
        limit = min(limit, self._model.max_tokens, MAX_TOKENS)
        self._reserve(len(sentence.phone_ids) + len(sentence.prompt) + 1)
        prefilled = self._prefill(sentence)
        self._loop.admit(slot, prefilled, sentence.prompt, sentence.params, limit)
        stream = Stream(sentence)
        self._streams[slot] = stream
        return stream

    def step(self) -> None:
        """Take the tokens that were drawn since the last look, and let more be drawn.

        Raises:
            DeviceError: the device failed.
        """
        if not self._under_way:
            self._draw()
        states = self._loop.states()  # waits for what is under way
        self._under_way = False
        full = False
        for slot, stream in enumerate(self._streams):
            if stream is None:
                continue
            state = states[slot]
            count, known = int(state["count"]), len(stream.tokens)
            if count > known:
                stream.tokens.extend(self._loop.tokens(slot, known, count).tolist())
            stream.cut = bool(state["state"] == CUT)
            stream.finished = stream.cut or bool(state["state"] == ENDED)
            full = full or bool(state["state"] == FULL)
            if stream.finished:
                self._streams[slot] = None
        if full:
            self._reserve(self._loop.capacity + 1)
        if self.running:
            self._draw()

    def drop(self, stream: Stream) -> None:
        """Free the slot of a stream that nobody wants any more."""
        for slot, other in enumerate(self._streams):
            if other is stream:
                self._loop.drop(slot)
                self._streams[slot] = None
        stream.finished = True

    def _draw(self) -> None:
        if self._launch is None:
            work = self._work
            self._launch = work if self._record is None else self._record(work)
        self._launch()
        self._under_way = True

    def _work(self) -> None:
        self._loop.step(self._ahead)

    def _reserve(self, places: int) -> None:
        """Room for so many places in every slot; full slots go on."""
        wanted = -(-places // CACHE_STEP) * CACHE_STEP
        if wanted > self._loop.capacity:
            self._loop.grow(wanted)
            self._launch = None  # a recorded graph knows the old addresses
