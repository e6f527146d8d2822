"""Sessions that compute at a few prepared sizes, each recorded as a graph of the card's work.

A context that changes its shapes costs TensorRT milliseconds on the host, and so does asking it for
every layer. Here each size (`engines.padding`) has a context of its own, inputs and outputs at
addresses of their own, and its work recorded after the first time; all share one workspace, since
they follow each other on one stream.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from engines.backends import Feed
from engines.backends.card_memory import CardTensor
from engines.backends.kernels.decode_loop import Prefilled
from engines.backends.tensorrt_session import CACHE, TensorRTSession, host
from engines.errors import DeviceError, OutOfMemoryError
from engines.graphs import Axis, TensorSpec
from engines.padding import (
    MASKS,
    PLACES,
    USUAL,
    WINDOWS,
    Sizes,
    joined,
    padded,
    prepared_size,
    sizes_of,
    windows,
)

MOST_SIZES, MOST_BYTES = 96, 3 << 28
"""So many sizes one engine stays prepared for, if they take no more than so many bytes.

A context of an engine with attention has a copy of its weights: a dozen of a prefill's are 2 GB.
"""

Fill = Callable[[str, CardTensor], None]
"""Writes an input (named) of a prepared size."""


class Prepared:
    """One size of an engine.

    Args:
        session: whose engine it is.
        inputs: at this size; they keep their addresses.
    """

    def __init__(self, session: TensorRTSession, inputs: Mapping[str, CardTensor]) -> None:
        self.inputs = inputs
        self._before = session.used
        self._session, self._context = session, session.new_context()
        self.outputs = session.place(self._context, inputs)
        self.bytes = sum(tensor.size for tensor in (*inputs.values(), *self.outputs.values()))
        self._launch: Callable[[], None] | None = None
        self._recordable = True

    def run(self) -> None:
        """Compute from what lies in the inputs."""
        if self._launch is not None:
            self._launch()
            return
        # The first time as it is: TensorRT prepares itself, which cannot be recorded.
        self._session.execute(self._context)
        if self._recordable:
            self._recordable = False
            try:
                self._launch = self._session.record(self._context)
            except DeviceError as error:
                if error.sticky:
                    raise
            # TensorRT does not tell what a context takes; the pool may have had the rest.
            self.bytes = max(self.bytes, self._session.used - self._before)


class PreparedSession(TensorRTSession):
    """An engine whose inputs are padded, behind the sentence, to prepared sizes."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._rows = {tensor.name: tensor for tensor in padded(self._graph).inputs}
        self._masks = {mask.name: mask for mask in MASKS.get(self._graph.name, ())}
        self._sizes: OrderedDict[tuple[tuple[int, ...], ...], Prepared] = OrderedDict()

    def warm_up(self) -> None:
        """Make the sizes ready that are asked for most.

        Raises:
            OutOfMemoryError: the card has no room for them.
        """
        if self._trt.compiles_each_context:
            return  # one context takes all sizes there
        for sizes in USUAL[self._graph.name]:
            shapes = {
                name: tuple(
                    sizes[each.name] if isinstance(each, Axis) else each for each in row.shape
                )
                for name, row in self._rows.items()
            }
            self._at_size(shapes, lambda _, target: self._stream.clear(target.pointer, target.size))

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, CardTensor]:
        sizes = sizes_of(self._graph, {name: feed.shape for name, feed in feeds.items()})

        def fill(name: str, target: CardTensor) -> None:
            if name in self._masks:
                target.fill(sizes.mask(self._masks[name]))
            else:
                self._pad(target, feeds[name])

        made = self._at_size({name: sizes.shape(self._rows[name]) for name in self._inputs}, fill)
        return {
            tensor.name: self._cut(tensor, sizes, made[tensor.name])
            for tensor in self._graph.outputs
        }

    def _at_size(self, shapes: Mapping[str, tuple[int, ...]], fill: Fill) -> dict[str, CardTensor]:
        """Compute at a prepared size; the outputs stay until the next time."""
        if self._trt.compiles_each_context:
            inputs = self._made(shapes)
            for name, target in inputs.items():
                fill(name, target)
            return self.enqueue(inputs)
        key = tuple(shapes[name] for name in self._inputs)
        ready = self._sizes.get(key)
        if ready is None:
            ready = self._sizes[key] = self._prepare(shapes)
        self._sizes.move_to_end(key)
        for name, target in ready.inputs.items():
            fill(name, target)
        ready.run()
        return ready.outputs

    def _made(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, CardTensor]:
        return {name: self.tensor(shapes[name], self._types[name]) for name in self._inputs}

    def _prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> Prepared:
        """A new size; those that were used longest ago make room for it."""
        held = sum(ready.bytes for ready in self._sizes.values())
        while self._sizes and (len(self._sizes) >= MOST_SIZES or held > MOST_BYTES):
            held -= self._forget().bytes
        while True:
            try:
                return Prepared(self, self._made(shapes))
            except OutOfMemoryError:
                if not self._sizes:
                    raise
            # What lies in other sizes may be just what is missing.
            self._forget()

    def _forget(self) -> Prepared:
        self._stream.synchronize()  # it may still be under way
        return self._sizes.popitem(last=False)[1]

    def _pad(self, target: CardTensor, feed: Feed) -> None:
        """Fill an input, noughts behind the sentence."""
        if not isinstance(feed, CardTensor):
            array = host(feed)
            if array.shape != target.shape:
                whole = np.zeros(target.shape, array.dtype)
                whole[tuple(slice(size) for size in array.shape)] = array
                array = whole
            target.fill(array)
            return
        if feed.shape != target.shape:
            self._stream.clear(target.pointer, target.size)
        self._copy(target, 0, feed, 0, feed.shape[-1])

    def _cut(self, tensor: TensorSpec, sizes: Sizes, source: CardTensor) -> CardTensor:
        """The sentence's part of an output."""
        made = self.tensor(sizes.shape(tensor, padded=False), source.dtype)
        self._copy(made, 0, source, 0, made.shape[-1])
        return made

    def _copy(self, to: CardTensor, at: int, source: CardTensor, first: int, count: int) -> None:
        """Copy `count` numbers of the last axis of every row, within the card."""
        item = to.dtype.itemsize
        pitches = (to.shape[-1] * item, source.shape[-1] * item)
        places = (to.pointer + at * item, source.pointer + first * item)
        self._stream.copy(*places, pitches, count * item, int(np.prod(to.shape[:-1])))


