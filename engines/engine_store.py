"""TensorRT engines on disk: what they are called, and when a file may be trusted.

    t2s_decode.fp16.sm86-sm89.rtx1.7.1.116.1f0c3a9b52d7e480.engine

Graph, precision, GPU architectures, TensorRT with its version, and a hash of the graph, its weights
and how it was built. Before the engine itself the file holds a hash of its own name and content, so
one that was cut off, damaged or renamed is a miss and is built again, never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import ConvertError

_MAGIC = b"GSVENG01"
_HEADER = len(_MAGIC) + hashlib.sha256().digest_size
_SUFFIX = ".engine"


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What one engine is for.

    Attributes:
        graph: the graph's name.
        precision: fp32, fp16 or int8.
        label: TensorRT's flavour and version, e.g. rtx1.7.1.116.
        digest: of the graph, its weights and how it was built, in hexadecimal.
    """

    graph: str
    precision: str
    label: str
    digest: str

    def file_name(self, architectures: Sequence[str]) -> str:
        """The file of this engine for these GPUs."""
        gpus = "-".join(sorted(architectures))
        return f"{self.graph}.{self.precision}.{gpus}.{self.label}.{self.digest}{_SUFFIX}"


class EngineStore:
    """A folder of engines.

    Args:
        folder: made when the first engine is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: EngineKey, architecture: str) -> bytes | None:
        """A sound engine that runs on this GPU, or nothing."""
        for path, gpus in self._files(key):
            if architecture in gpus and (engine := _sound(path)) is not None:
                return engine
        return None

    def holds(self, key: EngineKey, architectures: Sequence[str]) -> Path | None:
        """The file of a sound engine for all these GPUs, or nothing."""
        for path, gpus in self._files(key):
            if set(architectures) <= set(gpus) and _sound(path) is not None:
                return path
        return None

    def write(self, key: EngineKey, architectures: Sequence[str], engine: bytes) -> Path:
        """Store an engine; it appears whole or not at all. Those that it replaces go.

        Raises:
            ConvertError: the folder cannot be written.
        """
        path = self.folder / key.file_name(architectures)
        write_whole(path, _MAGIC + _digest(path.name, engine) + engine)
        for other in self.folder.glob(f"{key.graph}.{key.precision}.*{_SUFFIX}"):
            if other != path and _replaced(other.name, path.name):
                other.unlink(missing_ok=True)
        return path

    def forget(self, key: EngineKey) -> None:
        """Remove an engine that the GPU did not take, so that it is built again."""
        for path, _ in self._files(key):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what builders that were killed have left half written."""
        for path in self.folder.glob(".*"):
            builder = path.name.rpartition(".")[2]
            if builder.isdecimal() and not Path("/proc", builder).exists():
                with contextlib.suppress(OSError):
                    path.unlink()

    def timings(self, label: str, gpus: Sequence[str]) -> bytes:
        """TensorRT's timing cache for these GPUs; empty if there is none."""
        try:
            return self._timings(label, gpus).read_bytes()
        except OSError:
            return b""

    def keep_timings(self, label: str, gpus: Sequence[str], timings: bytes) -> None:
        """Store the timing cache.

        Raises:
            ConvertError: the folder cannot be written.
        """
        write_whole(self._timings(label, gpus), timings)

    def _timings(self, label: str, gpus: Sequence[str]) -> Path:
        return self.folder / f"{'-'.join(sorted(gpus))}.{label}.timing"

    def _files(self, key: EngineKey) -> list[tuple[Path, list[str]]]:
        start = f"{key.graph}.{key.precision}."
        end = f".{key.label}.{key.digest}{_SUFFIX}"
        return [
            (path, path.name[len(start) : -len(end)].split("-"))
            for path in sorted(self.folder.glob(f"{start}*{end}"))
        ]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside and move it, so that nobody ever sees half of it.

    Raises:
        ConvertError: the folder cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise ConvertError(
            f"{path.parent} cannot be written: {error}; name another folder with --engines"
        ) from error


def _sound(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    engine = content[_HEADER:]
    if not engine or content[:_HEADER] != _MAGIC + _digest(path.name, engine):
        return None
    return engine


def _digest(name: str, engine: bytes) -> bytes:
    digest = hashlib.sha256(name.encode())
    digest.update(engine)
    return digest.digest()


def _replaced(other: str, path: str) -> bool:
    """Whether two engines of one graph and precision are for the same GPUs and TensorRT flavour."""
    # graph.precision.gpus.label: the label begins with three letters.
    return [*other.split(".")[2:3], other.split(".")[3][:3]] == [
        *path.split(".")[2:3],
        path.split(".")[3][:3],
    ]
