"""The text-to-semantic network (T2S): phones and heard tokens in, logits of the next token out.

A post-norm transformer over [phones ; semantic tokens], GPT-SoVITS's "s1". Phones see each other
in both directions, tokens see all phones and the tokens before them. `prefill` reads a sentence's
phones and the prompt's tokens once, `step` adds one token to each of B sentences; both run the
same blocks. The key and value cache has a fixed length and every sentence its own write position,
so shapes stay the same from step to step.

Module names follow the official checkpoint, whose keys load unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.layers import renamed, with_weights
from engines.spec import T2SConfig

POSITIONS = 4000
BERT_CHANNELS = 1024


def load(config: T2SConfig, weights: Mapping[str, Tensor]) -> T2S:
    """The network of an official file.

    Args:
        config: sizes, from `engines.checkpoint`.
        weights: float32 tensors under their official names.

    Raises:
        CheckpointError: weights are missing, left over or of other sizes.
    """
    return with_weights(lambda: T2S(config), renamed(weights, {"model.": ""}))


class Embedding(nn.Module):
    """A table under the name that the checkpoint gives it."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(rows, width)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, D)."""
        return self.word_embeddings(ids)  # type: ignore[no-any-return]


class Position(nn.Module):
    """Sinusoidal positions, sine and cosine interleaved, with a learned weight."""

    table: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1))
        # On the CPU by name: the rest of the network may be built without memory, on "meta".
        even = torch.arange(0, width, 2, device="cpu")
        places = torch.arange(POSITIONS, dtype=torch.float32, device="cpu")
        angle = places[:, None] * torch.exp(even * -(math.log(10000.0) / width))
        table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
        self.register_buffer("table", table, persistent=False)

    def forward(self, embedded: Tensor) -> Tensor:
        """Add positions 0, 1, 2, ... to (B, T, D)."""
        return embedded + self.alpha * self.table[: embedded.shape[1]]

    def at(self, embedded: Tensor, position: Tensor) -> Tensor:
        """Add the position of each of B rows (B,) to (B, 1, D)."""
        return embedded + self.alpha * self.table[position][:, None]


class SelfAttention(nn.Module):
    """The in- and out-projection; what is attended to is the caller's business."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, D) -> query, key and value, each (B, H, T, D/H)."""
        projected = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        split = projected.view(*x.shape[:2], 3, self.heads, x.shape[2] // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        return query, key, value

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> Tensor:
        """Queries (B, H, T, D/H) over keys (B, H, S, D/H) where `visible` (B or 1, 1, T, S)."""
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=visible)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    """One layer: attention and a ReLU network, each followed by a layer norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, heads)
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """What follows the attention: residuals, norms and the ReLU network, (B, T, D)."""
        x = self.norm1(x + attended)
        x = self.norm2(x + self.linear2(F.relu(self.linear1(x))))
        return x


class Layers(nn.Module):
    """The stack, under the checkpoint's name for it."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(width, heads) for _ in range(layers))

    def __iter__(self) -> Iterator[Block]:
        return iter(cast("list[Block]", list(self.layers)))


class T2S(nn.Module):
    """The text-to-semantic network; use `prefill` and `step`, it has no `forward`."""

    def __init__(self, config: T2SConfig) -> None:
        super().__init__()
        width = config.hidden_dim
        self.bert_proj = nn.Linear(BERT_CHANNELS, width)
        self.ar_text_embedding = Embedding(config.phoneme_vocab_size, width)
        self.ar_text_position = Position(width)
        self.ar_audio_embedding = Embedding(config.vocab_size, width)
        self.ar_audio_position = Position(width)
        self.h = Layers(width, config.head, config.n_layer)
        self.ar_predict_layer = nn.Linear(width, config.vocab_size, bias=False)

    def embed(self, phones: Tensor, bert: Tensor, prompt: Tensor) -> Tensor:
        """Phones (B, n), features (B, 1024, n), prompt tokens (B, P) -> (B, n + P, D)."""
        text = self.ar_text_embedding(phones) + self.bert_proj(bert.transpose(1, 2))
        heard = self.ar_audio_position(self.ar_audio_embedding(prompt))
        return torch.cat([self.ar_text_position(text), heard], dim=1)

    def prefill(
        self, phones: Tensor, bert: Tensor, prompt: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read a sentence.

        Args:
            phones: (B, n) ids, the prompt's and the sentence's.
            bert: (B, 1024, n).
            prompt: (B, P) semantic tokens of the reference; P may be 0.

        Returns:
            Logits (B, V) of the first token; keys and values (L, B, H, n + P, D/H).
        """
        x = self.embed(phones, bert, prompt)
        visible = prefill_visible(phones.shape[1], prompt.shape[1], x.device)[None, None]
        keys, values = [], []
        for block in self.h:
            query, key, value = block.self_attn.project(x)
            x = block.finish(x, block.self_attn.attend(query, key, value, visible))
            keys.append(key)
            values.append(value)
        return self.ar_predict_layer(x[:, -1]), torch.stack(keys), torch.stack(values)

    def step(
        self, token: Tensor, position: Tensor, length: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Add one token to each of B sentences.

        Args:
            token: (B,) the tokens drawn last.
            position: (B,) their place among the audio tokens, the prompt's counted.
            length: (B,) filled places of each sentence's cache; the new one goes right behind.
            keys: (L, B, H, C, D/H) with C > length.
            values: the same.

        Returns:
            Logits (B, V) of the next token, and the same cache, its new place filled in place.
            (Repeating a step changes nothing: nobody else looks at that place before.)
        """
        x = self.ar_audio_position.at(self.ar_audio_embedding(token[:, None]), position)
        places = torch.arange(keys.shape[3], device=keys.device)
        visible = (places <= length[:, None])[:, None, None]  # (B, 1, 1, C)
        place = length[:, None, None, None].expand(-1, keys.shape[2], 1, keys.shape[4])
        for layer, block in enumerate(self.h):
            query, key, value = block.self_attn.project(x)
            # In place: copying the whole cache for every token would cost more than attention.
            keys[layer].scatter_(2, place, key)
            values[layer].scatter_(2, place, value)
            attended = block.self_attn.attend(query, keys[layer], values[layer], visible)
            x = block.finish(x, attended)
        return self.ar_predict_layer(x[:, -1]), keys, values


def prefill_visible(phones: int, prompt: int, device: torch.device) -> Tensor:
    """Who sees whom in the first pass, (n + P, n + P): true where the row may attend."""
    places = torch.arange(phones + prompt, device=device)
    return (places[None, :] < phones) | (
        (places[:, None] >= phones) & (places[None, :] <= places[:, None])
    )
