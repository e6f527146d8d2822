"""What is shown is not chosen by ear, and every file that the page names is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from training import show

SPEAKERS = ("ann", "bob", "cat")
SCORES = {"wer": 0.2, "dnsmos": 2.5}


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    scored = [
        {
            "speaker": speaker,
            "file": f"spoken/{speaker}/{number:03d}.wav",
            "heard": True,
            "text": f"Sentence {number}.",
            "wer_words": 1,
            "words": 2,
            "dnsmos": 2.5,
            "similarity": 0.8,
        }
        for number in range(12)
        for speaker in SPEAKERS
    ]
    watched = {"speaker": "ann", "file": "spoken/ann/100.wav", "heard": False}
    return [*scored, {**watched, "text": "Sentence 0."}]


@pytest.fixture
def heard(rows: list[dict[str, Any]], tmp_path: Path) -> Path:
    folder = tmp_path / "heard"
    tone = np.sin(np.arange(32_000) / 8).astype(np.float32) / 2
    files = [row["file"] for row in rows] + [f"reference/{name}.wav" for name in SPEAKERS]
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / file, tone, 32_000)
    scores = json.dumps({"scores": {"all": SCORES}, "rows": rows})
    (folder / "scores.json").write_text(scores)
    (folder / "lanes").mkdir()
    (folder / "lanes" / "scores.json").write_text(json.dumps({"int8": SCORES}))
    return folder


def test_every_sentence_once_and_every_speaker_in_turn(rows: list[dict[str, Any]]) -> None:
    shown = show.chosen(rows)
    assert all(row["heard"] for row in shown)
    assert [row["text"] for row in shown] == [f"Sentence {number}." for number in range(10)]
    assert [row["speaker"] for row in shown] == ["ann", "bob", "cat"] * 3 + ["ann"]


def test_what_the_page_names_is_there(
    heard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"
    out.mkdir()
    (out / "11-old.wav").write_bytes(b"")
    (out / "curves-t2s.png").write_bytes(b"kept")
    monkeypatch.setattr(show, "draw", lambda *args: args[-1].write_bytes(b"a picture"))
    command = ["show", "--heard", str(heard), "--out", str(out)]
    monkeypatch.setattr("sys.argv", command)
    show.main()
    named = set(re.findall(r"\]\(([^)/]+)\)", (out / "README.md").read_text()))
    made = {path.name for path in out.iterdir()} - {"README.md"}
    assert made == named - {"curves-tokenizer.png", "curves-sovits.png"}
    assert len(list(out.glob("*.wav"))) == 10
    assert soundfile.info(out / "01-ann.wav").samplerate == 24_000
