"""Reading files written by `torch.save` that a stranger may have written.

A checkpoint is a pickle, and a pickle is a program. Nothing of it runs here: the unpickler knows
only tensors, plain containers and one named class that is replaced by an empty one. Files that
would unpack to more than they are on disk are refused before anything is unpacked.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from engines.errors import CheckpointError

MAX_FILE_BYTES = 4 << 30
MAX_ENTRIES = 20_000
MAX_PICKLE_BYTES = 32 << 20
MAX_DEPTH = 16
MAX_VALUES = 200_000

_ZIP_HEAD = b"PK"


class _HParams:
    """Stands in for `utils.HParams`, the settings object that official SoVITS files pickle."""


# Everything else that official files name is on torch's own list of harmless globals.
_ALLOWED_GLOBALS: list[Any] = [(_HParams, "utils.HParams")]


def read_torch_file(path: Path) -> tuple[dict[str, Any], str]:
    """Read the dictionary in a `torch.save` file without running anything in it.

    Some official files have the first two bytes of their zip replaced by two digits that name a
    version. They are put back before parsing.

    Args:
        path: a `.ckpt`, `.pth` or `.bin` file in the zip format (torch 1.6 and newer).

    Returns:
        The dictionary, settings objects as plain dictionaries, and the two digits ("" for none).

    Raises:
        CheckpointError: not there, not such a file, damaged, larger unpacked than packed, or
            holding anything but tensors and plain values.
    """
    try:
        with path.open("rb") as file:
            stream, mark = _as_zip(file, path.name)
            _refuse_bombs(stream, path.name)
            content = _unpickle(stream, path.name)
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from error
    plain = _Plain(path.name).copy(content)
    if not isinstance(plain, dict):
        raise CheckpointError(f"{path.name} holds a {type(plain).__name__}, not a dictionary")
    _refuse_inflated_tensors(plain, path)
    return plain, mark


def _as_zip(file: BinaryIO, name: str) -> tuple[BinaryIO, str]:
    size = file.seek(0, io.SEEK_END)
    if size > MAX_FILE_BYTES:
        raise CheckpointError(f"{name} is larger than {MAX_FILE_BYTES >> 30} GiB")
    file.seek(0)
    head = file.read(2)
    file.seek(0)
    if head == _ZIP_HEAD:
        return file, ""
    if len(head) == 2 and head.isdigit():
        return io.BytesIO(_ZIP_HEAD + file.read()[2:]), head.decode("ascii")
    raise CheckpointError(
        f"{name} is not a model file that torch 1.6 or newer wrote: it begins with {head!r}"
    )


def _refuse_bombs(stream: BinaryIO, name: str) -> None:
    size = stream.seek(0, io.SEEK_END)
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
    # A damaged directory makes zipfile raise many kinds of error.
    except Exception as error:
        raise CheckpointError(f"{name} is damaged: {error}") from error
    stream.seek(0)
    if len(entries) > MAX_ENTRIES:
        raise CheckpointError(f"{name} has {len(entries)} parts; at most {MAX_ENTRIES} are read")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(f"{name} is compressed; torch never compresses a model file")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(f"{name} would unpack to more than its {size} bytes")
    if any(e.filename.endswith(".pkl") and e.file_size > MAX_PICKLE_BYTES for e in entries):
        raise CheckpointError(f"{name} has an index larger than {MAX_PICKLE_BYTES >> 20} MiB")


def _unpickle(stream: BinaryIO, name: str) -> Any:
    try:
        with torch.serialization.safe_globals(_ALLOWED_GLOBALS):
            return torch.load(stream, map_location="cpu", weights_only=True)
    # The parser meets bytes that a stranger chose; whatever it raises, the file is at fault.
    except Exception as error:
        raise CheckpointError(f"{name} is refused: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    # torch's message goes on to recommend loading the file unsafely; that advice stops here.
    text = str(error).split("WeightsUnpickler error:")[-1].strip() or type(error).__name__
    sentence = text.splitlines()[0].split(". ")[0]
    return sentence[:200]


class _Plain:
    """Copies plain values and tensors, settings objects as dictionaries; refuses all else."""

    def __init__(self, name: str) -> None:
        self.name = name
        # A list that holds one list ten times, ten levels deep, is small on disk.
        self.values_left = MAX_VALUES

    def copy(self, value: Any, depth: int = 0) -> Any:
        self.values_left -= 1
        if depth > MAX_DEPTH or self.values_left < 0:
            raise CheckpointError(f"{self.name} is nested too deeply or holds too many values")
        if isinstance(value, _HParams):
            value = vars(value)
        if isinstance(value, dict):
            return {str(key): self.copy(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.copy(item, depth + 1) for item in value]
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if value is None or isinstance(value, str | int | float | bool):
            return value
        kind = type(value).__name__
        raise CheckpointError(f"{self.name} holds a {kind}; only plain values are read")

    def _tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
        if not plain or tensor.is_quantized or tensor.is_complex():
            raise CheckpointError(f"{self.name} holds a tensor that is not plain numbers")
        return tensor.detach()


def _refuse_inflated_tensors(content: Any, path: Path) -> None:
    """A few stored numbers may be viewed as many: refuse that before anyone copies them."""
    total = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content))
    # Twice, because two keys may share one tensor (tied embeddings).
    if total > 2 * path.stat().st_size:
        raise CheckpointError(f"{path.name} claims {total} bytes of weights, more than it holds")


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return (
        [tensor for item in value for tensor in _tensors(item)] if isinstance(value, list) else []
    )
