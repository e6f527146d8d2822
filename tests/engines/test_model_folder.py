from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engines.errors import CheckpointError
from engines.model_folder import ModelFolder, write_manifest
from engines.sampling import SamplingParams


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """One to break: links, but for the manifest. (onnx refuses a file that has hard ones.)"""
    for path in tiny_model.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "model.json").unlink()
    shutil.copyfile(tiny_model / "model.json", tmp_path / "model.json")
    return tmp_path


def manifest(folder: Path) -> Any:
    return json.loads((folder / "model.json").read_text(encoding="utf-8"))


def test_a_folder_tells_its_model(folder: Path) -> None:
    read = ModelFolder.read(folder)
    assert (read.model.version, read.model.layers, read.precision) == ("v2", 2, "fp32")
    assert read.graphs[:2] == ("hubert", "quantize")
    assert set(read.files) == {path.name for path in folder.iterdir()} - {"model.json"}
    read.check_hashes()
    assert read.sampling == SamplingParams()


def test_a_manifest_may_say_how_its_model_sounds_best(folder: Path) -> None:
    named = {"temperature": 0.6, "repetition_penalty": 1, "top_k": 5}
    (folder / "model.json").write_text(json.dumps({**manifest(folder), "sampling": named}))
    read = ModelFolder.read(folder)
    assert read.sampling == SamplingParams(top_k=5, temperature=0.6, repetition_penalty=1)
    (folder / "model.json").unlink()
    write_manifest(folder, read.model, read.precision, read.graphs, read.sampling)
    assert manifest(folder)["sampling"] == named


def test_a_folder_without_a_manifest_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"it has no model\.json"):
        ModelFolder.read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format is 2, this version reads 1"),
        ({"precision": "int3"}, "precision must be one of"),
        ({"graphs": ["../t2s_decode"]}, r"'\.\./t2s_decode' is not the name of a file"),
        ({"graphs": ["t2s_encode"]}, r"files does not list t2s_encode\.onnx"),
        ({"files": {"/x": {"size": 1, "sha256": ""}}}, "'/x' is not the name of a file"),
        ({"files": 3}, "cannot be read"),
        ({"sampling": {"seed": 3}}, "sampling: 'seed' is none of"),
        ({"sampling": {"temperature": "0.6"}}, r"sampling\.temperature must be a number"),
        ({"sampling": {"top_k": 1.5}}, r"sampling\.top_k must be a number"),
        ({"sampling": {"top_p": True}}, r"sampling\.top_p must be a number"),
        ({"sampling": {"temperature": -1}}, "temperature must be 0 or more"),
        ({"model": {"version": 2}}, r"model\.version must be str"),
    ],
)
def test_a_bad_manifest_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    (folder / "model.json").write_text(json.dumps({**manifest(folder), **changes}))
    with pytest.raises(CheckpointError, match=message):
        ModelFolder.read(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{" * 2_000_000])
def test_what_is_not_a_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"model\.json"):
        ModelFolder.read(folder)


def test_a_file_that_is_cut_is_named(folder: Path) -> None:
    data = (folder / "style.onnx").read_bytes()
    (folder / "style.onnx").unlink()
    (folder / "style.onnx").write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match=r"style\.onnx: must have"):
        ModelFolder.read(folder)


def test_a_file_that_was_changed_is_named(folder: Path) -> None:
    data = (folder / "style.onnx").read_bytes()
    (folder / "style.onnx").unlink()
    (folder / "style.onnx").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"style\.onnx is damaged"):
        ModelFolder.read(folder).check_hashes()
