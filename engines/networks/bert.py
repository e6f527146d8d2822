"""BERT (Devlin et al. 2019) as a source of features for Chinese text.

Attributes are named as Hugging Face files name their weights. Only the layers whose output is used
are built: GPT-SoVITS takes the third last of all hidden states, so the last two layers and the
language model's head never run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.layers import with_weights
from engines.spec import BertConfig

UNUSED_LAYERS = 2
_LAYER = re.compile(r"encoder\.layer\.(\d{1,4})\.")


def load(config: BertConfig, weights: Mapping[str, Tensor], layers: int | None = None) -> Bert:
    """The network of a Hugging Face folder, from float32 weights.

    Args:
        config: sizes, from `engines.checkpoint`.
        weights: under their official names, without `bert.` in front.
        layers: how many layers to run; all but the last two if not given.

    Raises:
        CheckpointError: weights are missing, left over or of other sizes.
    """
    kept = config.num_hidden_layers - UNUSED_LAYERS if layers is None else layers
    used = {key: tensor for key, tensor in weights.items() if _layer_number(key) < kept}
    return with_weights(lambda: Bert(config, kept), used)


def _layer_number(key: str) -> int:
    match = _LAYER.match(key)
    return int(match.group(1)) if match else -1


class Bert(nn.Module):
    """Embeddings and the first layers."""

    def __init__(self, config: BertConfig, layers: int) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(config) for _ in range(layers))})

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (B, T), [CLS] first and [SEP] last → features (B, T, hidden).

        GPT-SoVITS drops the first and the last row; row i then belongs to character i.
        """
        x: Tensor = self.embeddings(ids)
        for layer in self.encoder["layer"].children():
            x = layer(x)
        return x


class Embeddings(nn.Module):
    """Sum of word, position and sentence embeddings, normalised; one sentence only."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) → (B, T, hidden)."""
        positions = self.position_embeddings.weight[: ids.shape[1]]
        summed = self.word_embeddings(ids) + self.token_type_embeddings.weight[0] + positions
        out: Tensor = self.LayerNorm(summed)
        return out


class Layer(nn.Module):
    """Attention and feed-forward, each with a residual sum and a layer norm after it."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.attention = Attention(config)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = Residual(inner, width, config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, hidden) → (B, T, hidden)."""
        x = self.attention(x)
        out: Tensor = self.output(F.gelu(self.intermediate["dense"](x)), x)
        return out


class Residual(nn.Module):
    """A linear layer whose output joins the residual under a layer norm."""

    def __init__(self, inputs: int, width: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, width)
        self.LayerNorm = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """(B, T, inputs), (B, T, width) → (B, T, width)."""
        out: Tensor = self.LayerNorm(self.dense(x) + residual)
        return out


class Attention(nn.Module):
    """Self-attention of all tokens to all tokens, with its residual."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.self = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        )
        self.output = Residual(width, width, config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, hidden) → (B, T, hidden)."""
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        q, k, v = (
            self.self[name](x).reshape(split).transpose(1, 2) for name in ("query", "key", "value")
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(width // self.heads)
        joined = (torch.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(batch, length, width)
        out: Tensor = self.output(joined, x)
        return out
