"""The bench on the tiny model: all figures are there, and add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines.__main__ import main
from engines.backends import CheckpointFiles
from engines.bench import FIRST, PREFILL, SPEECH, STEP, STEP_BATCH, TOKENS, Figures


def test_a_sentence_is_the_sum_of_its_parts() -> None:
    times = {PREFILL: [10.0, 30.0], STEP: [1.0, 3.0], STEP_BATCH: [5.0], SPEECH: [100.0]}
    figures = Figures("x", {**times, "sovits_first_ms": [40.0]}, {"memory_mib": 7.0})
    low, mid = figures.summary(min), figures.summary()
    assert low["sentence_ms"] == 10 + (TOKENS - 1) + 100
    assert low["first_audio_ms"] == 10 + (FIRST - 1) + 40
    assert mid["token_ms"] == 2
    assert mid["rtf"] == (20 + 2 * (TOKENS - 1) + 100) / 4000
    assert mid["memory_mib"] == 7


def test_one_table_with_all_columns(
    tiny_files: CheckpointFiles,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engines.commands.bench._alone", lambda name, arguments: 1.0)
    files = ["--t2s", str(tiny_files.t2s), "--sovits", str(tiny_files.sovits)]
    command = ["bench", str(tiny_model), "--int8", str(tiny_model), "--threads", "1"]
    assert main([*command, *files, "--models", str(tiny_files.models), "--runs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["torch", "onnx-fp32", "onnx-int8"]
    assert len(lines) == 2 + 8 + 1
    assert lines[-1].split()[-3] == "1.00x"


def test_figures_for_machines(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", str(tiny_model), "--threads", "1", "--runs", "1", "--lowest", "--json"]
    assert main(command) == 0
    figures = json.loads(capsys.readouterr().out)
    assert list(figures) == ["onnx-fp32"]
    assert set(figures["onnx-fp32"]) == {
        *("first_audio_ms", "prefill_ms", "token_ms", "batch_step_ms", "sovits_ms"),
        *("sentence_ms", "rtf", "memory_mib"),
    }
    assert all(value > 0 for value in figures["onnx-fp32"].values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to measure"),
        (["MODEL", "--only", "abacus"], "--only: 'abacus' is not among onnx-fp32"),
        (["/nowhere"], "nothing could be opened"),
        (["--random", "v2", "--recipe", "/nowhere"], "run it in the project's root"),
    ],
)
def test_refusals_are_one_line(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    given = [word.replace("MODEL", str(tiny_model)) for word in arguments]
    assert main(["bench", *given]) == 2
    assert message in capsys.readouterr().err
