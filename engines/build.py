"""ONNX graphs of a converted model to TensorRT engines, kept as long as nothing changes.

Only what speaks gets engines: voices are enrolled on the CPU, so that a voice is the same whatever
speaks it. An engine that cannot be built is reported and leaves the others alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx

from engines.backends.tensorrt_module import Shapes, TensorRT
from engines.engine_store import EngineKey, EngineStore
from engines.errors import ConvertError
from engines.graphs import Axis, GraphSpec, TensorSpec, graphs
from engines.half import to_half
from engines.lean_graphs import lean
from engines.model_folder import PADDED, PLAIN_STEP, WEIGHTS, ModelFolder
from engines.padding import PADDED_GRAPHS, padded

EnginePrecision = Literal["fp32", "fp16", "int8"]
ENGINE_PRECISIONS: tuple[EnginePrecision, ...] = ("fp32", "fp16", "int8")
ENGINES = "engines"
"""Folder of the engines within a model's."""

CALIBRATED = "{}.int8.onnx"
"""Graphs that `calibrate` wrote, in the model's folder; the others are float16 in an int8 build."""

_RECIPE = 3
"""Changes with `half`, `lean_graphs` or a build's flags, so that older engines are built anew."""

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Built:
    """What became of one engine.

    Attributes:
        graph: its graph.
        state: `kept` (it was there), `built` or `failed`.
        file: where it lies; nothing if it failed.
        seconds: that building took.
        reason: why it failed.
    """

    graph: str
    state: Literal["kept", "built", "failed"]
    file: Path | None = None
    seconds: float = 0.0
    reason: str = ""


def build(
    folder: ModelFolder,
    trt: TensorRT,
    precision: EnginePrecision,
    architectures: Sequence[str],
    store: EngineStore | None = None,
    only: Sequence[str] = (),
    watch: Watch = lambda graph, done, total: None,
) -> Iterator[Built]:
    """Build the engines that are not there yet.

    Args:
        folder: a model converted in float32.
        trt: who builds.
        precision: of the engines.
        architectures: such as sm86; the GPU of this machine where `trt` knows no other.
        store: where engines go, by default the folder `engines` of the model.
        only: these graphs; by default all that speak.
        watch: called with a graph and how far its build is.

    Yields:
        One result for each engine, as it is ready.

    Raises:
        ConvertError: the model or the precision cannot be built, or the folder not be written.
    """
    folder.check_for_cards()
    store = store or EngineStore(folder.root / ENGINES)
    store.sweep()
    targets = architectures if trt.ahead_of_time else ()
    for name in only or speaking(folder):
        key = engine_key(folder, name, precision, trt)
        if kept := store.holds(key, architectures):
            yield Built(name, "kept", kept)
            continue
        started = time.perf_counter()
        try:
            engine, timings = trt.compile(
                graph_model(folder, name, precision, trt.strongly_typed).SerializeToString(),
                profile(padded(graphs(folder.model)[name])),
                precision,
                targets,
                store.timings(trt.label, architectures),
                lambda done, total, name=name: watch(name, done, total),  # type: ignore[misc]
            )
        except ConvertError as error:
            yield Built(name, "failed", None, time.perf_counter() - started, str(error))
            continue
        file = store.write(key, architectures, engine)
        if timings:
            store.keep_timings(trt.label, architectures, timings)
        yield Built(name, "built", file, time.perf_counter() - started)


def speaking(folder: ModelFolder) -> tuple[str, ...]:
    """The graphs of a model that run for every sentence."""
    table = graphs(folder.model)
    return tuple(name for name in folder.graphs if table[name].stage == "speak")


def graph_model(
    folder: ModelFolder, graph: str, precision: EnginePrecision, typed: bool = True
) -> Any:
    """A graph of standard operators, weights inside, and in a precision if it is to state types.

    Raises:
        ConvertError: a file is missing or damaged; int8 was not calibrated.
    """
    if precision == "int8" and not _calibrated(folder):
        raise ConvertError(
            f"{folder.root} is not calibrated; run "
            f"`python -m engines calibrate {folder.root} --texts FILE --voices DIR` first"
        )
    file = graph_file(folder, graph, precision)
    try:
        model = onnx.load(file)
    except Exception as error:
        # protobuf's errors have no base of their own but Exception.
        raise ConvertError(f"{file} cannot be read: {error}; convert the model again") from error
    if graph != "t2s_decode":
        # Of the step, TensorRT 8.6 made an engine with right numbers in two of eight slots.
        lean(model)
    if precision != "fp32" and typed:
        to_half(model)
    return model


def graph_file(folder: ModelFolder, graph: str, precision: EnginePrecision) -> Path:
    """The ONNX file that an engine is built from."""
    calibrated = folder.root / CALIBRATED.format(graph)
    if precision == "int8" and calibrated.is_file():
        return calibrated
    if graph == "t2s_decode":
        return folder.root / PLAIN_STEP
    if graph in PADDED_GRAPHS:
        return folder.root / PADDED.format(graph)
    return folder.graph_file(graph)


def engine_key(
    folder: ModelFolder, graph: str, precision: EnginePrecision, trt: TensorRT
) -> EngineKey:
    """What the engine of a graph is called; changes with everything that changes the engine."""
    file = graph_file(folder, graph, precision)
    stored = folder.files.get(file.name)
    parts = (
        _RECIPE,
        stored.sha256 if stored else _sha256(file),
        folder.files[WEIGHTS].sha256,
        sorted(profile(padded(graphs(folder.model)[graph])).items()),
    )
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return EngineKey(graph, precision, trt.label, digest)


def profile(graph: GraphSpec) -> Shapes:
    """Smallest, usual and largest shape of every input, from the table of graphs."""
    return {
        tensor.name: (_shape(tensor, "min"), _shape(tensor, "opt"), _shape(tensor, "max"))
        for tensor in graph.inputs
    }


def _shape(tensor: TensorSpec, end: Literal["min", "opt", "max"]) -> tuple[int, ...]:
    return tuple(getattr(size, end) if isinstance(size, Axis) else size for size in tensor.shape)


def _calibrated(folder: ModelFolder) -> bool:
    return any((folder.root / CALIBRATED.format(name)).is_file() for name in folder.graphs)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
