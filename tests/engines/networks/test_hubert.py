"""Properties of the speech encoder; its numbers are in test_golden."""

from __future__ import annotations

import pytest
import torch

from engines.checkpoint import HubertCheckpoint, load_hubert
from engines.errors import CheckpointError
from engines.golden import Folder
from engines.networks import hubert
from engines.torch_file import read_torch_file


@pytest.fixture(scope="module")
def checkpoint(golden: Folder) -> HubertCheckpoint:
    return load_hubert(golden.checkpoint("hubert_tiny").parent)


@pytest.mark.parametrize("samples", [400, 719, 720, 4000, 16000])
def test_the_number_of_frames_is_known_beforehand(
    checkpoint: HubertCheckpoint, golden: Folder, samples: int
) -> None:
    network = hubert.load(checkpoint.config, checkpoint.weights)
    wave = torch.from_numpy(golden.recipe.fill("w", (2, samples), 0.3))
    frames = hubert.frames(checkpoint.config, samples)
    assert network(wave).shape == (2, frames, checkpoint.config.hidden_size)


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_too_short_a_recording_has_no_frames(checkpoint: HubertCheckpoint, samples: int) -> None:
    assert hubert.frames(checkpoint.config, samples) == 0


def test_both_spellings_of_weight_norm_give_the_same_features(
    checkpoint: HubertCheckpoint, golden: Folder
) -> None:
    stem = "encoder.pos_conv_embed.conv."
    new = {
        key.replace(stem + "weight_g", stem + "parametrizations.weight.original0").replace(
            stem + "weight_v", stem + "parametrizations.weight.original1"
        ): tensor
        for key, tensor in checkpoint.weights.items()
    }
    assert new.keys() != checkpoint.weights.keys()
    wave = torch.from_numpy(golden.recipe.fill("w", (1, 4000), 0.3))
    old_features = hubert.load(checkpoint.config, checkpoint.weights)(wave)
    assert torch.equal(hubert.load(checkpoint.config, new)(wave), old_features)


def test_loudness_hardly_matters(checkpoint: HubertCheckpoint, golden: Folder) -> None:
    network = hubert.load(checkpoint.config, checkpoint.weights)
    wave = torch.from_numpy(golden.recipe.fill("w", (1, 4000), 0.9))
    torch.testing.assert_close(network(wave), network(wave / 4), rtol=0, atol=0.05)


def test_a_batch_equals_its_items(checkpoint: HubertCheckpoint, golden: Folder) -> None:
    network = hubert.load(checkpoint.config, checkpoint.weights)
    waves = torch.from_numpy(golden.recipe.fill("w", (2, 4000), 0.3))
    alone = torch.cat([network(waves[:1]), network(waves[1:])])
    torch.testing.assert_close(network(waves), alone, rtol=0, atol=1e-5)


def test_missing_weights_are_named(checkpoint: HubertCheckpoint) -> None:
    weights = dict(checkpoint.weights)
    del weights["encoder.layers.1.layer_norm.bias"]
    with pytest.raises(CheckpointError, match=r"encoder\.layers\.1\.layer_norm\.bias"):
        hubert.load(checkpoint.config, weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tensors", "values"),
    [
        ("full_hubert", 211, 94_371_712),
        ("full_bert", 394, 325_545_608),
        ("full_sv", 1001, 53_588_221),
        ("full_s1", 295, 77_606_402),
    ],
)
def test_official_sizes_are_the_specified_ones(
    golden: Folder, name: str, tensors: int, values: int
) -> None:
    content, _ = read_torch_file(golden.checkpoint(name))
    stored = content.get("weight", content)
    assert (len(stored), sum(tensor.numel() for tensor in stored.values())) == (tensors, values)
