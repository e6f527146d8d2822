"""Converting; that the graphs compute the same is in backends/test_onnxruntime_backend.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines import export
from engines.__main__ import main
from engines.backends import CheckpointFiles
from engines.errors import ConvertError
from engines.export import convert
from engines.graphs import graphs
from engines.model_folder import ModelFolder


def test_every_graph_is_there_but_bert_whose_files_are_not(tiny_model: Path) -> None:
    folder = ModelFolder.read(tiny_model)
    assert set(folder.graphs) == set(graphs(folder.model)) - {"bert"}


def test_prefill_and_decode_share_their_matrices(tiny_model: Path) -> None:
    import onnx

    def places(graph: str) -> set[tuple[str, str]]:
        model = onnx.load(tiny_model / f"{graph}.onnx", load_external_data=False)
        entries = [
            {entry.key: entry.value for entry in tensor.external_data}
            for tensor in model.graph.initializer
            if tensor.external_data
        ]
        return {(entry["offset"], entry["length"]) for entry in entries}

    both = places("t2s_prefill") & places("t2s_decode")
    # Two layers of four matrices, the embedding, its positions and the last matrix.
    assert len(both) >= 11
    assert max(path.stat().st_size for path in tiny_model.glob("*.onnx")) < 300_000


def test_a_folder_that_exists_is_not_touched(tiny_files: CheckpointFiles, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="exists"):
        convert(tiny_files, tmp_path)
    with pytest.raises(ConvertError, match="cannot be written"):
        convert(tiny_files, tmp_path / "missing" / "model")


def test_a_conversion_that_fails_leaves_nothing(
    tiny_files: CheckpointFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(export.WeightsFile, "move", full)
    with pytest.raises(ConvertError, match="no space left"):
        convert(tiny_files, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_programs_are_told_the_progress(
    tiny_files: CheckpointFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--t2s", tiny_files.t2s, "--sovits", tiny_files.sovits, "--models", tiny_files.models]
    arguments = ["convert", *files, "--out", tmp_path / "model", "--progress", "json"]
    assert main([str(each) for each in arguments]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    total = len(ModelFolder.read(tmp_path / "model").graphs)
    assert [each["done"] for each in told] == list(range(total + 1))
    assert {each["total"] for each in told} == {total}
    assert (told[0]["what"], told[-1]["what"]) == ("hubert", "model.json")
