"""A converted model on the CPU, run by ONNX Runtime; needs no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from engines.backends import Array, CheckpointFiles, Feed, check_feeds
from engines.errors import BackendUnavailableError, CheckpointError, DeviceError
from engines.graphs import GraphSpec, graphs
from engines.model_folder import ModelFolder
from engines.sampling import drawn_latent

PRIOR = ("mean", "log_deviation", "noise")
CACHE = ("keys", "values")


class HostTensor:
    """An array that a later run may write into."""

    def __init__(self, array: Array) -> None:
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return self.array.shape

    def numpy(self) -> Array:
        """A copy."""
        return self.array.copy()


class OnnxRuntimeSession:
    """A graph whose inputs and outputs are those of its row.

    Args:
        graph: its row in the table.
        session: the loaded file.
    """

    def __init__(self, graph: GraphSpec, session: Any) -> None:
        self._graph = graph
        self._session = session

    def run(self, feeds: Mapping[str, Feed], keep: Collection[str] = ()) -> dict[str, Any]:
        """See `Session.run`."""
        check_feeds(self._graph, feeds)
        outputs = self._compute(feeds, keep)
        return {
            tensor.name: HostTensor(outputs[tensor.name])
            if tensor.name in keep
            else outputs[tensor.name]
            for tensor in self._graph.outputs
        }

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, Array]:
        names = [tensor.name for tensor in self._graph.outputs]
        arrays = {name: host_array(feed) for name, feed in feeds.items()}
        return dict(zip(names, self._call(names, arrays), strict=True))

    def _call(self, outputs: list[str], feeds: dict[str, Array]) -> list[Array]:
        try:
            return self._session.run(outputs, feeds)  # type: ignore[no-any-return]
        except Exception as error:
            # Its errors have no base of their own but Exception.
            raise DeviceError(f"{self._graph.name}: {error}") from error


class PrefillSession(OnnxRuntimeSession):
    """`t2s_prefill`: the graph reads the sentence, its keys and values are put into the slot."""

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, Array]:
        caches = {name: _own(name, feeds[name], keep) for name in CACHE}
        slot = int(host_array(feeds["slot"])[0])
        arrays = {name: host_array(feeds[name]) for name in ("phones", "bert", "prompt")}
        logits, *news = self._call(["logits", *CACHE], arrays)
        for cache, new in zip(caches.values(), news, strict=True):
            places = new.shape[3]
            cache[:, slot, :, :places] = new[:, 0, :, : cache.shape[3]]
            cache[:, slot, :, places:] = 0
        return {"logits": logits, **caches}


class DecodeSession(OnnxRuntimeSession):
    """`t2s_decode`: the cache's memory is input and output at once, so a step writes one place."""

    def __init__(self, graph: GraphSpec, session: Any) -> None:
        super().__init__(graph, session)
        self._bound: tuple[Array, ...] = ()
        self._binding: Any = None

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, Array]:
        caches = {name: _own(name, feeds[name], keep) for name in CACHE}
        logits = self._step(
            {name: host_array(feeds[name]) for name in feeds if name not in CACHE}, caches
        )
        return {"logits": logits, **caches}

    def _step(self, step: dict[str, Array], caches: dict[str, Array]) -> Array:
        try:
            binding = self._bind(caches)
            for name, array in step.items():
                binding.bind_cpu_input(name, np.ascontiguousarray(array))
            binding.bind_output("logits")
            self._session.run_with_iobinding(binding)
            return np.asarray(binding.get_outputs()[0].numpy())
        except Exception as error:
            raise DeviceError(f"{self._graph.name}: {error}") from error

    def _bind(self, caches: dict[str, Array]) -> Any:
        if len(self._bound) == 2 and all(
            old is new for old, new in zip(self._bound, caches.values(), strict=True)
        ):
            return self._binding
        binding = self._session.io_binding()
        binding.bind_output("logits")
        for name, cache in caches.items():
            for layer, part in enumerate(cache):
                place = ("cpu", 0, np.float32, part.shape, part.ctypes.data)
                binding.bind_input(f"{name}_{layer}", *place)
                binding.bind_output(f"new_{name}_{layer}", *place)
        # The arrays are held: their memory is what is bound.
        self._binding, self._bound = binding, tuple(caches.values())
        return binding


class FlowSession(OnnxRuntimeSession):
    """`vits_flow`; models of earlier versions have a graph that begins with the drawn latent."""

    def _call(self, outputs: list[str], feeds: dict[str, Array]) -> list[Array]:
        if any(value.name == "latent" for value in self._session.get_inputs()):
            latent = drawn_latent(*(feeds[name] for name in PRIOR))
            feeds = {"latent": latent, "flow_style": feeds["flow_style"]}
        return super()._call(outputs, feeds)


_SESSIONS = {
    "t2s_prefill": PrefillSession,
    "t2s_decode": DecodeSession,
    "vits_flow": FlowSession,
}


class OnnxRuntimeBackend:
    """A converted model on the CPU.

    Args:
        source: the folder that `engines.export.convert` wrote.
        threads: for the networks; 0 takes one for each core.

    Raises:
        BackendUnavailableError: the source is not a folder.
        CheckpointError: the folder is not a whole model.
    """

    name = "onnxruntime"

    def __init__(self, source: CheckpointFiles | Path, threads: int = 0) -> None:
        if not isinstance(source, Path):
            raise BackendUnavailableError(
                "the onnxruntime backend reads a converted model (`python -m engines convert`), "
                "not checkpoints"
            )
        self._folder = ModelFolder.read(source)
        self.model = self._folder.model
        self._graphs = graphs(self.model)
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.log_severity_level = 3
        # Threads that wait for the next operator longer than it usually takes only steal time from
        # whoever else is at home; not waiting at all costs a fifth of a step (docs/performance.md).
        self._options.add_session_config_entry("session.intra_op.spin_duration_us", "20")

    def load(self, graph: str) -> OnnxRuntimeSession:
        """See `Backend.load`.

        Raises:
            CheckpointError: the model was converted without this graph, or its file is damaged.
        """
        spec = self._graphs[graph]
        if graph not in self._folder.graphs:
            raise CheckpointError(f"{self._folder.root} was converted without the graph {graph!r}")
        file = self._folder.graph_file(graph)
        try:
            session = onnxruntime.InferenceSession(
                file, self._options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise CheckpointError(f"{file} cannot be loaded: {error}") from error
        return _SESSIONS.get(graph, OnnxRuntimeSession)(spec, session)

    def close(self) -> None:
        """Nothing to do: the memory goes with the sessions."""


def host_array(feed: Feed) -> Array:
    """A feed as an array, not copied."""
    return feed.array if isinstance(feed, HostTensor) else np.asarray(feed)


def _own(name: str, feed: Feed, keep: Collection[str]) -> Array:
    """Memory that this run may write into: the kept tensor's own if it is kept again."""
    if isinstance(feed, HostTensor) and name in keep:
        return feed.array
    return np.array(host_array(feed), order="C")
