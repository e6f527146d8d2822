"""The arithmetic of the scores; the judges themselves are other people's packages."""

from __future__ import annotations

import pytest

from training import evaluate


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Twelve minutes, please!", "12 minutes please."),
        ("It's six o'clock.", "It's 6 o'clock"),
        ("Ninety-six degrees", "ninety six  degrees"),
    ],
)
def test_words_are_compared_and_not_their_spelling(text: str, said: str) -> None:
    assert evaluate.folded(text) == evaluate.folded(said)


def test_scores_count_words_and_runaways() -> None:
    row = {"dnsmos": 3.0, "similarity": 0.8, "spent": 1.0, "seconds": 4.0, "expected": 4.0}
    rows = [
        {**row, "wer_words": 1, "words": 4, "nearest_own": True},
        {**row, "wer_words": 0, "words": 16, "nearest_own": False},
    ]
    endless = {**row, "seconds": 8.1}
    empty = {**row, "seconds": 0.1}
    summary = evaluate._summary(rows, [*rows, endless, empty])
    assert summary["wer"] == pytest.approx(0.05)
    assert summary["nearest_own"] == 0.5
    assert summary["runaways"] == 2
    assert summary["rtf"] == pytest.approx(4 / 16.2)
    lines = evaluate.table({"all": summary}).splitlines()
    assert lines[0].startswith("| | wer |")
    assert lines[-1].startswith("| bar | 0.1 | 2.8 |")
