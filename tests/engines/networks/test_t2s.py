from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engines.checkpoint import load_t2s
from engines.errors import CheckpointError
from engines.golden import Folder
from engines.networks import t2s
from engines.networks.t2s import T2S, prefill_visible


@pytest.fixture(scope="module")
def network(golden: Folder) -> T2S:
    checkpoint = load_t2s(golden.checkpoint("s1_tiny"))
    return t2s.load(checkpoint.config, checkpoint.weights)


def test_phones_see_phones_and_tokens_see_what_came_before() -> None:
    visible = prefill_visible(2, 3, torch.device("cpu")).int().tolist()
    assert visible == [
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
    ]


@torch.inference_mode()
def test_a_row_does_not_depend_on_the_others(network: T2S) -> None:
    generator = torch.Generator().manual_seed(2)
    shape = (3, 3, 4, 20, 8)
    keys, values = (torch.randn(shape, generator=generator) for _ in range(2))
    token, position = torch.tensor([5, 9, 60]), torch.tensor([3, 12, 0])
    length = torch.tensor([4, 19, 0])
    together, *_ = network.step(token, position, length, keys.clone(), values.clone())
    for row in range(3):
        one = slice(row, row + 1)
        alone, *_ = network.step(
            token[one], position[one], length[one], keys[:, one].clone(), values[:, one].clone()
        )
        torch.testing.assert_close(together[one], alone, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_repeating_a_step_changes_nothing(network: T2S) -> None:
    keys, values = torch.zeros(3, 1, 4, 6, 8), torch.zeros(3, 1, 4, 6, 8)
    feeds = torch.tensor([5]), torch.tensor([0]), torch.tensor([2])
    first, *_ = network.step(*feeds, keys, values)
    second, *_ = network.step(*feeds, keys, values)
    assert torch.equal(first, second)


def test_weights_must_fit(golden: Folder) -> None:
    checkpoint = load_t2s(golden.checkpoint("s1_tiny"))
    with pytest.raises(CheckpointError, match=r"h\.layers\.3"):
        t2s.load(replace(checkpoint.config, n_layer=4), checkpoint.weights)
    del checkpoint.weights["bert_proj.bias"]
    with pytest.raises(CheckpointError, match=r"bert_proj\.bias"):
        t2s.load(checkpoint.config, checkpoint.weights)


@pytest.mark.slow
def test_the_official_size_is_the_specified_one(golden: Folder) -> None:
    checkpoint = load_t2s(golden.checkpoint("full_s1"))
    network = t2s.load(checkpoint.config, checkpoint.weights)
    assert len(network.state_dict()) == 295
    assert sum(tensor.numel() for tensor in network.state_dict().values()) == 77_606_402
