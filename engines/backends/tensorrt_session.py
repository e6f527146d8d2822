"""One TensorRT engine behind `Session`: feeds go to the card, kept outputs stay there.

Buffers come from a pool and go back to it, so after the first sentences nothing is allocated any
more. A kept tensor that is fed back is replaced by another buffer of the pool: two take turns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from engines.backends import Array, Feed, check_feeds
from engines.backends.cuda_device import CudaDevice, Stream, device_error, failures
from engines.errors import DeviceError
from engines.graphs import GraphSpec

CACHE = ("keys", "values")
_LEAST = 12  # bits: a buffer has at least 4096 bytes


class BufferPool:
    """Device memory that is used again.

    A buffer goes from one user to the next in the order of one stream, so each stream has its own.

    Args:
        device: gives the memory.
        stream: whose work uses it.
    """

    def __init__(self, device: CudaDevice, stream: Stream) -> None:
        self._device, self.stream = device, stream
        self._free: dict[int, list[int]] = defaultdict(list)

    def take(self, size: int) -> int:
        """The address of at least so many bytes, with anything in them.

        Raises:
            OutOfMemoryError: neither the pool nor the card has them.
        """
        rounded = _rounded(size)
        if self._free[rounded]:
            return self._free[rounded].pop()
        try:
            return self._device.allocate(rounded)
        except DeviceError:
            # What lies here in other sizes may be just what is missing.
            if not self.trim():
                raise
            return self._device.allocate(rounded)

    def give(self, pointer: int, size: int) -> None:
        """Take a buffer back; work that was already asked for may still read it."""
        self._free[_rounded(size)].append(pointer)

    def trim(self) -> int:
        """Give everything unused back to the card; returns how many buffers."""
        self.stream.synchronize()
        unused = [pointer for pointers in self._free.values() for pointer in pointers]
        self._free.clear()
        for pointer in unused:
            self._device.free(pointer)
        return len(unused)


class CardTensor:
    """An output that stayed on the card; its buffer goes back when nobody holds it any more."""

    def __init__(self, pool: BufferPool, shape: tuple[int, ...], dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.size = int(np.prod(shape)) * self.dtype.itemsize
        self.pointer = pool.take(self.size)
        self._shape, self._pool = shape, pool

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return self._shape

    def numpy(self) -> Array:
        """A copy in the host's memory."""
        array = np.empty(self._shape, self.dtype)
        self._pool.stream.read(array, self.pointer)
        return array

    def fill(self, array: Array) -> None:
        """Copy an array of the same shape into it."""
        self._pool.stream.write(self.pointer, np.ascontiguousarray(array, self.dtype))

    def __del__(self) -> None:
        if hasattr(self, "_pool"):
            self._pool.give(self.pointer, self.size)


class TensorRTSession:
    """An engine whose inputs and outputs are those of its row.

    Args:
        graph: its row in the table.
        engine: the deserialised engine; held as long as the session.
        module: TensorRT, for the names of its types.
        pool: gives the buffers; everything of this session happens on its stream.
        take_errors: what TensorRT has complained of since the last call.
    """

    def __init__(
        self,
        graph: GraphSpec,
        engine: Any,
        module: Any,
        pool: BufferPool,
        take_errors: Callable[[], list[str]],
    ) -> None:
        self._take_errors = take_errors
        self._graph, self._engine = graph, engine
        self._pool, self._stream = pool, pool.stream
        with failures(f"{graph.name}: making a context"):
            self._context = engine.create_execution_context()
        if self._context is None:
            raise device_error(graph.name, "no execution context: out of memory")
        self._types: dict[str, Any] = {}
        self._inputs: list[str] = []
        self._outputs: list[str] = []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            self._types[name] = np.dtype(module.nptype(engine.get_tensor_dtype(name)))
            is_input = engine.get_tensor_mode(name) == module.TensorIOMode.INPUT
            (self._inputs if is_input else self._outputs).append(name)

    def run(self, feeds: Mapping[str, Feed], keep: Collection[str] = ()) -> dict[str, Any]:
        """See `Session.run`.

        Raises:
            OutOfMemoryError: this request needs more memory than there is.
        """
        check_feeds(self._graph, feeds)
        outputs = self._compute(feeds, keep)
        return {
            tensor.name: outputs[tensor.name]
            if tensor.name in keep
            else outputs[tensor.name].numpy().astype(tensor.dtype, copy=False)
            for tensor in self._graph.outputs
        }

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, CardTensor]:
        return self.enqueue({name: self.upload(name, feeds[name]) for name in self._inputs})

    def upload(self, name: str, feed: Feed) -> CardTensor:
        """A feed on the card, in the type that the engine reads."""
        if isinstance(feed, CardTensor):
            return feed
        array = feed if isinstance(feed, np.ndarray) else feed.numpy()
        tensor = self._tensor(tuple(array.shape), self._types.get(name, array.dtype))
        tensor.fill(array)
        return tensor

    def enqueue(self, inputs: Mapping[str, CardTensor]) -> dict[str, CardTensor]:
        """Let the engine compute on its stream; returns its outputs, which come in time."""
        context = self._context
        for name, tensor in inputs.items():
            if not context.set_input_shape(name, tensor.shape):
                raise ValueError(
                    f"{self._graph.name}: the engine was not built for {name!r} of shape "
                    f"{tensor.shape}"
                )
            context.set_tensor_address(name, tensor.pointer)
        with failures(self._graph.name):
            outputs = {}
            for name in self._outputs:
                shape = tuple(context.get_tensor_shape(name))
                outputs[name] = self._tensor(shape, self._types[name])
                context.set_tensor_address(name, outputs[name].pointer)
            used = (*inputs.values(), *outputs.values())
            self._execute(tuple(tensor.pointer for tensor in used))
        return outputs

    def _execute(self, addresses: tuple[int, ...]) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            said = "; ".join(self._take_errors()) or "TensorRT could not compute it"
            raise device_error(self._graph.name, said)

    def _tensor(self, shape: tuple[int, ...], dtype: Any) -> CardTensor:
        return CardTensor(self._pool, shape, dtype)


