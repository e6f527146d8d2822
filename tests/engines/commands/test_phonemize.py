import json
from pathlib import Path
from typing import Any

import pytest

from engines.__main__ import main

GOLDEN = Path(__file__).parents[2] / "golden" / "text"


def answers(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["phonemize", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_rows_answer_as_the_vectors_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = (GOLDEN / "text.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines if '"id": "zh-08' in line or '"id": "en-00' in line]
    file = tmp_path / "rows.jsonl"
    asked = ("id", "text", "lang", "version", "zh_path")
    file.write_text("\n".join(json.dumps({k: r.get(k) for k in asked}) for r in rows), "utf-8")
    answered = ("id", "norm_text", "phones", "phone_ids", "word2ph")
    assert answers(capsys, "--jsonl", str(file)) == [{k: r[k] for k in answered} for r in rows]
    assert len(rows) > 20


def test_cuts_answer_as_the_vectors_do(capsys: pytest.CaptureFixture[str]) -> None:
    file = GOLDEN / "cuts.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    got = answers(capsys, "--jsonl", str(file), "--cuts")
    keys = ("id", "cut_fn", "collapsed", "segments", "segments_stream")
    assert [{k: row.get(k) for k in keys} for row in got] == [
        {k: row.get(k) for k in keys} for row in rows
    ]
    assert ["error" in row for row in got] == ["error" in row for row in rows]


def test_person_sees_what_will_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phonemize", "Dinner is ready.[pause 500ms]", "--language", "en"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        "Dinner is ready.",
        "  en: D IH1 N ER0 IH1 Z R EH1 D IY0 .",
        "  pause: 0.5 s",
    ]


def test_nothing_to_say_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phonemize", "...", "--language", "en"]) == 2
    assert "bad_text" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("{", "line 1 is not JSON"), ("[]", "line 1 lacks"), ('{"id": 1}', "line 1 lacks")],
)
def test_bad_row_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, complaint: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(content, "utf-8")
    assert main(["phonemize", "--jsonl", str(file)]) == 2
    assert complaint in capsys.readouterr().err


def test_missing_file_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["phonemize", "--jsonl", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl" in capsys.readouterr().err
