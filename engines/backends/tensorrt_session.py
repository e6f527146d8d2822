"""One TensorRT engine behind `Session`: feeds go to the card, kept outputs stay there.

A kept tensor that is fed back is replaced by another buffer of the pool: two take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from engines.backends import Array, Feed, check_feeds
from engines.backends.card_memory import BufferPool, CardTensor
from engines.backends.cuda_device import device_error, failures
from engines.backends.tensorrt_module import TensorRT
from engines.errors import DeviceError
from engines.graphs import GraphSpec

CACHE = ("keys", "values")


class TensorRTSession:
    """An engine whose inputs and outputs are those of its row.

    Args:
        graph: its row in the table.
        engine: the deserialised engine; held as long as the session.
        trt: makes contexts and knows the names of types.
        pool: gives the buffers; everything of this session happens on its stream.
        take_errors: what TensorRT has complained of since the last call.
    """

    def __init__(
        self,
        graph: GraphSpec,
        engine: Any,
        trt: TensorRT,
        pool: BufferPool,
        take_errors: Callable[[], list[str]],
    ) -> None:
        self._take_errors = take_errors
        self._graph, self._engine, self._trt = graph, engine, trt
        self._pool, self._stream = pool, pool.stream
        # What an engine needs while it computes; its contexts do so one after the other.
        size = trt.workspace_size(engine)
        self._workspace = CardTensor(pool, (max(size, 1),), np.uint8)
        self._context = self.new_context()
        self._types: dict[str, Any] = {}
        self._inputs: list[str] = []
        self._outputs: list[str] = []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            self._types[name] = np.dtype(trt.module.nptype(engine.get_tensor_dtype(name)))
            is_input = engine.get_tensor_mode(name) == trt.module.TensorIOMode.INPUT
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
        array = host(feed)
        tensor = self.tensor(tuple(array.shape), self._types.get(name, array.dtype))
        tensor.fill(array)
        return tensor

    def enqueue(self, inputs: Mapping[str, CardTensor]) -> dict[str, CardTensor]:
        """Let the engine compute on its stream; returns its outputs, which come in time."""
        outputs = self.place(self._context, inputs)
        used = (*inputs.values(), *outputs.values())
        self._execute(tuple(tensor.pointer for tensor in used))
        return outputs

    def place(self, context: Any, inputs: Mapping[str, CardTensor]) -> dict[str, CardTensor]:
        """Tell a context where its inputs lie; returns its outputs, which have memory now.

        Raises:
            ValueError: the engine was not built for a shape (named).
        """
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
                outputs[name] = self.tensor(shape, self._types[name])
                context.set_tensor_address(name, outputs[name].pointer)
        return outputs

    @property
    def used(self) -> int:
        """Bytes of the card that are in use, by everybody."""
        return self._stream.device.used

    def new_context(self) -> Any:
        """An execution context, in the memory that all of this session share."""
        with failures(f"{self._graph.name}: making a context"):
            context = self._trt.context(self._engine, self._workspace.pointer)
        if context is None:
            raise device_error(self._graph.name, "no execution context: out of memory")
        return context

    def execute(self, context: Any) -> None:
        """Let a context compute.

        Raises:
            DeviceError: TensorRT could not begin.
        """
        with failures(self._graph.name):
            begun = context.execute_async_v3(self._stream.handle)
        if not begun:
            said = "; ".join(self._take_errors()) or "TensorRT could not compute it"
            raise device_error(self._graph.name, said)

    def record(self, context: Any) -> Callable[[], None]:
        """What launches a context's work again, with the shapes and addresses of now.

        Raises:
            DeviceError: something in it cannot be recorded.
        """
        return self._stream.capture(lambda: self.execute(context))

    def tensor(self, shape: tuple[int, ...], dtype: Any) -> CardTensor:
        """A tensor with anything in it."""
        return CardTensor(self._pool, shape, dtype)

    def _execute(self, addresses: tuple[int, ...]) -> None:
        self.execute(self._context)


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
            self._stream.synchronize()
            self._recorded.clear()
        for name in self._inputs:
            if name not in CACHE:
                known = self._small.get(name)
                if known is None or known.shape != feeds[name].shape:
                    self._small[name] = self.upload(name, feeds[name])
                else:
                    known.fill(host(feeds[name]))
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


def host(feed: Feed) -> Array:
    """A feed in the host's memory."""
    return feed if isinstance(feed, np.ndarray) else feed.numpy()
