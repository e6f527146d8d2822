from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from engines.__main__ import main
from engines.backends import CheckpointFiles, open_backend
from engines.backends.torch_backend import TorchBackend
from engines.model_folder import ModelFolder, write_manifest
from engines.sampling import SamplingParams
from engines.semantic import SemanticDecoder, Sentence, speak_in_order
from engines.verify import compare

GREEDY = SamplingParams(temperature=0.0, seed=0)


def official(files: CheckpointFiles) -> list[str]:
    return [
        *("--t2s", str(files.t2s), "--sovits", str(files.sovits), "--models", str(files.models))
    ]


def test_a_converted_model_is_within_the_bound(
    tiny_files: CheckpointFiles, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tiny_model), *official(tiny_files)]) == 0
    lines = capsys.readouterr().out.splitlines()
    # Nine graphs: one output each, but condition and the T2S graphs 3, vits_encode 2.
    assert len(lines) == 2 + 16
    assert lines[-1] == "bound 1e-04 relative: 0 beyond it"


@pytest.fixture
def spoiled(tiny_model: Path, tmp_path: Path) -> Path:
    """The model with one number of one matrix changed by a thousandth, and honest hashes."""
    folder = ModelFolder.read(tiny_model)
    shutil.copytree(tiny_model, tmp_path / "m")
    file = tmp_path / "m" / "condition.onnx"
    model = onnx.load(file)
    bias = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 1)
    changed = numpy_helper.to_array(bias) + np.float32(1e-3)
    bias.CopyFrom(numpy_helper.from_array(changed, bias.name))
    file.write_bytes(model.SerializeToString())
    (tmp_path / "m" / "model.json").unlink()
    write_manifest(tmp_path / "m", folder.model, folder.precision, folder.graphs)
    return tmp_path / "m"


def test_other_numbers_are_found(
    tiny_files: CheckpointFiles, spoiled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(spoiled), *official(tiny_files), "--only", "condition"]) == 1
    assert "beyond the bound" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--only", "bert"], "--only: the model has no graph 'bert'"),
        (["--sovits", "{v1}"], "was made from other files"),
        (["--backend", "abacus"], "error (backend_unavailable)"),
    ],
)
def test_a_refusal_is_one_line(
    tiny_files: CheckpointFiles,
    tiny_model: Path,
    golden: Any,
    capsys: pytest.CaptureFixture[str],
    changed: list[str],
    message: str,
) -> None:
    changed = [word.format(v1=golden.checkpoint("s2_v1")) for word in changed]
    assert main(["verify", str(tiny_model), *official(tiny_files), *changed]) == 2
    assert message in capsys.readouterr().err


def test_two_models_are_not_compared(tiny: TorchBackend, tiny_files: Any, golden: Any) -> None:
    from dataclasses import replace

    other = open_backend("torch", replace(tiny_files, sovits=golden.checkpoint("s2_v1")))
    with pytest.raises(ValueError, match="is not the model"):
        next(compare(tiny, other, ("style",)))


def sentences(count: int) -> list[Sentence]:
    random = np.random.default_rng(7)
    return [
        Sentence(
            phone_ids=random.integers(1, 700, 5 + number),
            bert=random.normal(size=(1024, 5 + number)).astype(np.float32),
            prompt=random.integers(0, 1024, number % 31),
            params=GREEDY,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("slots", [1, 3])
def test_greedy_tokens_are_torchs(tiny: TorchBackend, tiny_model: Path, slots: int) -> None:
    other = open_backend("onnxruntime", tiny_model)
    torchs, ours = (
        [
            stream.tokens
            for stream in speak_in_order(SemanticDecoder(backend, slots), sentences(40))
            if stream.finished
        ]
        for backend in (tiny, other)
    )
    assert ours == torchs
    assert len(set(map(tuple, ours))) > 30
