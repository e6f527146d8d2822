"""The official files of a model: what an upload may hold, and where each of them goes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from engines.spec import BERT_FILES, HUBERT_FILES, OFFICIAL_FILES, SPEAKER_FILES, SPECS
from service.durable import sync_folder
from service.errors import BadRequest

T2S, SOVITS = "t2s.ckpt", "sovits.pth"
SHARED = "models"  # beside them: the networks that all models share, a folder each
BASE = ".base"  # in the folder of the models: shared networks that came with an earlier one
_GIB, _MIB = 1 << 30, 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where an uploaded file goes, and how many bytes it may have."""

    path: str
    limit: int


UPLOADS = {
    "t2s": Place(T2S, _GIB),
    "sovits": Place(SOVITS, _GIB),
    "hubert_config": Place(f"{SHARED}/{HUBERT_FILES[0]}", _MIB),
    "hubert": Place(f"{SHARED}/{HUBERT_FILES[1]}", _GIB),
    "bert_config": Place(f"{SHARED}/{BERT_FILES[0]}", _MIB),
    "bert_tokenizer": Place(f"{SHARED}/{BERT_FILES[1]}", 16 * _MIB),
    "bert": Place(f"{SHARED}/{BERT_FILES[2]}", 3 * _GIB),
    "speaker": Place(f"{SHARED}/{SPEAKER_FILES[0]}", _GIB),
}
"""Field of the form → where its file goes; no name that a client sends is ever part of a path."""
MOST_BYTES = sum(place.limit for place in UPLOADS.values())


def parts(files: tuple[str, ...]) -> set[str]:
    """The folders that files of shared networks lie in."""
    return {Path(name).parts[0] for name in files}


def files_of(version: str, base: Path, *, chinese: bool) -> list[str]:
    """What must be downloaded for a version, but for what is there already.

    Args:
        version: a key of `OFFICIAL_FILES`.
        base: where shared networks lie that came earlier.
        chinese: also what only Chinese texts need.
    """
    shared = [*HUBERT_FILES, *(BERT_FILES if chinese else ())]
    if SPECS[version].speaker_embedding:
        shared += SPEAKER_FILES
    return [*OFFICIAL_FILES[version], *(name for name in shared if not (base / name).is_file())]


def find_pair(folder: Path) -> tuple[Path, Path]:
    """The one `.ckpt` and the one `.pth` of a folder.

    Raises:
        BadRequest: there are none, or several.
    """
    found: list[Path] = []
    for suffix in (".ckpt", ".pth"):
        files = sorted(folder.glob(f"*{suffix}"))
        if len(files) != 1:
            message = f"folder: {folder.name} must hold one {suffix} file, it holds {len(files)}"
            raise BadRequest(message, param="folder")
        found.append(files[0])
    return found[0], found[1]


def gather(given: Path, base: Path, gathered: Path) -> Path:
    """A folder of links to the shared networks: those that are given, else those from earlier.

    Raises:
        BadRequest: the speech encoder, which every model needs, is in neither.
        OSError: it cannot be written.
    """
    gathered.mkdir(parents=True, exist_ok=True)
    for name in sorted(parts((*HUBERT_FILES, *BERT_FILES, *SPEAKER_FILES))):
        source = next((each / name for each in (given, base) if (each / name).is_dir()), None)
        if source is not None:
            (gathered / name).symlink_to(source.resolve(), target_is_directory=True)
    if lacking := [name for name in HUBERT_FILES if not (gathered / name).is_file()]:
        message = f"hubert: {lacking[0]} is missing; send it with the first model"
        raise BadRequest(message, param="hubert")
    return gathered


def keep_shared(given: Path, base: Path) -> None:
    """Keep shared networks for later models, where they are not kept yet.

    Raises:
        OSError: they cannot be moved.
    """
    for name in sorted(parts((*HUBERT_FILES, *BERT_FILES, *SPEAKER_FILES))):
        if (given / name).is_dir() and not (base / name).exists():
            base.mkdir(parents=True, exist_ok=True)
            (given / name).rename(base / name)
            sync_folder(base)


def copy_model(source: Path, target: Path, names: list[str]) -> None:
    """Copy a converted model's files.

    Raises:
        OSError: one cannot be read or written.
    """
    target.mkdir()
    for name in names:
        shutil.copyfile(source / name, target / name)
