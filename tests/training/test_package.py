"""A package unpacks without torch to the model that its official files convert to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.backends import CheckpointFiles, open_backend
from engines.compact import FILES, GRAPHS, RECIPE, lay_out, pack_graphs, stored, unpack, waves
from engines.errors import CheckpointError, ConvertError
from engines.model_folder import ModelFolder
from engines.verify import RELATIVE_BOUND, compare
from training.card import card
from training.evaluate import SAMPLING
from training.package import OFFICIAL, PackageError, ingredients, pack

TORCHLESS = """
import sys
sys.modules["torch"] = sys.modules["onnx"] = None
from pathlib import Path
from engines.compact import unpack
unpack(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def package(files: CheckpointFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "demo"
    pack(files.models.parent, folder)
    return folder


def test_what_is_unpacked_without_torch_computes_the_same(
    package: Path, files: CheckpointFiles, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", TORCHLESS, str(package), str(tmp_path / "model")]
    subprocess.run(command, check=True, timeout=300)
    ModelFolder.read(tmp_path / "model").check_hashes()
    reference = open_backend("torch", files)
    other = open_backend("onnxruntime", tmp_path / "model")
    names = ModelFolder.read(tmp_path / "model").graphs
    worst = list(compare(reference, other, names))
    assert {each.graph for each in worst} == set(names)
    assert max(each.relative for each in worst) < RELATIVE_BOUND


def test_the_official_files_are_the_weights(package: Path) -> None:
    larger = sum((package / FILES / stored(name)).stat().st_size for name in OFFICIAL)
    recipe, graphs = (package / RECIPE).stat().st_size, (package / GRAPHS).stat().st_size
    everything = [path for path in package.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in everything) == larger + recipe + graphs


def test_no_file_is_taken_for_a_manifest_and_all_have_their_names_back(
    package: Path, files: CheckpointFiles, tmp_path: Path
) -> None:
    assert not list(package.rglob("config.*"))
    lay_out(package, tmp_path)
    for name in OFFICIAL:
        assert (tmp_path / name).read_bytes() == (files.models.parent / name).read_bytes()


def test_the_same_graphs_make_the_same_bytes(package: Path, tmp_path: Path) -> None:
    unpack(package, tmp_path / "model")
    pack_graphs(tmp_path / "model", tmp_path / GRAPHS)
    assert (tmp_path / GRAPHS).read_bytes() == (package / GRAPHS).read_bytes()


def test_a_package_says_how_it_sounds_best(package: Path, tmp_path: Path) -> None:
    unpack(package, tmp_path / "model")
    assert ModelFolder.read(tmp_path / "model").sampling == SAMPLING


@pytest.mark.parametrize("name", [f"{FILES}/{OFFICIAL[0]}", f"{FILES}/{OFFICIAL[3]}", GRAPHS])
def test_a_damaged_file_is_refused(package: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        unpack(copy, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("format", 1), ("sampling", {"seed": 1}), ("size", 1 << 40), ("size", 64), ("files", {})],
)
def test_a_recipe_that_does_not_fit_is_refused(
    package: Path, tmp_path: Path, field: str, value: object
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    recipe = json.loads((copy / RECIPE).read_text())
    (copy / RECIPE).write_text(json.dumps({**recipe, field: value}))
    with pytest.raises(CheckpointError, match=r"copy|recipe"):
        unpack(copy, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_folder_that_exists_is_left_alone(package: Path, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="cannot be written"):
        unpack(package, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_tensor_from_nowhere_is_told(
    package: Path, files: CheckpointFiles, tmp_path: Path
) -> None:
    unpack(package, tmp_path / "model")
    content = torch.load(files.sovits, weights_only=True)
    content["weight"]["enc_p.proj.weight"] += 1
    shutil.copytree(package / FILES, tmp_path / "files")
    torch.save(content, tmp_path / "files" / "sovits.pth")
    with pytest.raises(PackageError, match="enc_p"):
        ingredients(tmp_path / "files", tmp_path / "model")


def test_waves_are_the_networks_own() -> None:
    from engines.networks.t2s import Position

    np.testing.assert_allclose(waves(4000, 32), Position(32).table.numpy(), atol=1e-3)


def test_the_card_says_what_it_learned_from_and_how_it_sounds_best(package: Path) -> None:
    scores = {"all": {"wer": 0.25, "dnsmos": 2.5}}
    said = card(scores, {"fp32": {"wer": 0.25}, "int8": {"wer": 0.26}}, package)
    for fact in ("160 speakers", "40 more", "Temperature 0.6", "| int8 | 0.26 |", "| bar | 0.1 |"):
        assert fact in said