class WindowedSession(PreparedSession):
    """`vits_generate`: a latent of any length, heard in windows of prepared sizes."""

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, CardTensor]:
        latent, style = feeds["latent"], host(feeds["voice_style"])
        frames = latent.shape[2]
        heard = windows(frames)
        if heard[0].stop not in WINDOWS:
            return self.enqueue({name: self.upload(name, feeds[name]) for name in self._inputs})
        samples = self._graph.outputs[0].shape[1]
        assert isinstance(samples, Axis)
        hop = samples.min  # the shortest audio is that of one frame
        audio = self.tensor((1, hop * frames), self._types["audio"])
        latent = latent if isinstance(latent, CardTensor) else self.upload("latent", latent)
        for window in heard:
            size = window.stop - window.start

            def fill(name: str, target: CardTensor, window: Any = window) -> None:
                if name == "latent":
                    self._copy(target, 0, latent, window.start, target.shape[2])
                else:
                    target.fill(style)

            shapes = {"latent": (*latent.shape[:2], size), "voice_style": style.shape}
            source = self._at_size(shapes, fill)["audio"]
            first, count = window.first - window.start, window.last - window.first
            self._copy(audio, hop * window.first, source, hop * first, hop * count)
        return {"audio": audio}


class PrefillSession(PreparedSession):
    """`t2s_prefill`: the engine reads the sentence, its keys and values are put into the slot."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._last: dict[str, CardTensor] = {}

    def read_sentence(self, feeds: Mapping[str, Feed]) -> Prefilled:
        """Logits, and new keys and values (L, 1, H, T, D/H); they stay until the next sentence.

        Args:
            feeds: phones, bert and prompt.
        """
        count = feeds["phones"].shape[1] + feeds["prompt"].shape[1]
        room = prepared_size(PLACES, count)
        row = joined({name: host(feed) for name, feed in feeds.items()}, room)
        shapes = {name: array.shape for name, array in row.items()}
        self._last = self._at_size(shapes, lambda name, target: target.fill(row[name]))
        keys, values = (self._last[name] for name in CACHE)
        # Padding is in front.
        skipped = (room - count) * keys.shape[4] * keys.dtype.itemsize
        logits = self._last["logits"].pointer
        return Prefilled(logits, keys.pointer + skipped, values.pointer + skipped, count, room)

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, CardTensor]:
        caches = {name: self._own(name, feeds[name], keep) for name in CACHE}
        slot = int(host(feeds["slot"])[0])
        read = self.read_sentence({name: feeds[name] for name in ("phones", "bert", "prompt")})
        for name, pointer in (("keys", read.keys), ("values", read.values)):
            self._place(caches[name], pointer, read, slot)
        made = self._last["logits"]
        logits = self.tensor(made.shape, made.dtype)
        self._copy(logits, 0, made, 0, made.shape[-1])
        return {"logits": logits, **caches}

    def _own(self, name: str, feed: Feed, keep: Collection[str]) -> CardTensor:
        if isinstance(feed, CardTensor) and name in keep:
            return feed
        tensor = self.tensor(tuple(feed.shape), np.float32)
        tensor.fill(host(feed))
        return tensor

    def _place(self, cache: CardTensor, new: int, read: Prefilled, slot: int) -> None:
        layers, slots, heads, places, size = cache.shape
        width = size * cache.dtype.itemsize
        length = min(read.length, places)
        for layer in range(layers):
            target = cache.pointer + (layer * slots + slot) * heads * places * width
            source = new + layer * heads * read.room * width
            pitches = (places * width, read.room * width)
            self._stream.clear(target, heads * places * width)
            self._stream.copy(target, source, pitches, length * width, heads)
