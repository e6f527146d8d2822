"""Official checkpoints to a folder of ONNX graphs that ONNX Runtime speaks from, without torch.

Every graph is traced once and its weights move into one file that all graphs share, each tensor
once: prefill and decode of the T2S network hold the same matrices.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import onnx
import torch
from onnx import external_data_helper
from torch import Tensor

from engines.backends import CheckpointFiles, open_backend
from engines.backends.torch_backend import TorchBackend
from engines.errors import ConvertError
from engines.graphs import Axis, GraphSpec, ModelFacts, TensorSpec, graphs
from engines.model_folder import (
    PADDED,
    PLAIN_STEP,
    TOKENIZER,
    WEIGHTS,
    Precision,
    write_manifest,
)
from engines.networks.cached_t2s import CachedStep, JoinedPrefill, PlainPrefill, PlainStep
from engines.padding import PADDED_GRAPHS, padded
from engines.quantize import quantize_layers
from engines.token_drift import LEAST_AGREEMENT, MOST_VARIATION, TokenDrift, measure_drift

OPSET = 17
TRACED = 12
"""The size of every free axis while a graph is traced."""

_INLINE = 1024  # bytes; smaller tensors stay in the graph, where optimizers fold them
_ALIGNMENT = 4096  # a page: ONNX Runtime maps the file instead of reading it

Progress = Callable[[int, int, str], None]


def convert(
    source: CheckpointFiles,
    folder: Path,
    precision: Precision = "fp32",
    progress: Progress = lambda done, total, what: None,
) -> TokenDrift | None:
    """Convert a model; the folder appears when it is complete, or not at all.

    Args:
        source: the official files; BERT is left out where its folder is missing.
        folder: must not exist yet.
        precision: of the T2S matrices.
        progress: called with graphs done, graphs in all, and what comes next.

    Returns:
        What int8 costs; nothing for fp32.

    Raises:
        CheckpointError: a file cannot be used.
        ConvertError: the folder exists or cannot be written, or int8 would cost too much quality.
    """
    if folder.exists():
        raise ConvertError(f"{folder} exists; convert writes a new folder")
    backend = TorchBackend(source)
    table = graphs(backend.model)
    if not source.bert.is_dir():
        del table["bert"]
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ConvertError(f"{folder.parent} cannot be written: {error}") from error
    try:
        _write(backend, table, scratch, precision, progress)
        if "bert" in table:
            shutil.copyfile(source.tokenizer, scratch / TOKENIZER)
        progress(len(table), len(table), "model.json")
        write_manifest(scratch, backend.model, precision, table)
        drift = None if precision == "fp32" else _check_drift(backend, scratch)
        scratch.chmod(0o755)
        scratch.rename(folder)
    except OSError as error:
        raise ConvertError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return drift


def trace(spec: GraphSpec, module: Any, model: ModelFacts, file: Path, plain: bool = False) -> Any:
    """A graph as an ONNX model with its weights inside, in a file and as an object.

    Inputs and outputs are those of the row, but for the T2S graphs: `t2s_prefill` gives its new
    keys and values (L, 1, H, T, D/H) instead of a cache, `t2s_decode` has one pair of inputs and
    one of outputs for each layer (see `cache_names`). With `plain`, for cards, the step has its
    row's, gives the cache as `new_keys` and `new_values`, and needs no operators but ONNX's own.
    """
    inputs: list[tuple[str, Tensor, dict[int, str]]] = [_input(tensor) for tensor in spec.inputs]
    outputs = [tensor.name for tensor in spec.outputs]
    if spec.name == "t2s_prefill":
        module = JoinedPrefill(module.t2s) if plain else PlainPrefill(module.t2s)
        inputs = inputs if plain else inputs[:3]
    if spec.name == "t2s_decode" and plain:
        module, outputs = PlainStep(module.t2s), ["logits", "new_keys", "new_values"]
    elif spec.name == "t2s_decode":
        module = CachedStep(module.t2s)
        names = cache_names(model.layers)
        _, cache, axes = inputs[-1]
        layer = {place - 1: axis for place, axis in axes.items()}
        inputs = [*inputs[:3], *((name, cache[0], layer) for name in names)]
        outputs = ["logits", *(f"new_{name}" for name in names)]
    with warnings.catch_warnings():
        # The exporter's own talk: it is the older of two, and it names what tracing fixes. That
        # sizes stay free is tested, with other sizes than the traced ones.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(example for _, example, _ in inputs),
            file,
            dynamo=False,
            opset_version=OPSET,
            custom_opsets={"com.microsoft": 1} if spec.name == "t2s_decode" and not plain else {},
            input_names=[name for name, _, _ in inputs],
            output_names=outputs,
            dynamic_axes={name: axes for name, _, axes in inputs},
        )
    return onnx.load(file)


def cache_names(layers: int) -> list[str]:
    """Inputs of `t2s_decode` in their order; its outputs have `new_` before them."""
    return [f"{kind}_{layer}" for kind in ("keys", "values") for layer in range(layers)]


@dataclass(slots=True)
class WeightsFile:
    """One file for the weights of many graphs; equal tensors lie there once."""

    stream: IO[bytes]
    places: dict[bytes, int] = field(default_factory=dict)

    def move(self, model: Any) -> None:
        """Move the large tensors of a graph out of it."""
        _name_constants(model.graph)
        for tensor in model.graph.initializer:
            raw = tensor.raw_data
            if len(raw) < _INLINE:
                continue
            digest = hashlib.sha256(raw).digest()
            if digest not in self.places:
                self.stream.write(b"\0" * (-self.stream.tell() % _ALIGNMENT))
                self.places[digest] = self.stream.tell()
                self.stream.write(raw)
            external_data_helper.set_external_data(tensor, WEIGHTS, self.places[digest], len(raw))
            tensor.ClearField("raw_data")


def _write(
    backend: TorchBackend,
    table: dict[str, GraphSpec],
    scratch: Path,
    precision: Precision,
    progress: Progress,
) -> None:
    with (scratch / WEIGHTS).open("wb") as stream:
        weights = WeightsFile(stream)
        for done, (name, spec) in enumerate(table.items()):
            progress(done, len(table), name)
            file = scratch / f"{name}.onnx"
            model = trace(spec, backend.module(name), backend.model, file)
            if precision == "int8" and name in ("t2s_prefill", "t2s_decode"):
                quantize_layers(model, backend.model.layers)
            weights.move(model)
            file.write_bytes(model.SerializeToString())
        if precision == "fp32":
            # For cards; the matrices are shared. TensorRT does not know the runtime's attention.
            cards = [(table["t2s_decode"], PLAIN_STEP)]
            cards += [(padded(table[name]), PADDED.format(name)) for name in PADDED_GRAPHS]
            for spec, file_name in cards:
                file = scratch / file_name
                module = backend.module(spec.name)
                model = trace(spec, module, backend.model, file, plain=True)
                weights.move(model)
                file.write_bytes(model.SerializeToString())


def _check_drift(backend: TorchBackend, folder: Path) -> TokenDrift:
    drift = measure_drift(backend, open_backend("onnxruntime", folder))
    if not drift.tolerable:
        raise ConvertError(
            f"int8 costs this model too much: {drift.variation:.1%} of its tokens would be drawn "
            f"differently (at most {MOST_VARIATION:.0%}), the likeliest token stays in "
            f"{drift.agreement:.1%} (at least {LEAST_AGREEMENT:.0%}); use --precision fp32"
        )
    return drift


def _name_constants(graph: Any) -> None:
    """Tables that the tracer wrote into nodes become weights like the others."""
    tables = [
        node
        for node in graph.node
        if node.op_type == "Constant" and len(node.attribute[0].t.raw_data) >= _INLINE
    ]
    for node in tables:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
        graph.node.remove(node)


def _input(tensor: TensorSpec) -> tuple[str, Tensor, dict[int, str]]:
    axes = {place: size.name for place, size in enumerate(tensor.shape) if isinstance(size, Axis)}
    shape: Sequence[int] = [
        max(TRACED, size.min) if isinstance(size, Axis) else size for size in tensor.shape
    ]
    example = torch.zeros(list(shape), dtype=getattr(torch, tensor.dtype))
    return tensor.name, example, axes
