"""One installed model: its folder, its facts, and what this house calls it."""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from engines.errors import CheckpointError
from engines.graphs import ModelFacts
from engines.model_folder import ModelFolder, named_sampling
from engines.sampling import SamplingParams
from service.errors import BadRequest

ABOUT = "about.json"  # beside the converter's files: what this house knows of the model
LONGEST_NAME = 60
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_ID = 40
_MAX_ABOUT = 16 << 10


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that may be asked for.

    Attributes:
        id: what requests call it.
        name: what people call it.
        folder: where it lies.
        facts: its numbers.
        precision: of its T2S matrices.
        sampling: how it draws for requests that do not say how.
        size: bytes on disk.
        created: ISO 8601 date and time of its installation, None where nobody noted it.
        source: where it came from: upload, folder, hub, box, or setting for the one of
            the settings.
    """

    id: str
    name: str
    folder: Path
    facts: ModelFacts
    precision: str
    sampling: SamplingParams
    size: int
    created: str | None
    source: str

    @property
    def sound(self) -> str:
        """Changes whenever the model would make a voice sound different."""
        drawn = named_sampling(self.sampling)
        return f"{self.facts.identity} {self.precision}" + (f" {drawn}" if drawn else "")


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is meant to speak a request.

    Attributes:
        model: the model of this house, None where none is; it stands in where another box is meant.
        named: the id that the request names, empty where the house chooses.
        remote: whether another box is meant.
    """

    model: InstalledModel | None = None
    named: str = ""
    remote: bool = False

    @property
    def id(self) -> str:
        """The model's id, empty where there is none."""
        return "" if self.model is None else self.model.id


def slug_of(name: str) -> str:
    """An id made of a name: lower-case letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_ID].strip("-") or "model"


def about_file(name: str, created: str, source: str) -> bytes:
    """The bytes of `about.json`."""
    return json.dumps({"format": 1, "name": name, "created": created, "source": source}).encode()


def check_name(name: object) -> str:
    """A model's name on one line.

    Raises:
        BadRequest: it is empty, too long, or holds what cannot be printed.
    """
    text = " ".join(str(name).split())
    if not 1 <= len(text) <= LONGEST_NAME or not text.isprintable():
        message = f"name: must have 1 to {LONGEST_NAME} printable characters"
        raise BadRequest(message, param="name", limit=LONGEST_NAME)
    return text


def read_installed(folder: Path) -> InstalledModel:
    """A folder among the installed models; `CheckpointError` if it is none."""
    if folder.is_symlink() or not ID.fullmatch(folder.name):
        raise CheckpointError("its name is not one that the service gives")
    return read_model(folder, folder.name)


def read_external(folder: Path, taken: set[str]) -> InstalledModel:
    """A folder that the settings name; `CheckpointError` if it is no model."""
    model_id = slug_of(folder.resolve().name)
    while model_id in taken:
        model_id += "-setting"
    return replace(read_model(folder, model_id), name=folder.name, source="setting")


def read_model(folder: Path, model_id: str) -> InstalledModel:
    """A converted folder under an id; `CheckpointError` if it is not a whole one."""
    converted = ModelFolder.read(folder)
    about: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        if (folder / ABOUT).stat().st_size <= _MAX_ABOUT:
            about = dict(json.loads((folder / ABOUT).read_text(encoding="utf-8")))
    return InstalledModel(
        id=model_id,
        name=str(about.get("name") or model_id)[:LONGEST_NAME],
        folder=folder,
        facts=converted.model,
        precision=converted.precision,
        sampling=converted.sampling,
        size=sum(file.size for file in converted.files.values()),
        created=about.get("created"),
        source=str(about.get("source") or "folder"),
    )
