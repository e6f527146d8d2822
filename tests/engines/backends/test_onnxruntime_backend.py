"""What only the ONNX Runtime backend does; the rest is in test_conformance.py."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines.backends import CheckpointFiles, open_backend
from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
from engines.backends.torch_backend import TorchBackend
from engines.errors import CheckpointError, DeviceError
from engines.export import convert, trace
from engines.golden import Folder
from engines.graphs import Axis, TensorSpec, graphs
from engines.model_folder import write_manifest

# Every free size differs from the one that was traced, and from one set to the other.
SIZES = (
    {
        **{"samples": 4000, "speech": 21, "spectrum": 30, "prompt": 7, "phones": 13, "text": 9},
        **{"slots": 3, "cache": 40, "tokens": 10, "frames": 16, "heard": 16},
    },
    {
        **{"samples": 9001, "speech": 50, "spectrum": 90, "prompt": 0, "phones": 33, "text": 1},
        **{"slots": 1, "cache": 141, "tokens": 33, "frames": 66, "heard": 66},
    },
    {
        **{"samples": 400, "speech": 2, "spectrum": 1, "prompt": 1, "phones": 1, "text": 40},
        **{"slots": 2, "cache": 31, "tokens": 1, "frames": 1, "heard": 1},
    },
)
GRAPHS = (
    *("hubert", "quantize", "style", "condition", "t2s_prefill", "t2s_decode"),
    *("vits_encode", "vits_flow", "vits_generate"),
)
LIMITS = {"slot": 1, "length": 30, "position": 30}


def feed(tensor: TensorSpec, sizes: dict[str, int]) -> Any:
    shape = [sizes[axis.name] if isinstance(axis, Axis) else axis for axis in tensor.shape]
    random = np.random.default_rng(len(tensor.name))
    makers = {
        "int64": lambda: random.integers(0, LIMITS.get(tensor.name, 50), shape),
        "float32": lambda: random.normal(0, 0.3, shape).astype(np.float32),
    }
    return makers[tensor.dtype]()


@pytest.fixture(scope="module")
def backend(tiny_model: Path) -> OnnxRuntimeBackend:
    return OnnxRuntimeBackend(tiny_model)


def step(backend: OnnxRuntimeBackend) -> dict[str, Any]:
    sizes = SIZES[0]
    return {
        tensor.name: feed(tensor, sizes) for tensor in graphs(backend.model)["t2s_decode"].inputs
    }


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("graph", GRAPHS)
def test_a_graph_gives_what_torch_gives(
    backend: OnnxRuntimeBackend, tiny: TorchBackend, graph: str, sizes: dict[str, int]
) -> None:
    given = {tensor.name: feed(tensor, sizes) for tensor in graphs(tiny.model)[graph].inputs}
    expected, made = tiny.load(graph).run(given), backend.load(graph).run(given)
    for name, array in expected.items():
        assert made[name].shape == array.shape
        np.testing.assert_allclose(made[name], array, rtol=0, atol=2e-5 * np.abs(array).max())


def test_a_kept_cache_is_written_where_it_lies(backend: OnnxRuntimeBackend) -> None:
    session, given = backend.load("t2s_decode"), step(backend)
    kept = session.run(given, keep=("keys", "values"))
    memory = {name: kept[name].array for name in ("keys", "values")}
    before = {name: array.copy() for name, array in memory.items()}
    further = {**given, "length": given["length"] + 1, **{name: kept[name] for name in memory}}
    again = session.run(further, keep=("keys", "values"))
    for name, array in memory.items():
        assert again[name].array is array
        changed = (array != before[name]).any(axis=(0, 2, 4))
        assert changed.sum(axis=1).tolist() == [1, 1, 1]


def test_a_cache_that_is_not_kept_again_is_left_alone(backend: OnnxRuntimeBackend) -> None:
    session, given = backend.load("t2s_decode"), step(backend)
    kept = session.run(given, keep=("keys", "values"))
    before = kept["keys"].numpy()
    further = {**given, "length": given["length"] + 1}
    session.run({**further, "keys": kept["keys"], "values": kept["values"]})
    np.testing.assert_array_equal(kept["keys"].numpy(), before)


def test_a_failure_of_the_runtime_is_a_device_error(backend: OnnxRuntimeBackend) -> None:
    given = {
        tensor.name: feed(tensor, SIZES[0])
        for tensor in graphs(backend.model)["vits_encode"].inputs
    }
    given["codes"] = given["codes"] + 100_000
    with pytest.raises(DeviceError, match="vits_encode"):
        backend.load("vits_encode").run(given)
    outside = step(backend)
    outside["token"] = outside["token"] + 100_000
    with pytest.raises(DeviceError, match="t2s_decode"):
        backend.load("t2s_decode").run(outside)


def test_a_graph_that_was_left_out_is_named(backend: OnnxRuntimeBackend) -> None:
    with pytest.raises(CheckpointError, match="converted without the graph 'bert'"):
        backend.load("bert")


def test_a_damaged_graph_is_named(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    file = tmp_path / "model" / "condition.onnx"
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(CheckpointError, match=r"condition\.onnx cannot be loaded"):
        open_backend("onnxruntime", tmp_path / "model").load("condition")


@pytest.fixture(scope="module")
def pro(
    golden: Folder, tiny_files: CheckpointFiles, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CheckpointFiles, Path]:
    """A v2Pro model with its speaker network and with BERT, official and converted."""
    models = tmp_path_factory.mktemp("pro") / "models"
    shutil.copytree(tiny_files.models, models)
    shutil.copytree(golden.checkpoint("bert_tiny").parent, models / "chinese-roberta-wwm-ext-large")
    (models / "sv").mkdir()
    shutil.copyfile(golden.checkpoint("sv_tiny"), models / "sv" / "speaker.ckpt")
    files = CheckpointFiles(tiny_files.t2s, golden.checkpoint("s2_v2Pro"), models)
    convert(files, models.parent / "converted")
    return files, models.parent / "converted"


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("graph", ["bert", "speaker", "style"])
def test_bert_and_the_speaker_network_give_what_torch_gives(
    pro: tuple[CheckpointFiles, Path], graph: str, size: int
) -> None:
    files, folder = pro
    torchs, ours = open_backend("torch", files), open_backend("onnxruntime", folder)
    sizes = {"pieces": size, "fbank": 7 * size, "spectrum": size}
    given = {tensor.name: feed(tensor, sizes) for tensor in graphs(ours.model)[graph].inputs}
    expected, made = torchs.load(graph).run(given), ours.load(graph).run(given)
    for name, array in expected.items():
        assert made[name].shape == array.shape
        np.testing.assert_allclose(made[name], array, rtol=0, atol=2e-5 * np.abs(array).max())
    assert (folder / "tokenizer.json").read_bytes() == files.tokenizer.read_bytes()


def test_a_missing_speaker_network_leaves_no_folder(
    golden: Folder, tiny_files: CheckpointFiles, tmp_path: Path
) -> None:
    files = replace(tiny_files, sovits=golden.checkpoint("s2_v2Pro"))
    with pytest.raises(CheckpointError, match="needs the speaker network"):
        convert(files, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_an_earlier_version_speaks_on(
    tiny: TorchBackend, tiny_model: Path, tmp_path: Path
) -> None:
    class Flow(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flow = tiny.module("vits_flow").vits.flow

        def forward(self, latent: Any, flow_style: Any) -> Any:
            return self.flow(latent, flow_style)

    row = graphs(tiny.model)["vits_flow"]
    latent = replace(row.inputs[0], name="latent")
    old = replace(row, inputs=(latent, row.inputs[-1]))
    shutil.copytree(tiny_model, tmp_path / "old")
    trace(old, Flow(), tiny.model, tmp_path / "old" / "vits_flow.onnx")
    (tmp_path / "old" / "model.json").unlink()
    write_manifest(tmp_path / "old", tiny.model, "fp32", ["vits_flow"])
    given = {tensor.name: feed(tensor, SIZES[0]) for tensor in row.inputs}
    made = OnnxRuntimeBackend(tmp_path / "old").load("vits_flow").run(given)["flowed"]
    expected = tiny.load("vits_flow").run(given)["flowed"]
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
