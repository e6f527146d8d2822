"""Golden vectors: recompute a folder of recorded arrays and say how far off we are.

A folder holds `recipe.py` (the number formula that makes weights and inputs), `manifests/` (what
the checkpoints contain), one `NAME.npz` per group and a `README.md` that describes every array.
A group is a module of this package with one function

    recompute(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, numpy.ndarray]]

that reads its inputs with `vectors.input(name)` and yields `(array name, our value)` pairs. Nothing
is yielded twice and nothing recorded may be copied through: what is neither read as an input nor
yielded counts as NOT CHECKED, and so does an array that a failing group never came to.
`recipe.py` is code and is executed: run this only on folders you trust.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engines.golden.folder import Folder, GoldenError, Vectors

__all__ = ["Check", "Folder", "GoldenError", "Vectors", "check_folder"]

_LOG = logging.getLogger(__name__)

FLOAT_TOLERANCE = 2e-5
"""Worst absolute error of a float32 array; ten times the original's own rounding."""
PCM_TOLERANCE = 2
"""Worst difference of 16-bit samples."""

GROUPS = {
    "audio": "engines.golden.audio",
    "bert": "engines.golden.bert",
    "full": "engines.golden.full",
    "hubert": "engines.golden.hubert",
    "pipeline": "engines.golden.pipeline",
    "s1": "engines.golden.s1",
    "s2": "engines.golden.s2",
    "sampler": "engines.golden.sampler",
    "sv": "engines.golden.sv",
}
"""Which module recomputes `NAME.npz`; a name after an underscore is a variant (`s2_…`)."""

Recompute = Callable[[Folder, Vectors], Iterator[tuple[str, Any]]]


@dataclass(frozen=True, slots=True)
class Check:
    """Verdict on one recorded array.

    Attributes:
        group: name of the npz file without its suffix.
        array: name of the array in it.
        state: `ok`, `input`, `WRONG` or `NOT CHECKED`.
        worst: largest absolute error; infinite where shape, NaN or infinities differ.
        tolerance: largest error that passes; 0 for tokens.
        note: why, where the state needs a reason.
    """

    group: str
    array: str
    state: str
    worst: float = 0.0
    tolerance: float = 0.0
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the array is right, or an input that the group used."""
        return self.state in ("ok", "input")


def check_folder(folder: Folder, only: tuple[str, ...] = ()) -> Iterator[Check]:
    """Recompute every array of `folder`, or of the groups named in `only`.

    Yields one `Check` per recorded array, group by group.

    Raises:
        GoldenError: the folder has no vectors, or a name in `only` is not one of its groups.
    """
    names = folder.groups()
    unknown = sorted(set(only) - set(names))
    if not names or unknown:
        held = ", ".join(names) or "none"
        raise GoldenError(f"{folder.root} has no group {', '.join(unknown)} (it has: {held})")
    for name in names:
        if not only or name in only:
            yield from check_group(folder, name)


def check_group(folder: Folder, name: str) -> Iterator[Check]:
    """Recompute the arrays of `name.npz`."""
    vectors = folder.vectors(name)
    verdicts: dict[str, Check] = {}
    failure = "nothing recomputes it"
    original = _original_errors(vectors)
    try:
        for array, ours in _recompute(name)(folder, vectors):
            if array in vectors:
                check = _compare(name, array, np.asarray(ours), vectors.recorded(array))
                verdicts[array] = replace(check, note=check.note or original.get(array, ""))
    # One broken group must not hide the verdicts on the others.
    except Exception as error:
        _LOG.exception("group %s stopped", name)
        failure = f"{type(error).__name__}: {error}".splitlines()[0]
    for array in vectors.names:
        if array in verdicts:
            yield verdicts[array]
        elif array in vectors.inputs_read:
            yield Check(name, array, "input")
        else:
            yield Check(name, array, "NOT CHECKED", float("inf"), note=failure)


def _original_errors(vectors: Vectors) -> dict[str, str]:
    """How far the original's float32 is from its own float64, where the folder says so."""
    if "tolerance_names" not in vectors:
        return {}
    names, errors = vectors.input("tolerance_names"), vectors.input("tolerance_f64")
    return {
        str(name): f"original's own rounding {error:.1e}"
        for name, error in zip(names, errors, strict=True)
    }


def _recompute(name: str) -> Recompute:
    module = GROUPS.get(name) or GROUPS.get(name.split("_")[0])
    if module is None:
        raise GoldenError(f"no group recomputes {name}.npz")
    function: Recompute = importlib.import_module(module).recompute
    return function


def _compare(group: str, array: str, ours: Any, recorded: Any) -> Check:
    if ours.shape != recorded.shape:
        note = f"shape {ours.shape}, recorded {recorded.shape}"
        return Check(group, array, "WRONG", float("inf"), note=note)
    if recorded.dtype.kind not in "fiub":
        equal = bool((ours == recorded).all())
        return Check(group, array, "ok" if equal else "WRONG", 0.0 if equal else float("inf"))
    tolerance = FLOAT_TOLERANCE if recorded.dtype.kind == "f" else 0.0
    tolerance = PCM_TOLERANCE if recorded.dtype == np.int16 else tolerance
    worst = worst_error(ours, recorded)
    return Check(group, array, "ok" if worst <= tolerance else "WRONG", worst, tolerance)


def worst_error(ours: Any, recorded: Any) -> float:
    """Largest absolute difference; equal infinities agree, a NaN on either side never does."""
    if not recorded.size:
        return 0.0
    left, right = ours.astype(np.float64), recorded.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.where(left == right, 0.0, np.abs(left - right))
    worst = float(np.max(difference))
    return float("inf") if np.isnan(worst) else worst
