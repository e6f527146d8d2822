"""Layers that several networks share, and how official weights get into them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import CheckpointError

_Network = TypeVar("_Network", bound=nn.Module)

HIDDEN = 1e4
"""Taken from the score of a frame that is padding: its share is then nought (the original's)."""

_WEIGHT_NORM_SPELLINGS = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)


def with_weights(make: Callable[[], _Network], weights: Mapping[str, Tensor]) -> _Network:
    """Build a network and give it exactly `weights`, ready for inference.

    The network is built without memory of its own, so a file with absurd sizes costs nothing.

    Raises:
        CheckpointError: a weight is missing, left over or of another shape than the sizes say.
    """
    try:
        with torch.device("meta"):
            network = make()
        network.load_state_dict(fold_weight_norm(weights), strict=True, assign=True)
    except (RuntimeError, ValueError, TypeError, IndexError, ArithmeticError) as error:
        raise CheckpointError(f"the weights do not fit the network: {_brief(error)}") from error
    return network.eval().requires_grad_(False)


def _brief(error: Exception, limit: int = 300) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[:limit] + " …"


def renamed(weights: Mapping[str, Tensor], prefixes: Mapping[str, str]) -> dict[str, Tensor]:
    """The same tensors with the beginning of their keys replaced."""
    out: dict[str, Tensor] = {}
    for key, tensor in weights.items():
        old = next((old for old in prefixes if key.startswith(old)), "")
        out[prefixes.get(old, "") + key.removeprefix(old)] = tensor
    return out


def fold_weight_norm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace each weight-norm pair (g, v) by the weight it stands for.

    `W = v · g / ‖v‖`, the norm over every axis on which g has length 1 (Salimans & Kingma 2016).
    Both spellings of the keys are read, PyTorch's old `weight_g`/`weight_v` and its new
    `parametrizations.weight.original0/1`.
    """
    folded = dict(weights)
    for g_end, v_end in _WEIGHT_NORM_SPELLINGS:
        for key in [key for key in folded if key.endswith(g_end)]:
            stem = key.removesuffix(g_end)
            if stem + v_end not in folded:
                continue  # left in place: the strict loading below names it
            g, v = folded.pop(key), folded.pop(stem + v_end)
            axes = [axis for axis in range(v.dim()) if g.shape[axis] == 1]
            norm = torch.linalg.vector_norm(v, dim=axes, keepdim=True)
            folded[stem + ".weight"] = v * (g / norm)
    return folded


class ChannelNorm(nn.Module):
    """Layer norm over the channels of (B, C, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) → (B, C, T)."""
        rows = F.layer_norm(x.transpose(1, 2), self.gamma.shape, self.gamma, self.beta, 1e-5)
        return rows.transpose(1, 2)


def split_heads(x: Tensor, heads: int, size: int) -> Tensor:
    """(B, heads·size, T) → (B, heads, T, size)."""
    # Sizes are given, not worked out from `x`: an export would work them out at every run.
    return x.reshape(x.shape[0], heads, size, x.shape[2]).transpose(2, 3)


def join_heads(x: Tensor, channels: int) -> Tensor:
    """(B, heads, T, D) → (B, channels = heads·D, T)."""
    return x.transpose(2, 3).reshape(x.shape[0], channels, x.shape[2])


class Window(NamedTuple):
    """Which of a window's places each pair of T frames meets; the same for every layer.

    Attributes:
        place: (B, heads, T, T), the place of frame j in the window around frame i, the nearest
            one where j lies outside.
        close: (B, heads, T, T), whether it is that very place.
        frame: (B, heads, T, 2w+1), the frame at each place of the window around i, the nearest
            one where the window leaves the sequence.
        inside: (B, heads, T, 2w+1), whether it is that very frame.
    """

    place: Tensor
    close: Tensor
    frame: Tensor
    inside: Tensor


def window(x: Tensor, heads: int, reach: int) -> Window:
    """The window of `reach` frames to each side in x (B, C, T).

    Looked up instead of skewed by pads and reshapes (Huang et al. 2018): all that depends on T is
    worked out once, where a pad in each layer costs TensorRT dozens of steps on the host.
    """
    places = torch.arange(2 * reach + 1, device=x.device)
    frames = torch.arange(x.shape[-1], device=x.device)
    each = torch.zeros(x.shape[0], heads, 1, 1, dtype=torch.long, device=x.device)
    apart = frames - frames[:, None] + reach + each
    place = torch.minimum(torch.maximum(apart, places[:1]), places[-1:])
    around = frames[:, None] + places - reach + each
    frame = torch.minimum(torch.maximum(around, frames[:1]), frames[-1:])
    return Window(place, apart == place, frame, around == frame)


def attention(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Shares of scores (B, heads, T, M); none for what a mask (B, 1, M) calls padding."""
    if mask is not None:
        scores = scores + (mask.unsqueeze(1) - 1) * HIDDEN
    return torch.softmax(scores, dim=-1)


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """(B, C, T) with noughts where a mask (B, 1, T) calls it padding."""
    return x if mask is None else x * mask


