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

from engines.backends import Array, Feed
from engines.backends.card_memory import CardTensor
from engines.backends.kernels.decode_loop import Prefilled
from engines.backends.tensorrt_session import CACHE, TensorRTSession, host
from engines.errors import DeviceError, OutOfMemoryError
from engines.graphs import PHONES, Axis, TensorSpec
from engines.padding import MARKS, WINDOWS, Sizes, sizes_of, windows

MOST_SIZES, MOST_BYTES = 96, 1 << 28
"""So many sizes one engine stays prepared for, if their inputs and outputs have so many bytes."""


class Prepared:
    """One size of an engine.

    Args:
        session: whose engine it is.
        inputs: at this size; they keep their addresses.
    """

    def __init__(self, session: TensorRTSession, inputs: Mapping[str, CardTensor]) -> None:
        self.inputs = inputs
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


class PreparedSession(TensorRTSession):
    """An engine whose inputs are padded to prepared sizes.

    A graph that says nothing of padding, from a model that an earlier version converted, takes
    every size as it comes.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        marks = MARKS.get(self._graph.name, ())
        self._marks = {tensor.name: tensor for tensor in marks if tensor.name in self._inputs}
        self._rows = {tensor.name: tensor for tensor in self._graph.inputs} | self._marks
        self._sizes: OrderedDict[tuple[tuple[int, ...], ...], Prepared] = OrderedDict()

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, CardTensor]:
        if not self._marks:
            return super()._compute(feeds, keep)
        sizes, made = self._padded(feeds)
        return {
            tensor.name: self._cut(tensor, sizes, made[tensor.name])
            for tensor in self._graph.outputs
        }

    def _padded(self, feeds: Mapping[str, Feed]) -> tuple[Sizes, dict[str, CardTensor]]:
        """Compute with padding; the outputs have it, too, and stay until the next time."""
        sizes = sizes_of(self._graph, {name: feed.shape for name, feed in feeds.items()})
        arrays = {
            name: sizes.marks(self._rows[name])
            if name in self._marks
            else _with_padding(host(feeds[name]), self._rows[name], sizes)
            for name in self._inputs
        }
        return sizes, self._at_size(arrays)

    def _at_size(self, arrays: Mapping[str, Array]) -> dict[str, CardTensor]:
        """Compute at a prepared size."""
        if self._trt.compiles_each_context:
            return self.enqueue({name: self.upload(name, array) for name, array in arrays.items()})
        key = tuple(arrays[name].shape for name in self._inputs)
        ready = self._sizes.get(key)
        if ready is None:
            ready = self._sizes[key] = self._prepare(arrays)
        else:
            self._sizes.move_to_end(key)
            for name, target in ready.inputs.items():
                target.fill(arrays[name])
        ready.run()
        return ready.outputs

    def _prepare(self, arrays: Mapping[str, Array]) -> Prepared:
        """A new size; those that were used longest ago make room for it."""
        held = sum(ready.bytes for ready in self._sizes.values())
        while self._sizes and (len(self._sizes) >= MOST_SIZES or held > MOST_BYTES):
            held -= self._forget().bytes
        while True:
            try:
                return Prepared(
                    self, {name: self.upload(name, arrays[name]) for name in self._inputs}
                )
            except OutOfMemoryError:
                if not self._sizes:
                    raise
            # What lies in other sizes may be just what is missing.
            self._forget()

    def _forget(self) -> Prepared:
        self._stream.synchronize()  # it may still be under way
        return self._sizes.popitem(last=False)[1]

    def _cut(self, tensor: TensorSpec, sizes: Sizes, source: CardTensor) -> CardTensor:
        """The sentence's part of an output whose last axis was padded behind."""
        made = self.tensor(sizes.shape(tensor, padded=False), source.dtype)
        self._copy(made, 0, source, 0, made.shape[-1])
        return made

    def _copy(self, to: CardTensor, at: int, source: CardTensor, first: int, count: int) -> None:
        """Copy `count` numbers of the last axis, within the card."""
        item = to.dtype.itemsize
        rows = int(np.prod(to.shape[:-1]))
        pitches = (to.shape[-1] * item, source.shape[-1] * item)
        places = (to.pointer + at * item, source.pointer + first * item)
        self._stream.copy(*places, pitches, count * item, rows)


class WindowedSession(PreparedSession):
    """`vits_generate`: a latent of any length, heard in windows of prepared sizes."""

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, CardTensor]:
        latent, style = host(feeds["latent"]), host(feeds["voice_style"])
        frames = latent.shape[2]
        heard = windows(frames)
        if heard[0].stop not in WINDOWS:
            return super()._compute(feeds, keep)
        audio = self.tensor((1, self._hop * frames), self._types["audio"])
        for window in heard:
            piece = np.ascontiguousarray(latent[:, :, window.start : window.stop])
            source = self._at_size({"latent": piece, "voice_style": style})["audio"]
            at, first = self._hop * window.first, self._hop * (window.first - window.start)
            self._copy(audio, at, source, first, self._hop * (window.last - window.first))
        return {"audio": audio}

    @property
    def _hop(self) -> int:
        """Samples of a frame: the row has the shortest audio for one frame."""
        samples = self._graph.outputs[0].shape[1]
        assert isinstance(samples, Axis)
        return samples.min


class PrefillSession(PreparedSession):
    """`t2s_prefill`: the engine reads the sentence, its keys and values are put into the slot."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._made: dict[str, CardTensor] = {}  # of the last sentence

    def read_sentence(self, feeds: Mapping[str, Feed]) -> Prefilled:
        """Logits, and new keys and values (L, 1, H, T, D/H); they stay until the next sentence."""
        padding = 0
        if self._marks:
            sizes, made = self._padded(feeds)
            padding = sizes.room[PHONES.name] - sizes.actual[PHONES.name]
        else:
            made = self.enqueue({name: self.upload(name, feeds[name]) for name in self._inputs})
        self._made = made
        *_, room, size = made["keys"].shape
        skipped = padding * size * made["keys"].dtype.itemsize
        keys, values = (made[name].pointer + skipped for name in CACHE)
        return Prefilled(made["logits"].pointer, keys, values, room - padding, room)

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, CardTensor]:
        caches = {name: self._own(name, feeds[name], keep) for name in CACHE}
        slot = int(host(feeds["slot"])[0])
        read = self.read_sentence({name: feeds[name] for name in ("phones", "bert", "prompt")})
        for name, pointer in (("keys", read.keys), ("values", read.values)):
            self._place(caches[name], pointer, read, slot)
        made = self._made["logits"]
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


def _with_padding(array: Array, tensor: TensorSpec, sizes: Sizes) -> Array:
    """An input with noughts before or behind the sentence."""
    shape = sizes.shape(tensor)
    if array.shape == shape:
        return array
    whole = np.zeros(shape, array.dtype)
    whole[sizes.places(tensor)] = array
    return whole
