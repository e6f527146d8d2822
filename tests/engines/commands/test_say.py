from __future__ import annotations

import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import engines.text
from engines.__main__ import main
from engines.backends import CheckpointFiles
from engines.golden import Folder
from engines.text.types import PhonemizedText

MakeSentence = Callable[..., PhonemizedText]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, make_sentence: MakeSentence) -> list[tuple[str, ...]]:
    """Calls of a front end that makes one sentence of each full stop."""
    calls: list[tuple[str, ...]] = []

    def phonemize(text: str, language: str, symbols: str) -> list[PhonemizedText]:
        calls.append((text, language, symbols))
        return [make_sentence(9, seed) for seed in range(text.count("."))]

    monkeypatch.setattr(engines.text, "phonemize", phonemize, raising=False)
    return calls


@pytest.fixture
def command(tiny_files: CheckpointFiles, golden: Folder, tmp_path: Path) -> list[str]:
    return [
        *("say", "--t2s", str(tiny_files.t2s), "--sovits", str(tiny_files.sovits)),
        *("--models", str(tiny_files.models), "--reference", str(golden.root / "ref.wav")),
        *("--reference-text", "Hello", "--text", "One. Two.", "--language", "en"),
        *("--seed", "3", "--out", str(tmp_path / "x.wav")),
    ]


def heard(file: Path) -> tuple[int, int, bytes]:
    with wave.open(str(file)) as audio:
        return audio.getframerate(), audio.getnchannels(), audio.readframes(audio.getnframes())


def test_a_file_is_spoken(command: list[str], asked: list[tuple[str, ...]], tmp_path: Path) -> None:
    assert main(command) == 0
    rate, channels, speech = heard(tmp_path / "x.wav")
    assert (rate, channels) == (32_000, 1)
    assert np.abs(np.frombuffer(speech, np.int16)).max() > 3_000
    # Two sentences of at least eleven tokens, each with its silence.
    assert len(speech) // 2 >= 2 * (11 * 1280 + 9_600)
    assert asked == [("One. Two.", "en", "v2"), ("Hello.", "en", "v2")]


def test_the_same_seed_writes_the_same_file(
    command: list[str], asked: list[tuple[str, ...]], tmp_path: Path
) -> None:
    assert main(command) == 0
    first = heard(tmp_path / "x.wav")
    assert main([*command, "--slots", "2"]) == 0
    assert heard(tmp_path / "x.wav") == first
    assert main([*command, "--seed", "4"]) == 0
    assert heard(tmp_path / "x.wav") != first


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--text", "nothing"], "error (bad_text): text: there is nothing to speak"),
        (["--top-k", "0"], "error (bad_parameter): top_k must be at least 1"),
        (["--reference", "missing.wav"], "error (bad_reference): recording: cannot be read"),
        (["--t2s", "missing.ckpt"], "error (bad_checkpoint)"),
        (["--out", "missing/x.wav"], "error (engine_error): --out: there is no folder missing"),
        (["--backend", "abacus"], "error (backend_unavailable)"),
    ],
)
def test_a_refusal_is_one_line_and_no_file(
    command: list[str],
    asked: list[tuple[str, ...]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: list[str],
    message: str,
) -> None:
    assert main([*command, *changed]) == 2
    assert capsys.readouterr().err.startswith(message)
    assert not (tmp_path / "x.wav").exists()


def test_importing_the_package_is_cheap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import subprocess

    code = "import engines, sys; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists() -> None:
    import engines

    assert all(getattr(engines, name) for name in engines.__all__)
    with pytest.raises(AttributeError, match="no attribute 'bogus'"):
        _ = engines.bogus
