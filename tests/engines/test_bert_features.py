from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engines.bert_features import BertFeatures
from engines.checkpoint import load_bert
from engines.errors import CheckpointError, TextError
from engines.golden import Folder
from engines.networks import bert
from engines.text.types import PhonemizedText, Run


@pytest.fixture(scope="module")
def features(golden: Folder) -> BertFeatures:
    folder = golden.checkpoint("bert_tiny").parent
    checkpoint = load_bert(folder)
    network = bert.load(checkpoint.config, checkpoint.weights)

    def run(feeds: dict[str, Any]) -> dict[str, Any]:
        return {"features": network(torch.from_numpy(feeds["pieces"])).numpy()}

    model = SimpleNamespace(bert_width=checkpoint.config.hidden_size)
    backend: Any = SimpleNamespace(model=model, load=lambda graph: SimpleNamespace(run=run))
    return BertFeatures(backend, folder / "tokenizer.json")


@pytest.fixture(scope="module")
def chinese(golden: Folder) -> Run:
    vectors = golden.vectors("bert")
    counts = vectors.recorded("word2ph").tolist()
    text = str(vectors.recorded("text"))
    return Run("zh", text, ("a1",) * sum(counts), tuple(counts))


def sentence(*runs: Run) -> PhonemizedText:
    phones = sum(len(run.phones) for run in runs)
    return PhonemizedText("text", "zh", tuple(range(phones)), runs)


def test_each_phone_has_its_characters_features(
    features: BertFeatures, chinese: Run, golden: Folder
) -> None:
    recorded = golden.vectors("bert").recorded("phone_feature")
    np.testing.assert_allclose(features(sentence(chinese)), recorded, atol=2e-5)


@pytest.mark.parametrize("language", ["en", "ja", "ko", "yue"])
def test_other_languages_have_zeros(features: BertFeatures, chinese: Run, language: str) -> None:
    other = Run(language, "hello", ("HH", "AH0"), None)
    mixed = features(sentence(other, chinese, other))
    assert mixed.shape[1] == len(chinese.phones) + 4
    assert not mixed[:, :2].any()
    assert not mixed[:, -2:].any()
    np.testing.assert_array_equal(mixed[:, 2:-2], features(sentence(chinese)))


def test_pieces_of_several_characters_and_blanks_keep_the_alignment(
    features: BertFeatures, chinese: Run
) -> None:
    # A blank is no piece: without care every feature behind it would move by one.
    spaced = replace(
        chinese, text=f" {chinese.text}", word_to_phone=(0, *(chinese.word_to_phone or ()))
    )
    np.testing.assert_array_equal(features(sentence(spaced)), features(sentence(chinese)))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (Run("zh", "你好", ("n", "i3"), None), "word_to_phone"),
        (Run("zh", "你好", ("n", "i3"), (2,)), "word_to_phone"),
        (Run("zh", "你好", ("n", "i3"), (2, 2)), "word_to_phone"),
        (Run("zh", "好" * 511, ("h",) * 511, (1,) * 511), "511 characters, at most 510"),
    ],
)
def test_phones_that_do_not_fit_are_refused(features: BertFeatures, run: Run, message: str) -> None:
    with pytest.raises(TextError, match=message):
        features(sentence(run))


def test_runs_must_add_up(features: BertFeatures) -> None:
    run = Run("en", "hello", ("HH", "AH0"))
    with pytest.raises(TextError, match="2 phones, but phone_ids has 3"):
        features(replace(sentence(run), phone_ids=(1, 2, 3)))


def test_chinese_without_bert_says_what_is_missing(chinese: Run, tmp_path: Path) -> None:
    backend: Any = SimpleNamespace(model=SimpleNamespace(bert_width=8))
    features = BertFeatures(backend, tmp_path / "tokenizer.json")
    with pytest.raises(CheckpointError, match=r"Chinese needs BERT.*tokenizer\.json"):
        features(sentence(chinese))
