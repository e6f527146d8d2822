"""What SoVITS needs only to learn: posterior encoder, the flow's other direction, masks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.layers import (
    Encoder,
    RelativeAttention,
    join_heads,
    split_heads,
    window,
)
from engines.networks.vits import MRTE, Flow, TextEncoder

FAR = -1e4


class PosteriorEncoder(nn.Module):
    """Spectrum and style → the latent of this very speech (Kim et al. 2021)."""

    def __init__(self, bins: int, inter: int, width: int, gin: int, layers: int = 8) -> None:
        super().__init__()
        self.width, self.layers = width, layers
        self.pre = nn.Conv1d(bins, width, 1)
        self.condition = nn.Conv1d(gin, 2 * width * layers, 1)
        self.gates = nn.ModuleList(
            nn.Conv1d(width, 2 * width, 5, padding=2 * (1 + layer % 2), dilation=1 + layer % 2)
            for layer in range(layers)
        )
        self.mixes = nn.ModuleList(nn.Conv1d(width, 2 * width, 1) for _ in range(layers))
        self.proj = nn.Conv1d(width, 2 * inter, 1)

    def forward(self, spectrum: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, bins, T), (B, gin, 1) → a sample, mean and log deviation, each (B, inter, T)."""
        # Magnitudes span five decades; the style encoder must take them so, this one need not.
        x = self.pre(torch.log1p(spectrum * 20))
        biases = self.condition(style).chunk(self.layers, dim=1)
        total = torch.zeros_like(x)
        for gates, mix, bias in zip(self.gates, self.mixes, biases, strict=True):
            filtered, gate = (gates(x) + bias).chunk(2, dim=1)
            more, skip = mix(torch.tanh(filtered) * torch.sigmoid(gate)).chunk(2, dim=1)
            x, total = (x + more) * math.sqrt(0.5), total + skip
        mean, log_deviation = self.proj(total).float().chunk(2, dim=1)
        log_deviation = log_deviation.clamp(-9, 4)
        return mean + torch.randn_like(mean) * log_deviation.exp(), mean, log_deviation


def to_prior(flow: Flow, z: Tensor, style: Tensor) -> Tensor:
    """The flow as it learns: decoder latent → prior sample; undoes `Flow.forward`."""
    couplings: Iterable[Any] = flow.couplings  # lists of networks know no types
    for coupling in couplings:
        kept, moved = z.chunk(2, dim=1)
        shift = coupling.post(coupling.enc(coupling.pre(kept), coupling.condition(style)))
        z = torch.flip(torch.cat([kept, moved + shift], dim=1), (1,))
    return z


def prior(
    encoder: TextEncoder, quantized: Tensor, phones: Tensor, count: Tensor, condition: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and log deviation as `TextEncoder.latent` and `prior`, for texts of unequal lengths.

    Args:
        encoder: of the network.
        quantized: codebook rows (B, N, C).
        phones: (B, P), filled up behind.
        count: (B,) phones of each text.
        condition: (B, 512, 1).
    """
    twice = quantized.repeat_interleave(2, dim=1).transpose(1, 2)
    content = encoder.encoder_ssl(encoder.ssl_proj(twice))
    inside = torch.arange(phones.shape[1], device=phones.device) < count[:, None]
    text = _masked(encoder.encoder_text, encoder.text_embedding(phones).transpose(1, 2), inside)
    mixed = encoder.encoder2(_mrte(encoder.mrte, content, text, condition, inside))
    mean, log_deviation = encoder.proj(mixed).float().chunk(2, dim=1)
    return mean, log_deviation


def _masked(encoder: Encoder, x: Tensor, inside: Tensor) -> Tensor:
    keep = inside[:, None].to(x.dtype)
    layers: Iterable[Any] = zip(
        encoder.attn_layers,
        encoder.norm_layers_1,
        encoder.ffn_layers,
        encoder.norm_layers_2,
        strict=True,
    )
    for attention, norm_1, feed_forward, norm_2 in layers:
        x = norm_1(x + _attention(attention, x * keep, inside))
        inner = torch.relu(feed_forward.conv_1(x * keep))
        x = norm_2(x + feed_forward.conv_2(inner * keep))
    return x * keep


def _attention(attention: RelativeAttention, x: Tensor, inside: Tensor) -> Tensor:
    heads, size = attention.heads, attention.size
    query = split_heads(attention.conv_q(x), heads, size) * attention.scale
    key = split_heads(attention.conv_k(x), heads, size)
    value = split_heads(attention.conv_v(x), heads, size)
    around = window(x, heads, attention.WINDOW)
    scores = (query @ key.transpose(2, 3) + attention.near(query, around)).float()
    weights = torch.softmax(scores.masked_fill(~inside[:, None, None], FAR), -1).to(x.dtype)
    mixed = weights @ value + attention.around(weights, around)
    out: Tensor = attention.conv_o(join_heads(mixed, heads * size))
    return out


def _mrte(mrte: MRTE, content: Tensor, text: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
    x, memory = mrte.c_pre(content), mrte.text_pre(text)
    cross = mrte.cross_attention
    mixed = F.scaled_dot_product_attention(
        split_heads(cross.conv_q(x), cross.heads, cross.size),
        split_heads(cross.conv_k(memory), cross.heads, cross.size),
        split_heads(cross.conv_v(memory), cross.heads, cross.size),
        attn_mask=inside[:, None, None],
    )
    out: Tensor = mrte.c_post(
        cross.conv_o(join_heads(mixed, cross.heads * cross.size)) + x + condition
    )
    return out