class RelativeAttention(nn.Module):
    """Self-attention that knows how far apart two frames are, up to 4 (Shaw et al. 2018)."""

    WINDOW = 4

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, channels // heads
        self.scale = 1 / math.sqrt(self.size)
        self.conv_q = nn.Conv1d(channels, channels, 1)
        self.conv_k = nn.Conv1d(channels, channels, 1)
        self.conv_v = nn.Conv1d(channels, channels, 1)
        self.conv_o = nn.Conv1d(channels, channels, 1)
        table = (1, 2 * self.WINDOW + 1, channels // heads)
        self.emb_rel_k = nn.Parameter(torch.zeros(table))
        self.emb_rel_v = nn.Parameter(torch.zeros(table))

    def forward(self, x: Tensor, window: Window, mask: Tensor | None = None) -> Tensor:
        """(B, C, T), mask (B, 1, T) → (B, C, T)."""
        q = split_heads(self.conv_q(x), self.heads, self.size) * self.scale
        k = split_heads(self.conv_k(x), self.heads, self.size)
        v = split_heads(self.conv_v(x), self.heads, self.size)
        weights = attention(q @ k.transpose(2, 3) + self.near(q, window), mask)
        mixed = weights @ v + self.around(weights, window)
        out: Tensor = self.conv_o(join_heads(mixed, self.heads * self.size))
        return out

    def near(self, query: Tensor, window: Window) -> Tensor:
        """What each frame adds to its score of each other, (B, heads, T, D) → (B, heads, T, T)."""
        scores = (query @ self.emb_rel_k.transpose(1, 2)).gather(-1, window.place)
        return scores * window.close.to(scores.dtype)

    def around(self, weights: Tensor, window: Window) -> Tensor:
        """What the places of the window add, (B, heads, T, T) → (B, heads, T, D)."""
        band = weights.gather(-1, window.frame) * window.inside.to(weights.dtype)
        return band @ self.emb_rel_v


class CrossAttention(nn.Module):
    """Attention of one sequence over another, no positions."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, channels // heads
        self.scale = 1 / math.sqrt(self.size)
        self.conv_q = nn.Conv1d(channels, channels, 1)
        self.conv_k = nn.Conv1d(channels, channels, 1)
        self.conv_v = nn.Conv1d(channels, channels, 1)
        self.conv_o = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, C, T), (B, C, M), mask (B, 1, M) → (B, C, T)."""
        q = split_heads(self.conv_q(x), self.heads, self.size) * self.scale
        k = split_heads(self.conv_k(memory), self.heads, self.size)
        v = split_heads(self.conv_v(memory), self.heads, self.size)
        mixed = attention(q @ k.transpose(2, 3), mask) @ v
        out: Tensor = self.conv_o(join_heads(mixed, self.heads * self.size))
        return out


class FeedForward(nn.Module):
    """Two convolutions over time with a ReLU between."""

    def __init__(self, channels: int, inner: int, kernel: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv1d(channels, inner, kernel, padding=kernel // 2)
        self.conv_2 = nn.Conv1d(inner, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, C, T), mask (B, 1, T) → (B, C, T)."""
        inner = torch.relu(self.conv_1(masked(x, mask)))
        out: Tensor = self.conv_2(masked(inner, mask))
        return out


class Encoder(nn.Module):
    """Transformer encoder with relative attention; layer norm after each residual sum."""

    def __init__(self, channels: int, inner: int, heads: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.heads = heads
        self.attn_layers = nn.ModuleList(RelativeAttention(channels, heads) for _ in range(layers))
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))
        self.ffn_layers = nn.ModuleList(FeedForward(channels, inner, kernel) for _ in range(layers))
        self.norm_layers_2 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, C, T) → (B, C, T); anything comes out where a mask (B, 1, T) calls it padding."""
        near = window(x, self.heads, RelativeAttention.WINDOW)
        for attend, norm_1, feed_forward, norm_2 in zip(
            self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2, strict=True
        ):
            x = norm_1(x + attend(x, near, mask))
            x = norm_2(x + feed_forward(x, mask))
        return x


class WaveNet(nn.Module):
    """Gated convolutions with skip connections (van den Oord et al. 2016), dilation 1."""

    LAYERS = 4
    KERNEL = 5

    def __init__(self, channels: int, condition_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.cond_layer = nn.Conv1d(condition_channels, 2 * channels * self.LAYERS, 1)
        self.in_layers = nn.ModuleList(
            nn.Conv1d(channels, 2 * channels, self.KERNEL, padding=self.KERNEL // 2)
            for _ in range(self.LAYERS)
        )
        self.res_skip_layers = nn.ModuleList(
            nn.Conv1d(channels, channels * (1 if last else 2), 1)
            for last in (layer == self.LAYERS - 1 for layer in range(self.LAYERS))
        )

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, C, T), `cond_layer(style)` (B, 8C, 1), mask (B, 1, T) → (B, C, T)."""
        total = x = masked(x, mask)
        for layer, (gates, res_skip) in enumerate(
            zip(self.in_layers, self.res_skip_layers, strict=True)
        ):
            width = self.channels
            filtered, gate = gates(x).split([width, width], dim=1)
            filtered = filtered + condition[:, 2 * layer * width : (2 * layer + 1) * width]
            gate = gate + condition[:, (2 * layer + 1) * width : (2 * layer + 2) * width]
            out = res_skip(torch.tanh(filtered) * torch.sigmoid(gate))
            if layer < self.LAYERS - 1:
                kept, out = out.split([width, width], dim=1)
                x = masked(x + kept, mask)
            total = out if layer == 0 else total + out
        return total
