"""Properties of the text encoder; its numbers are in test_golden."""

from __future__ import annotations

import pytest
import torch

from engines.checkpoint import BertCheckpoint, load_bert
from engines.errors import CheckpointError
from engines.golden import Folder
from engines.networks import bert


@pytest.fixture(scope="module")
def checkpoint(golden: Folder) -> BertCheckpoint:
    return load_bert(golden.checkpoint("bert_tiny").parent)


def test_the_last_two_layers_are_not_built(checkpoint: BertCheckpoint) -> None:
    network = bert.load(checkpoint.config, checkpoint.weights)
    built = {name.split(".")[2] for name, _ in network.named_parameters() if "layer." in name}
    assert built == {"0", "1"}


@pytest.mark.parametrize("length", [2, 3, 16, 64])
def test_every_token_has_its_features(checkpoint: BertCheckpoint, length: int) -> None:
    network = bert.load(checkpoint.config, checkpoint.weights)
    ids = torch.arange(length)[None] % checkpoint.config.vocab_size
    assert network(ids).shape == (1, length, checkpoint.config.hidden_size)


def test_features_depend_on_the_sentence_around(checkpoint: BertCheckpoint) -> None:
    network = bert.load(checkpoint.config, checkpoint.weights)
    here, there = (
        network(torch.tensor([[12, 20, 21, 13]])),
        network(torch.tensor([[12, 20, 22, 13]])),
    )
    assert not torch.equal(here[0, 1], there[0, 1])


def test_a_missing_layer_is_named(checkpoint: BertCheckpoint) -> None:
    weights = {key: t for key, t in checkpoint.weights.items() if ".layer.1." not in key}
    with pytest.raises(CheckpointError, match=r"encoder\.layer\.1\."):
        bert.load(checkpoint.config, weights)


def test_damage_in_unused_layers_does_no_harm(checkpoint: BertCheckpoint) -> None:
    weights = {key: t for key, t in checkpoint.weights.items() if ".layer.3." not in key}
    bert.load(checkpoint.config, weights)
