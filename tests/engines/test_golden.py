"""The check of recorded arrays: that it passes on ours and fails on anything spoilt."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.__main__ import main
from engines.golden import Check, Folder, GoldenError, check_folder, check_group, worst_error
from engines.golden.folder import Vectors

GROUPS = ("audio", "bert", "hubert", "s1", "s2_v1", "s2_v2", "s2_v2Pro", "sampler", "sv")
SLOW_GROUPS = ("full", "pipeline")


def failed(checks: list[Check]) -> list[str]:
    return [
        f"{check.array} {check.state} {check.worst} {check.note}"
        for check in checks
        if not check.passed
    ]


@pytest.mark.parametrize("group", GROUPS)
def test_every_array_of_a_group_is_right(golden: Folder, group: str) -> None:
    checks = list(check_group(golden, group))
    assert failed(checks) == []
    assert {check.array for check in checks} == set(golden.vectors(group).names)
    assert any(check.state == "ok" for check in checks)


@pytest.mark.slow
@pytest.mark.parametrize("group", SLOW_GROUPS)
def test_every_array_of_a_slow_group_is_right(golden: Folder, group: str) -> None:
    assert failed(list(check_group(golden, group))) == []


def test_no_group_is_forgotten(golden: Folder) -> None:
    assert set(golden.groups()) == {*GROUPS, *SLOW_GROUPS}


@pytest.fixture
def spoil(golden: Folder, tmp_path: Path) -> Callable[..., Folder]:
    """A copy of one group with some arrays replaced."""

    def make(group: str, **changes: Callable[[Any], Any]) -> Folder:
        for name in ("recipe.py", "README.md"):
            shutil.copy(golden.root / name, tmp_path / name)
        shutil.copytree(golden.root / "manifests", tmp_path / "manifests")
        arrays = dict(np.load(golden.root / f"{group}.npz"))
        for name, change in changes.items():
            arrays[name.replace("__", ".")] = change(arrays.get(name.replace("__", ".")))
        np.savez(tmp_path / f"{group}.npz", **arrays)
        return Folder(tmp_path, golden.cache)

    return make


def add(amount: float) -> Callable[[Any], Any]:
    return lambda array: array + np.array(amount, array.dtype)


def one_nan(array: Any) -> Any:
    spoilt = array.copy()
    spoilt.flat[0] = np.nan
    return spoilt


@pytest.mark.parametrize(
    ("array", "change", "state"),
    [
        ("last_hidden_state", add(4e-5), "WRONG"),
        ("last_hidden_state", add(1e-5), "ok"),
        ("last_hidden_state", one_nan, "WRONG"),
        ("last_hidden_state", lambda array: array[:, 1:], "WRONG"),
        ("lengths", add(1), "WRONG"),
        ("something_new", lambda _: np.zeros(3), "NOT CHECKED"),
    ],
)
def test_a_spoilt_array_is_noticed(
    spoil: Callable[..., Folder], array: str, change: Callable[[Any], Any], state: str
) -> None:
    states = {
        check.array: check.state
        for check in check_group(spoil("hubert", **{array: change}), "hubert")
    }
    assert states.pop(array) == state
    assert set(states.values()) <= {"ok", "input"}


def test_a_changed_input_changes_what_is_recomputed(spoil: Callable[..., Folder]) -> None:
    folder = spoil("hubert", wav=lambda wav: wav[::-1].copy())
    states = {check.array: check.state for check in check_group(folder, "hubert")}
    assert states["last_hidden_state"] == "WRONG"
    assert states["wav"] == "input"


def test_fewer_recorded_references_and_speeds_are_fine(golden: Folder, tmp_path: Path) -> None:
    shutil.copytree(golden.root / "manifests", tmp_path / "manifests")
    shutil.copy(golden.root / "recipe.py", tmp_path)
    gone = ("speed0.8", "tolerance", "mid.dec", "mid.flow.flows.3", "dec.refer1", "multi")
    arrays = {k: v for k, v in np.load(golden.root / "s2_v2.npz").items() if not k.startswith(gone)}
    np.savez(tmp_path / "s2_v2.npz", **arrays)
    assert failed(list(check_group(Folder(tmp_path, golden.cache), "s2_v2"))) == []


def test_a_group_that_stops_leaves_its_arrays_unchecked(spoil: Callable[..., Folder]) -> None:
    folder = spoil("hubert", wav=lambda _: np.zeros(3, np.float32))
    checks = {check.array: check for check in check_group(folder, "hubert")}
    assert checks["last_hidden_state"].state == "NOT CHECKED"
    assert "Error" in checks["last_hidden_state"].note


def test_vectors_of_an_unknown_group_are_unchecked(tmp_path: Path) -> None:
    np.savez(tmp_path / "novelty.npz", x=np.zeros(2))
    (check,) = check_folder(Folder(tmp_path, tmp_path))
    assert (check.state, check.passed) == ("NOT CHECKED", False)
    assert "novelty" in check.note


@pytest.mark.parametrize("only", [(), ("audio",)])
def test_an_empty_folder_is_an_error(tmp_path: Path, only: tuple[str, ...]) -> None:
    with pytest.raises(GoldenError):
        list(check_folder(Folder(tmp_path, tmp_path), only))


def test_a_folder_without_recipe_says_so(tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match=r"recipe\.py"):
        Folder(tmp_path, tmp_path).inputs_in("fill('z',(2,3),1.7)")


def test_a_missing_manifest_is_named(golden: Folder) -> None:
    with pytest.raises(GoldenError, match="s2_unheard"):
        golden.checkpoint("s2_unheard")


def test_infinities_must_match() -> None:
    left = np.array([np.inf, -np.inf, 1.0])
    assert worst_error(left, left) == 0
    assert worst_error(left, -left) == np.inf
    assert worst_error(left, np.array([np.nan, -np.inf, 1.0])) == np.inf


@pytest.mark.parametrize(
    ("text", "seed", "expected"),
    [
        ("inputs seed 5: z = fill('z',(2,3),1.7)", None, ("z", 1.7, 0.0, 5)),
        ("z = fill('z',(2,3),0.8,0.5,6)", None, ("z", 0.8, 0.5, 6)),
        ("z = fill('z',(2,3),0.8,0.5,seed 3)", None, ("z", 0.8, 0.5, 3)),
        ("z = fill('z',(2,3),0.8,0.5,6)", 9, ("z", 0.8, 0.5, 9)),
    ],
)
def test_stated_inputs_are_made_as_stated(
    golden: Folder, text: str, seed: int | None, expected: tuple[str, float, float, int]
) -> None:
    name, scale, center, used = expected
    made = golden.inputs_in(text, seed)
    assert list(made) == [name]
    np.testing.assert_array_equal(made[name], golden.recipe.fill(name, (2, 3), scale, center, used))


def test_stated_tokens_are_integers(golden: Folder) -> None:
    made = golden.inputs_in("integers('x',(1,40),0,732,1), integers('y',(2,),5,7)")
    assert made["x"].shape == (1, 40)
    assert set(made["y"]) <= {5, 6}


def test_an_array_read_as_input_is_remembered(golden: Folder) -> None:
    vectors: Vectors = golden.vectors("hubert")
    vectors.input("wav")
    assert vectors.inputs_read == {"wav"}


def test_the_command_passes_and_prints_each_array(
    golden: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["golden", str(golden.root), "--only", "audio", "--cache", str(golden.cache)])
    printed = capsys.readouterr().out
    assert status == 0
    assert all(f"audio/{name} " in printed for name in golden.vectors("audio").names)
    assert "0 failed" in printed


def test_the_command_fails_and_names_the_array(
    spoil: Callable[..., Folder], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = spoil("audio", sola__out=add(1e-3))
    status = main(["golden", str(folder.root), "--failed"])
    printed = capsys.readouterr().out
    assert status == 1
    assert "audio/sola.out" in printed
    assert "audio/spec.out" not in printed


def test_the_command_refuses_a_folder_without_vectors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["golden", str(tmp_path)]) == 2
    assert "bad_golden_folder" in capsys.readouterr().err
