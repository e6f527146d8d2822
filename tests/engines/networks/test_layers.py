"""Shared layers against their plain definitions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import CheckpointError
from engines.networks.layers import (
    RelativeAttention,
    fold_weight_norm,
    renamed,
    window,
    with_weights,
)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9, 30])
def test_a_window_is_what_lies_around_a_frame(length: int) -> None:
    place, close, frame, inside = (part[1, 2] for part in window(noise(2, 8, length), 3, 4))
    for row in range(length):
        for column in range(length):
            apart = column - row + 4
            assert close[row, column] == (0 <= apart < 9)
            assert not close[row, column] or place[row, column] == apart
        for apart in range(9):
            there = 0 <= row + apart - 4 < length
            assert inside[row, apart] == there
            assert not there or frame[row, apart] == row + apart - 4
    assert 0 <= place.min() <= place.max() < 9
    assert 0 <= frame.min() <= frame.max() < length


@pytest.mark.parametrize("length", [1, 3, 7, 20])
def test_relative_attention_is_its_definition(length: int) -> None:
    layer = RelativeAttention(8, heads=2)
    with torch.no_grad():
        layer.emb_rel_k.copy_(noise(1, 9, 4))
        layer.emb_rel_v.copy_(noise(1, 9, 4) * 2)
        x = noise(1, 8, length)
        q, k, v = (
            conv(x)[0].view(2, 4, length) for conv in (layer.conv_q, layer.conv_k, layer.conv_v)
        )
        heads = torch.zeros(2, 4, length)
        for head in range(2):
            for i in range(length):
                near = [j for j in range(length) if abs(j - i) <= 4]
                scores = torch.stack([q[head, :, i] @ k[head, :, j] for j in range(length)])
                for j in near:
                    scores[j] += q[head, :, i] @ layer.emb_rel_k[0, j - i + 4]
                weights = torch.softmax(scores / math.sqrt(4), dim=0)
                heads[head, :, i] = v[head] @ weights
                for j in near:
                    heads[head, :, i] += weights[j] * layer.emb_rel_v[0, j - i + 4]
        expected = layer.conv_o(heads.reshape(1, 8, length))
        torch.testing.assert_close(
            layer(x, window(x, layer.heads, layer.WINDOW)), expected, rtol=0, atol=1e-5
        )


@pytest.mark.parametrize(
    ("layer", "axis"),
    [(nn.Conv1d(3, 4, 5), 0), (nn.ConvTranspose1d(3, 4, 5), 0), (nn.Conv1d(4, 4, 6, groups=2), 2)],
)
def test_both_spellings_fold_to_the_weight_that_is_used(layer: nn.Module, axis: int) -> None:
    normed = nn.utils.parametrizations.weight_norm(layer, dim=axis)
    with torch.no_grad():
        normed.parametrizations.weight.original0.mul_(1.7)  # type: ignore[union-attr,operator]
    new = {f"a.b.{key}": tensor for key, tensor in normed.state_dict().items()}
    stem = "a.b.parametrizations.weight.original"
    old = {
        "a.b.weight_g": new[stem + "0"],
        "a.b.weight_v": new[stem + "1"],
        "a.b.bias": new["a.b.bias"],
    }
    for spelled in (old, new):
        folded = fold_weight_norm(spelled)
        assert folded.keys() == {"a.b.weight", "a.b.bias"}
        torch.testing.assert_close(folded["a.b.weight"], normed.weight, rtol=0, atol=1e-6)


def linear(**changes: Any) -> dict[str, Tensor]:
    return {"weight": torch.ones(2, 3), "bias": torch.ones(2)} | changes


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"weight": torch.ones(2, 3)}, "Missing key.*bias"),
        (linear(other=torch.ones(1)), "Unexpected key.*other"),
        (linear(weight=torch.ones(2, 4)), "size mismatch for weight"),
        (linear(**{"x.weight_g": torch.ones(2, 1)}), "Unexpected key.*x.weight_g"),
        (linear(**{"x.weight_g": torch.ones(2), "x.weight_v": torch.ones(2, 3)}), "do not fit"),
    ],
)
def test_weights_must_fit_exactly(weights: dict[str, Tensor], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        with_weights(lambda: nn.Linear(3, 2), weights)


def test_absurd_sizes_are_refused_without_being_allocated() -> None:
    with pytest.raises(CheckpointError, match="size mismatch"):
        with_weights(lambda: nn.Linear(1 << 20, 1 << 20), linear())


def test_sizes_that_make_no_network_are_refused() -> None:
    with pytest.raises(CheckpointError, match="do not fit"):
        with_weights(lambda: RelativeAttention(2, heads=3), {})


def test_a_network_with_weights_is_ready_for_inference() -> None:
    network = with_weights(lambda: nn.Linear(3, 2), linear())
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    torch.testing.assert_close(network(torch.ones(1, 3)), torch.full((1, 2), 4.0))


def test_only_beginnings_are_renamed() -> None:
    one = torch.ones(1)
    keys = renamed({"a.b.a.": one, "c": one}, {"a.": "x."})
    assert keys.keys() == {"x.b.a.", "c"}


def test_mish_is_the_one_of_the_specification() -> None:
    x = torch.linspace(-30, 30, 101)
    torch.testing.assert_close(F.mish(x), x * torch.tanh(F.softplus(x, threshold=20)))
