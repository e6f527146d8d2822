"""The kernels read the weights of a converted model: they are the checkpoint's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.backends import CheckpointFiles
from engines.backends.kernels.graph_weights import official_weights
from engines.checkpoint import load_t2s
from engines.errors import CheckpointError
from engines.model_folder import PLAIN_STEP


def test_they_are_the_checkpoints(tiny_files: CheckpointFiles, tiny_model: Path) -> None:
    expected = {
        name.removeprefix("model."): tensor.numpy()
        for name, tensor in load_t2s(tiny_files.t2s).weights.items()
    }
    made = official_weights(tiny_model / PLAIN_STEP)
    # What only the prefill reads is not in a step.
    wanted = [name for name in expected if not name.startswith(("ar_text", "bert_proj"))]
    assert len(wanted) > 20
    for name in wanted:
        np.testing.assert_array_equal(made[name], expected[name], err_msg=name)


def test_another_graph_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="four a layer"):
        official_weights(tiny_model / "condition.onnx")
    (tmp_path / "x.onnx").write_bytes(onnx.ModelProto().SerializeToString()[:1] + b"\xff")
    with pytest.raises(CheckpointError, match="cannot be read"):
        official_weights(tmp_path / "x.onnx")
