"""Reading a folder of golden vectors: its arrays, its recipe, its checkpoints, its README."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import shutil
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from engines.errors import EngineError

_ROW = re.compile(r"^\| `([^`]+)` \| [^|]* \| [^|]* \| (.*) \|$")
_CALL = re.compile(r"\b(fill|integers)\(('[^']*',\s*\([\d, ]*\)[^()]*)\)")
_SEED = re.compile(r"\bseed[ =](\d+)")


class GoldenError(EngineError):
    """A folder of golden vectors cannot be read."""

    code = "bad_golden_folder"


class Vectors:
    """The arrays of one npz file; remembers which were read as inputs."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as archive:
            self._arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
        self.group = path.stem
        self.inputs_read: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """All array names, in the file's order."""
        return tuple(self._arrays)

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def input(self, name: str) -> Any:
        """An array that our computation starts from; it is reported as `input`, not checked."""
        self.inputs_read.add(name)
        return self._arrays[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a recorded array: how many steps, frames or samples to compute."""
        shape: tuple[int, ...] = self._arrays[name].shape
        return shape

    def crop(self, name: str, value: Any) -> Any:
        """The part of `value` that was recorded: big arrays were cut, from index 0 on each axis."""
        lengths = self._arrays[name].shape if name in self else ()
        return np.asarray(value)[tuple(slice(length) for length in lengths)]

    def recorded(self, name: str) -> Any:
        """The expected value; for the comparison only, never for a group to compute with."""
        return self._arrays[name]


class Folder:
    """A folder laid out as `engines.golden` describes.

    Args:
        root: the folder.
        cache: where checkpoints are written; kept and reused when it outlives the process.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.cache = cache
        self._recipe: ModuleType | None = None
        self._readme = _descriptions(root / "README.md")

    def groups(self) -> tuple[str, ...]:
        """Names of the npz files, sorted."""
        return tuple(sorted(path.stem for path in self.root.glob("*.npz")))

    def vectors(self, group: str) -> Vectors:
        """The arrays of `group.npz`."""
        return Vectors(self.root / f"{group}.npz")

    @property
    def recipe(self) -> Any:
        """The folder's own `recipe.py`, with `fill`, `integers`, `load_manifest` and `write`."""
        if self._recipe is None:
            path = self.root / "recipe.py"
            spec = importlib.util.spec_from_file_location("golden_recipe", path)
            if not path.exists() or spec is None or spec.loader is None:
                raise GoldenError(f"{self.root} has no recipe.py to make its checkpoints with")
            self._recipe = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self._recipe)
        return self._recipe

    def checkpoint(self, name: str) -> Path:
        """Path of the checkpoint `manifests/name.json.gz` describes, written on first use.

        A Hugging Face network is a file inside its folder: take `.parent`.
        """
        manifest_file = self.root / "manifests" / f"{name}.json.gz"
        if not manifest_file.exists():
            raise GoldenError(f"{self.root} has no manifest of the checkpoint {name}")
        manifest = self.recipe.load_manifest(name)
        digest = hashlib.sha256((self.root / "recipe.py").read_bytes())
        digest.update(manifest_file.read_bytes())
        target = self.cache / f"{name}-{digest.hexdigest()[:16]}"
        if not target.exists():
            # Written aside and moved, since another process may be making the same one.
            part = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
            part.mkdir(parents=True)
            self.recipe.write(manifest, str(part))
            try:
                part.rename(target)
            except OSError:
                shutil.rmtree(part)
        return target / str(manifest["path"])

    def description(self, group: str, array: str) -> str:
        """What the README's table says about an array; empty where it says nothing."""
        return self._readme.get((group, array), "")

    def inputs_in(self, text: str, seed: int | None = None) -> dict[str, Any]:
        """The arrays a description refers to, by their recipe key.

        Finds calls such as `fill('z',(1,192,24),1.7)` or `integers('x',(1,40),0,732,1)`. Where the
        folder stores the seed it is passed here and wins; else a call's own seed counts, else the
        one the text names ("seed 5"), else 0.
        """
        named = _SEED.search(_CALL.sub("", text))
        made: dict[str, Any] = {}
        for function, arguments in _CALL.findall(text):
            own = _SEED.search(arguments) or named
            values = ast.literal_eval(f"({_SEED.sub('', arguments).rstrip(' ,')},)")
            # Both functions take the seed as their fifth argument.
            stated = values[4] if len(values) == 5 else int(own.group(1)) if own else 0
            used = stated if seed is None else seed
            made[values[0]] = getattr(self.recipe, function)(*values[:4], seed=used)
        return made


def _descriptions(readme: Path) -> dict[tuple[str, str], str]:
    """Table rows of the README: (group, array) → the last column."""
    rows: dict[tuple[str, str], str] = {}
    group = ""
    for line in readme.read_text(encoding="utf-8").splitlines() if readme.exists() else ():
        if line.startswith("### "):
            group = line[4:].strip().removesuffix(".npz")
        elif match := _ROW.match(line):
            rows[group, match.group(1)] = match.group(2)
    return rows
