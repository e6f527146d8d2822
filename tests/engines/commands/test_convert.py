from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import pytest

from engines.__main__ import main
from engines.backends import CheckpointFiles
from engines.golden import Folder

ROOT = Path(__file__).parents[3]
SPEAK = """
import sys
sys.modules["torch"] = None
import engines.text
from engines.__main__ import main
from engines.text.types import PhonemizedText, Run
def phonemize(text, language, symbols):
    run = Run("en", text, ("AH0",) * 12)
    return [PhonemizedText(text, "en", tuple(range(30, 42)), (run,), 0.0)]
engines.text.phonemize = phonemize
sys.exit(main(sys.argv[1:]))
"""


def test_a_model_is_converted_and_speaks_without_torch(
    tiny_files: CheckpointFiles,
    golden: Folder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, spoken = tmp_path / "model", tmp_path / "x.wav"
    files = ["--t2s", str(tiny_files.t2s), "--sovits", str(tiny_files.sovits)]
    assert main(["convert", *files, "--models", str(tiny_files.models), "--out", str(model)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{model}: ")
    assert shown.err.splitlines()[0] == "[.........] 0/9 hubert"
    assert shown.err.splitlines()[-1] == "[#########] 9/9 model.json"
    say = [
        *("say", "--model", str(model), "--reference", str(golden.root / "ref.wav")),
        *("--reference-text", "Hello", "--text", "One.", "--language", "en", "--out", str(spoken)),
    ]
    done = subprocess.run(
        [sys.executable, "-c", SPEAK, *say], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with wave.open(str(spoken)) as audio:
        assert audio.getframerate() == 32_000
        assert audio.getnframes() > 9_600 + 1280


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "--out", "x"], "error (engine_error): --t2s, --sovits and --models"),
        (["say", "--model", "x"], "error (bad_checkpoint): x is not a converted model"),
    ],
)
def test_a_refusal_is_one_line(
    golden: Folder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    rest = {
        "convert": [],
        "say": [
            *("--reference", str(golden.root / "ref.wav"), "--text", "One."),
            *("--language", "en", "--out", "x.wav"),
        ],
    }
    assert main([*arguments, *rest[arguments[0]]]) == 2
    assert capsys.readouterr().err.startswith(message)
