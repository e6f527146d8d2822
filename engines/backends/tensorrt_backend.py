"""A converted model on an NVIDIA card: networks by TensorRT, tokens by kernels of our own.

Networks that run once for a voice stay on the CPU (ONNX Runtime), so that a voice is the same
whatever speaks it. So does a network whose engine is missing: the model speaks, if more slowly.
Tokens are drawn on a stream that goes first; SoVITS has its own, and sounds while tokens come.
"""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engines.backends import CheckpointFiles, Session
from engines.backends.card_memory import BufferPool
from engines.backends.cuda_device import CudaDevice, load_cuda
from engines.backends.kernels.compiling import COMPILED
from engines.backends.kernels.decode_loop import DecodeLoop, Prefilled
from engines.backends.kernels.graph_weights import official_weights
from engines.backends.kernels.packing import PackedT2S, pack
from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
from engines.backends.prepared_session import PrefillSession, PreparedSession, WindowedSession
from engines.backends.stream_driver import StreamDriver
from engines.backends.tensorrt_module import TensorRT, find_tensorrt
from engines.backends.tensorrt_session import DecodeSession, TensorRTSession
from engines.build import ENGINES, EnginePrecision, Watch, build, engine_key
from engines.device_semantic import CACHE_STEP, DeviceSemantic
from engines.engine_store import EngineKey, EngineStore
from engines.errors import BackendUnavailableError, CheckpointError
from engines.graphs import graphs
from engines.model_folder import PLAIN_STEP, ModelFolder
from engines.progress import ProgressBar
from engines.semantic import Sentence

_LOG = logging.getLogger(__name__)
_SESSIONS: dict[str, type[TensorRTSession]] = {
    "t2s_prefill": PrefillSession,
    "t2s_decode": DecodeSession,
    "vits_encode": PreparedSession,
    "vits_flow": PreparedSession,
    "vits_generate": WindowedSession,
}
_TOKENS = frozenset({"t2s_prefill", "t2s_decode"})
DECODE_SLOTS = 8


