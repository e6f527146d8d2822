"""HuBERT (Hsu et al. 2021): 16 kHz samples → 50 feature vectors a second.

Attributes are named as Hugging Face files name their weights. Shapes are (batch, time, channels)
after the convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.layers import with_weights
from engines.spec import HubertConfig


def load(config: HubertConfig, weights: Mapping[str, Tensor]) -> Hubert:
    """The network of a Hugging Face folder, from float32 weights.

    Raises:
        CheckpointError: weights are missing, left over or of other sizes.
    """
    return with_weights(lambda: Hubert(config), weights)


def frames(config: HubertConfig, samples: int) -> int:
    """How many feature vectors a recording of that many samples gives; 0 if it is too short."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        samples = max((samples - kernel) // stride + 1, 0)
    return samples


class Hubert(nn.Module):
    """The whole encoder."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.feature_extractor = FeatureExtractor(config)
        self.feature_projection = FeatureProjection(config)
        self.encoder = Encoder(config)

    def forward(self, samples: Tensor) -> Tensor:
        """16 kHz samples (B, n), as they are → features (B, frames, hidden).

        The first layer normalises over the whole recording: loudness hardly matters, and silence
        around the speech changes every frame.
        """
        features = self.feature_extractor(samples.unsqueeze(1)).transpose(1, 2)
        out: Tensor = self.encoder(self.feature_projection(features))
        return out


class FeatureExtractor(nn.Module):
    """Strided convolutions over the waveform."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        inputs = (1, *config.conv_dim[:-1])
        self.conv_layers = nn.ModuleList(
            ConvLayer(*sizes, normalised=index == 0)
            for index, sizes in enumerate(
                zip(inputs, config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, n) → (B, C, frames)."""
        for layer in self.conv_layers:
            x = layer(x)
        return x


class ConvLayer(nn.Module):
    """One convolution; the first of them normalises each channel over time."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, *, normalised: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=False)
        self.layer_norm = nn.GroupNorm(outputs, outputs) if normalised else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, T) → (B, outputs, T')."""
        return F.gelu(self.layer_norm(self.conv(x)))


class FeatureProjection(nn.Module):
    """From the convolutions' width to the transformer's."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        width = config.conv_dim[-1]
        self.layer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.projection = nn.Linear(width, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, hidden)."""
        out: Tensor = self.projection(self.layer_norm(x))
        return out


class PositionalConvolution(nn.Module):
    """A wide grouped convolution in place of position numbers."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        width, taps = config.hidden_size, config.num_conv_pos_embeddings
        groups = config.num_conv_pos_embedding_groups
        self.conv = nn.Conv1d(width, width, taps, padding=taps // 2, groups=groups)
        self.surplus = 1 - taps % 2  # an even kernel gives one frame too many

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, hidden) → (B, T, hidden)."""
        out = self.conv(x.transpose(1, 2))
        return F.gelu(out[..., : out.shape[-1] - self.surplus]).transpose(1, 2)


class Encoder(nn.Module):
    """Transformer layers over frames that carry their position."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.pos_conv_embed = PositionalConvolution(config)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, hidden) → (B, T, hidden)."""
        x = self.layer_norm(x + self.pos_conv_embed(x))
        for layer in self.layers:
            x = layer(x)
        return x


class EncoderLayer(nn.Module):
    """Attention and feed-forward, layer norm after each residual sum."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.attention = Attention(width, config.num_attention_heads)
        self.layer_norm = nn.LayerNorm(width, eps=eps)
        self.feed_forward = FeedForward(width, config.intermediate_size)
        self.final_layer_norm = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, hidden) → (B, T, hidden)."""
        x = self.layer_norm(x + self.attention(x))
        out: Tensor = self.final_layer_norm(x + self.feed_forward(x))
        return out


class Attention(nn.Module):
    """Self-attention of all frames to all frames."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, hidden) → (B, T, hidden)."""
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        q, k, v = (
            linear(x).reshape(split).transpose(1, 2)
            for linear in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(width // self.heads)
        joined = (torch.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(batch, length, width)
        out: Tensor = self.out_proj(joined)
        return out


class FeedForward(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(width, inner)
        self.output_dense = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, hidden) → (B, T, hidden)."""
        out: Tensor = self.output_dense(F.gelu(self.intermediate_dense(x)))
        return out