class PrefillSession(TensorRTSession):
    """`t2s_prefill`: the engine reads the sentence, its keys and values are put into the slot."""

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, CardTensor]:
        caches = {name: self._own(name, feeds[name], keep) for name in CACHE}
        slot = int(_host(feeds["slot"])[0])
        made = self.read_sentence(feeds)
        for name, cache in caches.items():
            self._place(cache, made[name], slot)
        return {"logits": made["logits"], **caches}

    def read_sentence(self, feeds: Mapping[str, Feed]) -> dict[str, CardTensor]:
        """Logits, and new keys and values (L, 1, H, T, D/H), on the card."""
        return self.enqueue({name: self.upload(name, feeds[name]) for name in self._inputs})

    def _own(self, name: str, feed: Feed, keep: Collection[str]) -> CardTensor:
        if isinstance(feed, CardTensor) and name in keep:
            return feed
        tensor = self._tensor(tuple(feed.shape), np.float32)
        tensor.fill(_host(feed))
        return tensor

    def _place(self, cache: CardTensor, new: CardTensor, slot: int) -> None:
        layers, slots, heads, places, size = cache.shape
        width = size * cache.dtype.itemsize
        length = min(new.shape[3], places)
        for layer in range(layers):
            target = cache.pointer + (layer * slots + slot) * heads * places * width
            source = new.pointer + layer * heads * new.shape[3] * width
            pitches = (places * width, new.shape[3] * width)
            self._stream.clear(target, heads * places * width)
            self._stream.copy(target, source, pitches, length * width, heads)


class DecodeSession(TensorRTSession):
    """`t2s_decode`: a step with two caches that take turns, each turn recorded as a graph."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._small: dict[str, CardTensor] = {}
        self._seen: set[tuple[int, ...]] = set()
        self._recorded: dict[tuple[int, ...], Callable[[], None]] = {}
        self._places = 0
        self._recordable = True

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, CardTensor]:
        inputs = {name: self.upload(name, feeds[name]) for name in CACHE}
        if inputs["keys"].size != self._places:
            # Graphs that were recorded for another length of cache belong to another state.
            self._places = inputs["keys"].size
            self._seen.clear()
            self._recorded.clear()
        for name in self._inputs:
            if name not in CACHE:
                known = self._small.get(name)
                if known is None or known.shape != feeds[name].shape:
                    self._small[name] = self.upload(name, feeds[name])
                else:
                    known.fill(_host(feeds[name]))
                inputs[name] = self._small[name]
        made = self.enqueue(inputs)
        return {"logits": made["logits"], **{name: made[f"new_{name}"] for name in CACHE}}

    def _execute(self, addresses: tuple[int, ...]) -> None:
        if addresses in self._recorded:
            self._recorded[addresses]()
            return
        if addresses not in self._seen or not self._recordable:
            # The first time as it is: TensorRT prepares itself, which cannot be recorded.
            self._seen.add(addresses)
            super()._execute(addresses)
            return
        try:
            launch = self._stream.capture(lambda: super(DecodeSession, self)._execute(addresses))
        except DeviceError as error:
            if error.sticky:
                raise
            self._recordable = False
            super()._execute(addresses)
            return
        self._recorded[addresses] = launch
        launch()


def _host(feed: Feed) -> Array:
    return feed if isinstance(feed, np.ndarray) else feed.numpy()


def _rounded(size: int) -> int:
    """The size of the buffer for so many bytes: of eight to an octave, so that few sizes occur.

    Sentences differ in length; a buffer for each length would fill the card in a day.
    """
    step = 1 << max(_LEAST, size.bit_length() - 4)
    return max(-(-size // step), 1) * step
