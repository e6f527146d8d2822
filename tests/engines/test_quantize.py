from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from engines import export
from engines.__main__ import main
from engines.backends import CheckpointFiles, open_backend
from engines.backends.torch_backend import TorchBackend
from engines.errors import ConvertError
from engines.export import convert
from engines.model_folder import ModelFolder
from engines.quantize import quantize_layers, quantized
from engines.token_drift import measure_drift


@pytest.fixture(scope="module")
def small(tiny_files: CheckpointFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted") / "int8"
    drift = convert(tiny_files, folder, "int8")
    assert drift is not None
    assert drift.tokens == 320
    return folder


@pytest.mark.parametrize("block", [16, 64])
def test_a_matrix_is_rounded_to_nearest(block: int) -> None:
    matrix = np.random.default_rng(0).normal(0, 1, (64, 5)).astype(np.float32)
    matrix[:, 1] = 0
    values, scales = quantized(matrix, block)
    assert (values.shape, scales.shape) == ((5, 64 // block, block), (5, 64 // block))
    back = ((values.astype(np.float32) - 128) * scales[:, :, None]).reshape(5, 64).T
    steps = np.repeat(scales, block, axis=1).T
    assert (np.abs(back - matrix) <= steps * 0.5001).all()
    assert (back[:, 1] == 0).all()


@pytest.mark.parametrize("graph", ["t2s_prefill", "t2s_decode"])
def test_every_layer_has_its_four_matrices_in_bytes(small: Path, graph: str) -> None:
    model = onnx.load(small / f"{graph}.onnx", load_external_data=False)
    products = [node for node in model.graph.node if node.op_type == "MatMulNBits"]
    assert len(products) == 4 * ModelFolder.read(small).model.layers
    sizes = {(node.attribute[0].i, node.attribute[1].i) for node in products}
    assert sizes == {(32, 96), (32, 32), (32, 128), (128, 32)}


def test_a_graph_of_another_size_is_refused(tiny_model: Path) -> None:
    model = onnx.load(tiny_model / "t2s_decode.onnx")
    with pytest.raises(ValueError, match="8 matrices for 3 layers"):
        quantize_layers(model, 3)


def test_bytes_cost_little(tiny: TorchBackend, small: Path, tiny_model: Path) -> None:
    rounded = measure_drift(tiny, open_backend("onnxruntime", small))
    exact = measure_drift(tiny, open_backend("onnxruntime", tiny_model))
    assert exact.agreement == 1
    assert exact.variation < 1e-4
    assert exact.error < 1e-4 < rounded.error
    assert rounded.variation <= export.MOST_VARIATION
    assert rounded.agreement >= export.LEAST_AGREEMENT


def test_too_much_lost_quality_is_refused(
    tiny_files: CheckpointFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coarse(matrix: np.ndarray, block: int) -> object:
        values, scales = quantized(matrix, block)
        return values // 32 * 32, scales

    monkeypatch.setattr("engines.quantize.quantized", coarse)
    with pytest.raises(ConvertError, match="int8 costs this model too much"):
        convert(tiny_files, tmp_path / "model", "int8")
    assert list(tmp_path.iterdir()) == []


def test_verify_bounds_the_rest_of_it(
    small: Path, tiny_files: CheckpointFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--t2s", str(tiny_files.t2s), "--sovits", str(tiny_files.sovits)]
    arguments = [*files, "--models", str(tiny_files.models)]
    assert main(["verify", str(small), *arguments, "--only", "t2s_decode", "condition"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("int8") for line in lines] == [False, *[True] * 3, *[False] * 4]
