"""A converted model in a third of its bytes: official files in half precision, and a recipe.

    recipe.json     facts of the model, how it is drawn from, hashes of the other files, what
                    weights.bin is made of
    graphs.zip      the graphs of the converted model, which hold no large tensors
    files/          t2s.ckpt, sovits.pth and models/, for everybody who reads official files; see
                    `stored` for the one that has another name, and `lay_out`

Official files are zip archives that compress nothing, so a tensor is a stretch of a file: `unpack`
needs numpy, but neither torch nor a pickle. `training.package` writes such folders.
"""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.errors import CheckpointError, ConvertError
from engines.graphs import ModelFacts
from engines.model_folder import (
    WEIGHTS,
    ModelFolder,
    named_sampling,
    read_sampling,
    sha256,
    write_manifest,
)
from engines.sampling import SamplingParams

RECIPE, GRAPHS, FILES = "recipe.json", "graphs.zip", "files"
_FORMAT = 2
_MAX_RECIPE = 4 << 20
_MAX_WEIGHTS = 1 << 30
_MAX_GRAPH = 16 << 20
_TYPES = {"float16": np.float16, "float32": np.float32}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A tensor inside an official file: its first byte, type and sizes."""

    file: str
    place: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ingredient:
    """What lies at a place of weights.bin: tensors of official files, and a key of `WAYS`."""

    place: int
    way: str
    of: tuple[Stretch, ...]
    shape: tuple[int, ...] = ()


def waves(positions: int, width: int) -> Floats:
    """Sine and cosine in turns of positions (Vaswani et al. 2017), [positions, width]."""
    rates = np.exp(np.arange(0, width, 2, dtype=np.float32) * np.float32(-math.log(1e4) / width))
    angles = np.arange(positions, dtype=np.float32)[:, None] * rates
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(positions, width)


def normed(gain: Floats, direction: Floats) -> Floats:
    """Weight normalisation (Salimans & Kingma 2016), over the axes that the gain lacks."""
    axes = tuple(axis for axis, size in enumerate(gain.shape) if size == 1)
    return np.asarray(direction * (gain / np.sqrt((direction**2).sum(axes, keepdims=True))))


WAYS: Mapping[str, Callable[..., Floats]] = {
    "as it is": lambda tensor: tensor,
    "turned": lambda tensor: np.swapaxes(tensor, -1, -2),
    "squared": lambda tensor: tensor**2,
    "normed": normed,
}
"""How a tensor of weights.bin comes from official ones; "waves" comes from its sizes."""


def made(ingredient: Ingredient, read: Callable[[Stretch], Floats]) -> Floats:
    """The numbers of one ingredient."""
    if ingredient.way == "waves":
        positions, width = ingredient.shape
        return waves(positions, width)
    return WAYS[ingredient.way](*map(read, ingredient.of))


def stored(name: str) -> str:
    """Where an official file lies below `FILES`.

    Supervisor takes every config.json of a repository for an app's manifest.
    """
    return name.replace("config.json", "hubert.json")


def lay_out(package: Path, folder: Path) -> None:
    """Copy the official files under their official names into a folder, for `engines convert`.

    Raises:
        CheckpointError: the package is damaged or of another version.
    """
    for name in _read(package)["files"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package / FILES / stored(name), folder / name)


def unpack(package: Path, folder: Path) -> None:
    """Write the converted model of a package.

    Args:
        package: with the recipe.
        folder: must not exist yet; is a whole model once it has its manifest.

    Raises:
        CheckpointError: the package is damaged or of another version.
        ConvertError: the folder exists or cannot be written.
    """
    recipe = _read(package)
    try:
        facts = ModelFacts(**recipe["model"])
        size = int(recipe["size"])
        sampling = read_sampling(recipe["sampling"])
        ingredients = [_ingredient(row) for row in recipe["weights"]]
        for name, known in recipe["files"].items():
            if sha256(package / FILES / stored(name)) != known:
                raise CheckpointError(f"{FILES}/{name} is damaged: it is not what was packed")
        if sha256(package / GRAPHS) != recipe["graphs_sha256"]:
            raise CheckpointError(f"{GRAPHS} is damaged: it is not what was packed")
        if not 0 < size <= _MAX_WEIGHTS:
            raise ValueError(f"size is {size}")
        data = {name: (package / FILES / stored(name)).read_bytes() for name in recipe["files"]}
        weights = np.zeros(size, np.uint8)
        for each in ingredients:
            raw = np.ascontiguousarray(made(each, lambda stretch: _floats(stretch, data)))
            piece = raw.reshape(-1).view(np.uint8)
            weights[each.place : each.place + len(piece)] = piece
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{package.name} cannot be unpacked: {error}") from error
    try:
        folder.mkdir()
        weights.tofile(folder / WEIGHTS)
        _unpack_graphs(package / GRAPHS, folder)
        write_manifest(folder, facts, "fp32", recipe["graphs"], sampling)
        ModelFolder.read(folder)
    except OSError as error:
        raise ConvertError(f"{folder} cannot be written: {error}") from error


def write_recipe(
    package: Path,
    converted: ModelFolder,
    size: int,
    files: Sequence[str],
    ingredients: Sequence[Ingredient],
    sampling: SamplingParams,
) -> None:
    """Describe a package whose other files lie there already.

    Args:
        package: the folder.
        converted: the model that it unpacks to.
        size: bytes of weights.bin.
        files: the official files, which lie below `FILES` as `stored` says.
        ingredients: of weights.bin.
        sampling: how the model sounds best.
    """
    recipe = {
        "format": _FORMAT,
        "model": asdict(converted.model),
        "sampling": named_sampling(sampling),
        "graphs": list(converted.graphs),
        "graphs_sha256": sha256(package / GRAPHS),
        "files": {name: sha256(package / FILES / stored(name)) for name in files},
        "size": size,
        "weights": [asdict(each) for each in ingredients],
    }
    (package / RECIPE).write_text(json.dumps(recipe) + "\n", encoding="utf-8")


def pack_graphs(converted: Path, file: Path) -> None:
    """Compress the graphs of a converted folder; the same graphs make the same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for graph in sorted(converted.glob("*.onnx")):
            entry = zipfile.ZipInfo(graph.name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, graph.read_bytes())


def _unpack_graphs(file: Path, folder: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if Path(entry.filename).name != entry.filename or entry.file_size > _MAX_GRAPH:
                raise CheckpointError(f"{GRAPHS}: {entry.filename[:40]!r} is no graph")
            (folder / entry.filename).write_bytes(archive.read(entry))


def _read(package: Path) -> dict[str, Any]:
    path = package / RECIPE
    try:
        with path.open("rb") as file:
            recipe = json.loads(file.read(_MAX_RECIPE))
        if recipe["format"] != _FORMAT:
            raise ValueError(f"format is {recipe['format']}, this version reads {_FORMAT}")
        return dict(recipe)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def _ingredient(row: Mapping[str, Any]) -> Ingredient:
    of = tuple(Stretch(**{**part, "shape": tuple(part["shape"])}) for part in row["of"])
    return Ingredient(row["place"], row["way"], of, tuple(row["shape"]))


def _floats(stretch: Stretch, data: Mapping[str, bytes]) -> Floats:
    values = np.frombuffer(
        data[stretch.file], _TYPES[stretch.dtype], math.prod(stretch.shape), stretch.place
    )
    return values.reshape(stretch.shape).astype(np.float32)
