"""A converted model on disk: graphs, their weights in one file, and `model.json` that lists them.

    model.json       facts of the model, precision, how it is drawn from where it names that, and
                     size and hash of every other file
    weights.bin      the weights of all graphs, each matrix once
    t2s_decode.onnx  one file for each graph
    t2s_decode.plain.onnx  the same of standard operators only, where nothing is in 8 bits
    vits_flow.padded.onnx  for cards: with inputs that say what of a lengthened sentence is padding
    tokenizer.json   BERT's, where the model has BERT

`model.json` is written last, so a folder without it is not a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from engines.errors import CheckpointError, ConvertError
from engines.graphs import ModelFacts
from engines.padding import PADDED_GRAPHS
from engines.sampling import SamplingParams

MANIFEST = "model.json"
WEIGHTS = "weights.bin"
TOKENIZER = "tokenizer.json"
PLAIN_STEP = "t2s_decode.plain.onnx"
PADDED = "{}.padded.onnx"

Precision = Literal["fp32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")

DRAWN = ("top_k", "top_p", "temperature", "repetition_penalty")
"""Fields of `SamplingParams` that a manifest may name."""

_FORMAT = 1
_MAX_MANIFEST = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the folder: bytes and SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """What `model.json` says.

    Attributes:
        root: the folder.
        model: the model's facts.
        precision: of the T2S matrices; everything else is float32.
        graphs: names of the graphs it holds, each in `NAME.onnx`.
        files: every file but the manifest.
        sampling: how it sounds best, for requests that do not say how; the original's defaults
            where the manifest names nothing.
    """

    root: Path
    model: ModelFacts
    precision: Precision
    graphs: tuple[str, ...]
    files: Mapping[str, StoredFile]
    sampling: SamplingParams = field(default_factory=SamplingParams)

    @classmethod
    def read(cls, root: Path) -> ModelFolder:
        """Read a folder and check that its files are all there, at their sizes.

        Raises:
            CheckpointError: it is not a converted model, or not a whole one.
        """
        path = root / MANIFEST
        try:
            if path.stat().st_size > _MAX_MANIFEST:
                raise CheckpointError(f"{path} is larger than {_MAX_MANIFEST} bytes")
            folder = _parsed(root, json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{root} is not a converted model: it has no {MANIFEST} "
                "(`python -m engines convert` makes one)"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        for name, file in folder.files.items():
            stored = root / name
            size = stored.stat().st_size if stored.is_file() else None
            if size != file.size:
                raise CheckpointError(f"{stored}: must have {file.size} bytes, has {size}")
        return folder

    def check_for_cards(self) -> None:
        """Whether it holds what cards compute.

        Raises:
            ConvertError: it is for the CPU alone, or an earlier version converted it.
        """
        if self.precision != "fp32":
            raise ConvertError(
                f"{self.root} holds matrices in {self.precision} for the CPU, which TensorRT does "
                "not read; convert the model with --precision fp32 and build that"
            )
        if {PLAIN_STEP, *(PADDED.format(name) for name in PADDED_GRAPHS)} - set(self.files):
            raise ConvertError(
                f"{self.root} was converted by an older version, for the CPU; convert it again to "
                "speak by a card"
            )

    @property
    def tokenizer(self) -> Path:
        """BERT's tokenizer; missing where the model was converted without BERT."""
        return self.root / TOKENIZER

    def graph_file(self, graph: str) -> Path:
        """Where a graph lies."""
        return self.root / f"{graph}.onnx"

    def check_hashes(self) -> None:
        """Read every file and compare it with its hash.

        Raises:
            CheckpointError: a file has changed (named).
        """
        for name, file in self.files.items():
            if sha256(self.root / name) != file.sha256:
                raise CheckpointError(f"{self.root / name} is damaged: it is not what was written")


def write_manifest(
    root: Path,
    model: ModelFacts,
    precision: Precision,
    graphs: Iterable[str],
    sampling: SamplingParams | None = None,
) -> None:
    """Describe the files that lie in a folder, which makes it a model."""
    stored = {
        path.name: asdict(StoredFile(path.stat().st_size, sha256(path)))
        for path in sorted(root.iterdir())
    }
    manifest = {
        "format": _FORMAT,
        "precision": precision,
        "model": asdict(model),
        "graphs": list(graphs),
        "files": stored,
    }
    if named := named_sampling(sampling or SamplingParams()):
        manifest["sampling"] = named
    (root / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def named_sampling(sampling: SamplingParams) -> dict[str, float]:
    """What of a way of drawing differs from the original's, by the names of `DRAWN`."""
    usual = SamplingParams()
    given = {name: getattr(sampling, name) for name in DRAWN}
    return {name: value for name, value in given.items() if value != getattr(usual, name)}


def read_sampling(named: Mapping[str, Any]) -> SamplingParams:
    """A way of drawing from what `named_sampling` gave.

    Raises:
        ValueError: a name is none of `DRAWN`, a value is no number or outside its range.
    """
    for name, value in named.items():
        if name not in DRAWN:
            raise ValueError(f"sampling: {name!r} is none of {DRAWN}")
        if type(value) is not int and (name == "top_k" or type(value) is not float):
            raise ValueError(f"sampling.{name} must be a number")
    return SamplingParams(**named)


def sha256(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _parsed(root: Path, manifest: dict[str, Any]) -> ModelFolder:
    if manifest["format"] != _FORMAT:
        raise ValueError(f"format is {manifest['format']}, this version reads {_FORMAT}")
    facts = manifest["model"]
    for fact in fields(ModelFacts):
        if type(facts[fact.name]).__name__ != fact.type:
            raise ValueError(f"model.{fact.name} must be {fact.type}")
    files = {name: StoredFile(**file) for name, file in manifest["files"].items()}
    graphs = tuple(manifest["graphs"])
    for name in (*files, *graphs):
        if Path(name).name != name:
            raise ValueError(f"{name!r} is not the name of a file in the folder")
    if missing := {f"{graph}.onnx" for graph in graphs} - set(files):
        raise ValueError(f"files does not list {sorted(missing)[0]}")
    if manifest["precision"] not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}")
    return ModelFolder(
        root,
        ModelFacts(**facts),
        manifest["precision"],
        graphs,
        files,
        read_sampling(manifest.get("sampling", {})),
    )