class TensorRTBackend:
    """A converted model on the GPU; for the thread that opened it.

    Args:
        source: the folder that `engines.export.convert` wrote, in float32.
        precision: of the engines.
        engines: where they lie, by default in the model's folder.
        kernels: where the compiled decode kernels lie.
        trt: the TensorRT to use, by default the one that is installed.
        cuda: pycuda's and cuda-bindings' driver interfaces, by default the installed ones.
        build_missing: build engines that are not there, which takes minutes; else their networks
            run on the CPU.

    Raises:
        BackendUnavailableError: TensorRT, pycuda or the card is missing, or the source is not a
            folder.
        CheckpointError: the folder is not a whole model.
        ConvertError: an earlier version converted it, or for the CPU alone.
        DeviceError: the card cannot be opened.
    """

    name = "tensorrt"

    def __init__(
        self,
        source: CheckpointFiles | Path,
        precision: EnginePrecision = "fp16",
        engines: Path | None = None,
        kernels: Path = COMPILED,
        trt: TensorRT | None = None,
        cuda: tuple[Any, Any] | None = None,
        build_missing: bool = True,
    ) -> None:
        if not isinstance(source, Path):
            raise BackendUnavailableError(
                "the tensorrt backend reads a converted model (`python -m engines convert`), "
                "not checkpoints"
            )
        self._folder = ModelFolder.read(source)
        self._folder.check_for_cards()
        self.model = self._folder.model
        self._graphs = graphs(self.model)
        self._trt = trt or find_tensorrt()
        self._precision = precision
        self._store = EngineStore(engines or source / ENGINES)
        self._kernels = kernels
        self._build_missing = build_missing
        self.device = CudaDevice(cuda or load_cuda())
        self._urgent = BufferPool(self.device, self.device.stream(urgent=True))
        self._usual = BufferPool(self.device, self.device.stream())
        self._logger = self._trt.logger()
        self._runtime = self._trt.module.Runtime(self._logger)
        self._engines: dict[str, Any] = {}
        self._sessions: dict[str, TensorRTSession] = {}

    def load(self, graph: str) -> Session:
        """See `Backend.load`.

        Raises:
            CheckpointError: the model was converted without this graph, or a file is damaged.
            DeviceError: the card failed.
        """
        spec = self._graphs[graph]
        if graph not in self._folder.graphs:
            raise CheckpointError(f"{self._folder.root} was converted without the graph {graph!r}")
        # The two that share a cache run on the same side.
        needed = _TOKENS if graph in _TOKENS else {graph}
        if spec.stage == "enrol" or any(self._engine(name) is None for name in sorted(needed)):
            return self._cpu.load(graph)
        return self._session(graph)

    def open_decoder(self, slots: int) -> DeviceSemantic | None:
        """See `semantic.DrawsTokens`.

        Nothing without compiled kernels, for another model size, or in fp32: the kernels read
        float16.

        Raises:
            DeviceError: the card failed.
        """
        if self._precision == "fp32":
            return None
        packed = self._packed()
        if packed is None or self._engine("t2s_prefill") is None:
            return None
        prefill = self._session("t2s_prefill")
        assert isinstance(prefill, PrefillSession)
        driver = StreamDriver(self.device, self._urgent.stream, self._kernels)
        loop = DecodeLoop(driver, packed, min(slots, DECODE_SLOTS), CACHE_STEP)

        def read(sentence: Sentence) -> Prefilled:
            return prefill.read_sentence(_feeds(sentence))

        recorded = None if loop.clusters else driver.capture
        return DeviceSemantic(self.model, loop, read, record=recorded)

    def close(self) -> None:
        """See `Backend.close`."""
        self._sessions.clear()
        self._engines.clear()
        self.device.close()

    @cached_property
    def _cpu(self) -> OnnxRuntimeBackend:
        return OnnxRuntimeBackend(self._folder.root)

    def _session(self, graph: str) -> TensorRTSession:
        if graph not in self._sessions:
            kind = _SESSIONS.get(graph, TensorRTSession)
            pool = self._urgent if graph in _TOKENS else self._usual
            parts = (self._graphs[graph], self._engine(graph), self._trt, pool, self._take_errors)
            self._sessions[graph] = kind(*parts)
        return self._sessions[graph]

    def warm_up(self) -> None:
        """See `WarmsUp`: the sizes of what a home says, of every graph that is loaded.

        Raises:
            DeviceError: the card failed.
        """
        for session in self._sessions.values():
            if isinstance(session, PreparedSession):
                session.warm_up()

    def _engine(self, graph: str) -> Any:
        """The graph's engine, built if need be; nothing if it cannot be built."""
        if graph not in self._engines:
            key = engine_key(self._folder, graph, self._precision, self._trt)
            engine = self._deserialized(graph, key)
            if engine is None and self._built(graph):
                engine = self._deserialized(graph, key)
            self._engines[graph] = engine
        return self._engines[graph]

    def _deserialized(self, graph: str, key: EngineKey) -> Any:
        content = self._store.read(key, self.device.architecture)
        if content is None:
            return None
        engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            reasons = "; ".join(self._take_errors())
            _LOG.warning("%s: the engine is not taken: %s", graph, reasons)
            self._store.forget(key)
        return engine

    def _built(self, graph: str) -> bool:
        if not self._build_missing:
            _LOG.warning("%s: there is no engine, it runs on the CPU", graph)
            return False
        gpu, bar = self.device.architecture, ProgressBar()
        _LOG.warning("%s: building the engine for %s, this can take minutes", graph, gpu)
        steps = build(
            self._folder, self._trt, self._precision, (gpu,), self._store, (graph,), _shown(bar)
        )
        made = next(steps)
        bar.clear()
        if made.file is None:
            _LOG.warning("%s: no engine, it runs on the CPU: %s", graph, made.reason)
        return made.file is not None

    def _packed(self) -> PackedT2S | None:
        if not list(self._kernels.glob("t2s_generic.fatbin")):
            _LOG.warning("no compiled kernels in %s: tokens are drawn on the CPU", self._kernels)
            return None
        try:
            return pack(official_weights(self._folder.root / PLAIN_STEP))
        except CheckpointError as error:
            _LOG.info("tokens are drawn on the CPU: %s", error)
            return None

    def _take_errors(self) -> list[str]:
        errors, self._logger.errors = self._logger.errors, []
        return list(errors)


def _shown(bar: ProgressBar) -> Watch:
    return lambda graph, done, total: bar(done, total, f"building the engine of {graph}")


def _feeds(sentence: Sentence) -> dict[str, Any]:
    return {
        "phones": sentence.phone_ids[None].astype(np.int64, copy=False),
        "bert": sentence.bert[None],
        "prompt": sentence.prompt[None].astype(np.int64, copy=False),
    }
