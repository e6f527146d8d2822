"""Who runs a network: one small seam that every device fits behind.

A `Backend` loads graphs of `engines.graphs` by name and gives a `Session` for each; `Session.run`
takes numpy arrays (or tensors that an earlier run kept on the device) and returns numpy arrays.
Adding a backend is a file and a row in `_BACKENDS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from engines.errors import BackendUnavailableError
from engines.graphs import GraphSpec, ModelFacts

Array: TypeAlias = npt.NDArray[Any]


class DeviceTensor(Protocol):
    """An output that stayed on its device; only sessions of the same backend accept it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        ...

    def numpy(self) -> Array:
        """A copy in the host's memory."""
        ...


Feed: TypeAlias = "Array | DeviceTensor"


class Session(Protocol):
    """One loaded graph."""

    def run(self, feeds: Mapping[str, Feed], keep: Collection[str] = ()) -> dict[str, Any]:
        """Compute the graph.

        Args:
            feeds: every input of the graph by name. A kept tensor that is fed under a name which
                is also kept is used up: the run may write into it.
            keep: outputs that stay on the device, returned as `DeviceTensor`.

        Returns:
            Every output by name.

        Raises:
            ValueError: an input is missing, unknown, or of the wrong type or shape (named).
            DeviceError: the device failed.
        """
        ...


class Backend(Protocol):
    """A model on one device."""

    name: str
    model: ModelFacts

    def load(self, graph: str) -> Session:
        """The session of a graph; `KeyError` if the model has no such graph."""
        ...

    def close(self) -> None:
        """Free what the backend holds; its sessions must not be used any more."""
        ...


@runtime_checkable
class WarmsUp(Protocol):
    """A backend that answers at once what it was made ready for."""

    def warm_up(self) -> None:
        """Make ready what is asked for most, of all that was loaded; takes seconds."""
        ...


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """Where the official files of a model lie.

    Attributes:
        t2s: the text-to-semantic checkpoint (.ckpt).
        sovits: the SoVITS checkpoint (.pth).
        models: folder of the shared networks, named as upstream names them:
            chinese-hubert-base, chinese-roberta-wwm-ext-large (Chinese only), sv (Pro models only).
    """

    t2s: Path
    sovits: Path
    models: Path

    @property
    def hubert(self) -> Path:
        """Folder of the speech encoder."""
        return self.models / "chinese-hubert-base"

    @property
    def bert(self) -> Path:
        """Folder of the text encoder."""
        return self.models / "chinese-roberta-wwm-ext-large"

    @property
    def tokenizer(self) -> Path:
        """The text encoder's tokenizer."""
        return self.bert / "tokenizer.json"

    @property
    def speaker(self) -> Path:
        """Folder of the speaker network's one file."""
        return self.models / "sv"


_BACKENDS = {
    "onnxruntime": ("engines.backends.onnxruntime_backend", "OnnxRuntimeBackend"),
    "tensorrt": ("engines.backends.tensorrt_backend", "TensorRTBackend"),
    "torch": ("engines.backends.torch_backend", "TorchBackend"),
}


def open_backend(name: str, source: CheckpointFiles | Path, **options: Any) -> Backend:
    """Load a model for a device.

    Args:
        name: one of the backends.
        source: what this backend reads: checkpoints for torch, a converted model's folder else.
        options: what else its class takes.

    Raises:
        BackendUnavailableError: the backend is unknown, or its packages are missing.
        CheckpointError: a model file cannot be used.
    """
    if name not in _BACKENDS:
        raise BackendUnavailableError(f"backend must be one of {sorted(_BACKENDS)}, not {name!r}")
    module, attribute = _BACKENDS[name]
    try:
        backend = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise BackendUnavailableError(f"backend {name!r} is not installed: {error}") from error
    return backend(source, **options)  # type: ignore[no-any-return]


def check_feeds(graph: GraphSpec, feeds: Mapping[str, Feed]) -> None:
    """Refuse feeds that a graph does not take.

    Raises:
        ValueError: an input is missing, unknown, or of the wrong type or shape (named).
    """
    wanted = {tensor.name for tensor in graph.inputs}
    if unknown := sorted(set(feeds) - wanted):
        raise ValueError(f"{graph.name} has no input {unknown[0]!r}")
    sizes: dict[str, int] = {}
    for tensor in graph.inputs:
        if tensor.name not in feeds:
            raise ValueError(f"{graph.name} needs input {tensor.name!r}")
        feed = feeds[tensor.name]
        if isinstance(feed, np.ndarray) and feed.dtype != tensor.dtype:
            raise ValueError(f"{graph.name}: {tensor.name!r} is {feed.dtype}, not {tensor.dtype}")
        if not tensor.fits(feed.shape, sizes):
            raise ValueError(
                f"{graph.name}: {tensor.name!r} has shape {tuple(feed.shape)}, not {tensor.axes()}"
            )
