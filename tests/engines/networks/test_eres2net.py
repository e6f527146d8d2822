"""Properties of the speaker network; its numbers are in test_golden."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engines.checkpoint import load_speaker
from engines.errors import CheckpointError
from engines.golden import Folder
from engines.networks import eres2net
from engines.networks.vits import SPEAKER_CHANNELS


@pytest.fixture(scope="module")
def weights(golden: Folder) -> dict[str, Tensor]:
    return load_speaker(golden.checkpoint("sv_tiny"))


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 66])
def test_any_length_gives_one_embedding(
    weights: dict[str, Tensor], golden: Folder, frames: int
) -> None:
    network = eres2net.load(weights)
    heard = torch.from_numpy(golden.recipe.fill("m", (2, frames, 80), 4.0))
    assert network(heard).shape == (2, 8 * 320)


def test_the_official_width_is_what_sovits_expects() -> None:
    assert SPEAKER_CHANNELS == 64 * 320


@pytest.mark.parametrize("lost", ["conv1.weight", "layer2.0.convs.0.weight", "layer4."])
def test_another_kind_of_file_is_refused(weights: dict[str, Tensor], lost: str) -> None:
    rest = {key: tensor for key, tensor in weights.items() if not key.startswith(lost)}
    with pytest.raises(CheckpointError, match="not a speaker network"):
        eres2net.load(rest)


@pytest.mark.parametrize("key", ["layer1.999999999.conv1.weight", "layer9.0.conv1.weight"])
def test_invented_layers_are_refused(weights: dict[str, Tensor], key: str) -> None:
    with pytest.raises(CheckpointError, match="Unexpected key"):
        eres2net.load(weights | {key: torch.ones(1)})


def test_missing_weights_are_named(weights: dict[str, Tensor]) -> None:
    rest = {key: tensor for key, tensor in weights.items() if key != "bn1.running_var"}
    with pytest.raises(CheckpointError, match=r"bn1\.running_var"):
        eres2net.load(rest)


@pytest.mark.slow
def test_the_official_network_gives_the_embedding_sovits_expects(golden: Folder) -> None:
    network = eres2net.load(load_speaker(golden.checkpoint("full_sv")))
    heard = torch.from_numpy(golden.recipe.fill("m", (1, 100, 80), 4.0))
    assert network(heard).shape == (1, SPEAKER_CHANNELS)
