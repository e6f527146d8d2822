"""Calibrated graphs: explicit, close enough or refused, and built by TensorRT."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines import calibrate as module
from engines.__main__ import main
from engines.backends.tensorrt_module import find_tensorrt
from engines.build import build
from engines.calibrate import GRAPHS, Cost, spectral_distance
from engines.engine_store import EngineStore
from engines.errors import ConvertError
from engines.graphs import graphs
from engines.model_folder import ModelFolder
from engines.padding import without_padding
from engines.prompt import VoicePrompt
from engines.token_drift import TokenDrift
from engines.verify import SIZES, random_feeds


@pytest.fixture(scope="module")
def calibrated(
    tiny_model: Path, voice: VoicePrompt, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    root = tmp_path_factory.mktemp("calibrated")
    shutil.copytree(tiny_model, root / "model")
    (root / "voices" / "me").mkdir(parents=True)
    voice.save(root / "voices" / "me" / "prompt.npz")
    (root / "texts").write_text("Hello there.\n\nThe door is open.\nDinner is ready.\n")
    with pytest.MonkeyPatch.context() as patch:
        # Random weights never end by themselves.
        patch.setattr("engines.synthesizer.RAMBLING_PER_PHONE", 0)
        patch.setattr("engines.synthesizer.RAMBLING_BASE", 12)
        assert main(command(root)) == 0
    return root


def command(root: Path, **changed: Path) -> list[str]:
    paths = {"texts": root / "texts", "voices": root / "voices", **changed}
    given = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    return ["calibrate", str(root / "model"), *given, "--threads", "1"]


def test_the_graphs_are_explicit(calibrated: Path) -> None:
    folder = ModelFolder.read(calibrated / "model")
    for graph in GRAPHS:
        model = onnx.load(folder.root / f"{graph}.int8.onnx")
        kinds = [node.op_type for node in model.graph.node]
        assert kinds.count("DequantizeLinear") > kinds.count("QuantizeLinear") > 0
        zeros = {node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"}
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        assert all(not onnx.numpy_helper.to_array(tensors[name]).any() for name in zeros)


def test_tensorrt_builds_them(calibrated: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    folder, trt = ModelFolder.read(calibrated / "model"), find_tensorrt()
    names = ("vits_encode", "vits_flow", "vits_generate")
    made = list(build(folder, trt, "int8", ("sm89",), EngineStore(tmp_path), names))
    assert [each.reason for each in made] == ["", "", ""]


def test_what_it_says(
    calibrated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = Cost(1.25, TokenDrift(320, 0.99, 0.012, 0.0))
    monkeypatch.setattr(module, "calibrate", lambda folder, fed, progress: cost)
    assert main(command(calibrated)) == 0
    out = capsys.readouterr().out
    assert "3 sentences, 1000 are advised" in out
    assert "int8 is 1.25 dB away from float32" in out
    assert "1.20% differently at best (bound 5%), the likeliest stays in 99.0% (bound 92%)" in out


def test_too_far_away_is_refused(
    calibrated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted((calibrated / "model").iterdir())
    monkeypatch.setattr(module, "_distance", lambda *_: 3.5)
    monkeypatch.setattr(module, "_quantize", lambda *parts: parts[-1].write_bytes(b"coarse"))
    assert main(command(calibrated)) == 2
    assert "calibrate with more sentences (3 were given), or use fp16" in capsys.readouterr().err
    assert sorted((calibrated / "model").iterdir()) == before


@pytest.mark.parametrize(("agreement", "variation"), [(0.91, 0.0), (1.0, 0.051)])
def test_tokens_too_far_away_are_refused(
    calibrated: Path, monkeypatch: pytest.MonkeyPatch, agreement: float, variation: float
) -> None:
    drift = TokenDrift(320, agreement, variation, 0.0)
    monkeypatch.setattr(module, "token_cost", lambda _: drift)
    folder = ModelFolder.read(calibrated / "model")
    before = sorted(folder.root.iterdir())
    with pytest.raises(ConvertError, match=r"tokens in float16, which costs this model too much"):
        module.calibrate(folder, {graph: [{}, {}] for graph in GRAPHS})
    assert sorted(folder.root.iterdir()) == before


def test_the_tokens_of_an_int8_build_are_measured(calibrated: Path) -> None:
    drift = module.token_cost(ModelFolder.read(calibrated / "model"))
    assert 0 < drift.variation < 1e-2
    assert drift.tolerable


@pytest.mark.parametrize("graph", GRAPHS)
def test_onnx_runtime_takes_them_too(calibrated: Path, graph: str) -> None:
    folder = ModelFolder.read(calibrated / "model")
    row = graphs(folder.model)[graph]
    feeds = without_padding(row, random_feeds(row, folder.model, SIZES[0], 0))
    exact, coarse = (
        module._session(each).run(None, feeds)[0]
        for each in (
            module.graph_model(folder, graph, "fp32"),
            onnx.load(folder.root / f"{graph}.int8.onnx"),
        )
    )
    error = np.abs(exact - coarse).max() / np.abs(exact).max()
    assert 0 < error < 0.3


@pytest.mark.parametrize(
    ("what", "message"), [("texts", "cannot be read"), ("voices", "holds no voice of this model")]
)
def test_what_is_missing_is_named(
    calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, message: str
) -> None:
    assert main(command(calibrated, **{what: tmp_path / "none"})) == 2
    assert f"--{what}: " in capsys.readouterr().err.replace("error", "")
    assert main(command(calibrated, **{what: tmp_path / "none"})) == 2
    assert message in capsys.readouterr().err


def test_the_distance_is_in_decibels() -> None:
    sound = np.sin(np.arange(8192) * 0.05).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.2, 8192)
    assert spectral_distance(sound + noise, sound + noise) == 0
    assert spectral_distance(sound + noise, 2 * (sound + noise)) == pytest.approx(6.02, abs=0.1)
    assert spectral_distance(sound + noise, np.zeros_like(sound)) > 10
