"""The T2S graphs as they are exported, the same network with other hands on the cache.

`PlainPrefill` and `PlainStep` use standard operators only. `t2s_decode` of `engines.graphs` hands
its whole cache through; ONNX Runtime would copy it for every layer of every token. In `CachedStep`
every layer's keys and values are an input and an output of their own,
and attention is `com.microsoft.GroupQueryAttention`, which writes only the new place where both are
bound to the same memory, and reads only the places that are filled.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.onnx import symbolic_helper, symbolic_opset9

from engines.networks.t2s import T2S, SelfAttention, prefill_visible

_INT32 = 6  # ONNX's number of the type


class CachedAttention(torch.autograd.Function):
    """Write a token's key and value behind the filled places, and attend to all of them."""

    @staticmethod
    def forward(
        _context: Any, x: Tensor, projected: Tensor, keys: Tensor, values: Tensor, length: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Input x (B, 1, D), its projection (B, 1, 3 D), cache (B, H, C, D/H), length (B,).

        Returns the mixed values, like x, and the cache.
        """
        batch, heads, places, size = keys.shape
        query, key, value = projected.view(batch, 1, 3, heads, size).permute(2, 0, 3, 1, 4)
        place = length[:, None, None, None].expand(-1, heads, 1, size)
        keys, values = keys.scatter(2, place, key), values.scatter(2, place, value)
        visible = (torch.arange(places) <= length[:, None])[:, None, None]
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=visible)
        return mixed.transpose(1, 2).flatten(2), keys, values

    @staticmethod
    def symbolic(graph: Any, x: Any, projected: Any, keys: Any, values: Any, length: Any) -> Any:
        """The same as one ONNX node."""
        heads = symbolic_helper._get_tensor_dim_size(keys, 1)
        last = graph.op("Cast", length, to_i=_INT32)
        longest = graph.op("ReduceMax", last, keepdims_i=0)
        one = graph.op("Constant", value_t=torch.tensor(1, dtype=torch.int32))
        total = graph.op("Add", longest, one)
        unused = symbolic_opset9.unused(graph)  # type: ignore[no-untyped-call]
        mixed, new_keys, new_values = graph.op(
            "com.microsoft::GroupQueryAttention",
            *(projected, unused, unused, keys, values, last, total),
            num_heads_i=heads,
            kv_num_heads_i=heads,
            outputs=3,
        )
        mixed.setType(x.type())
        new_keys.setType(keys.type())
        new_values.setType(values.type())
        return mixed, new_keys, new_values


class CachedStep(nn.Module):
    """`T2S.step` with a cache of 2 L tensors: the keys of each layer, then the values."""

    def __init__(self, t2s: T2S) -> None:
        super().__init__()
        self.t2s = t2s

    def forward(
        self, token: Tensor, position: Tensor, length: Tensor, *cache: Tensor
    ) -> tuple[Tensor, ...]:
        """Token, position, length (B,), cache (B, H, C, D/H) each -> logits (B, V), the cache."""
        network, layers = self.t2s, len(cache) // 2
        x = network.ar_audio_position.at(network.ar_audio_embedding(token[:, None]), position)
        keys, values = [], []
        for block, old_keys, old_values in zip(
            network.h, cache[:layers], cache[layers:], strict=True
        ):
            attention = block.self_attn
            projected = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
            mixed, new_keys, new_values = CachedAttention.apply(  # type: ignore[no-untyped-call]
                x, projected, old_keys, old_values, length
            )
            x = block.finish(x, attention.out_proj(mixed))
            keys.append(new_keys)
            values.append(new_values)
        return (network.ar_predict_layer(x[:, -1]), *keys, *values)


class PlainPrefill(nn.Module):
    """`T2S.prefill`, whose new keys and values somebody else puts into the cache.

    One sentence, and attention spelled out: PyTorch's own operator is exported with its scale and
    sizes worked out in every layer, at every run.
    """

    def __init__(self, t2s: T2S) -> None:
        super().__init__()
        self.t2s = t2s

    def forward(
        self, phones: Tensor, bert: Tensor, prompt: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `T2S.prefill`."""
        x = self.t2s.embed(phones, bert, prompt)
        visible = prefill_visible(phones.shape[1], prompt.shape[1], x.device)
        return _read(self.t2s, x, visible)


class JoinedPrefill(nn.Module):
    """The same of a sentence in one row, padding in front; see `engines.padding.joined`."""

    def __init__(self, t2s: T2S) -> None:
        super().__init__()
        self.t2s = t2s

    def forward(
        self, phones: Tensor, prompt: Tensor, bert: Tensor, places: Tensor, heard: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """All (1, T), bert (1, 1024, T); see `T2S.prefill`."""
        network, is_heard = self.t2s, heard > 0
        place = torch.maximum(places, places.new_zeros(()))
        text = network.ar_text_embedding(phones) + network.bert_proj(bert.transpose(1, 2))
        text = text + network.ar_text_position.alpha * network.ar_text_position.table[place]
        tokens = network.ar_audio_embedding(prompt)
        tokens = tokens + network.ar_audio_position.alpha * network.ar_audio_position.table[place]
        x = torch.where(is_heard.unsqueeze(-1), tokens, text)
        before = is_heard.unsqueeze(2) & (places.unsqueeze(1) <= places.unsqueeze(2))
        visible = (places >= 0).unsqueeze(1) & (~is_heard.unsqueeze(1) | before)
        return _read(network, x, visible[0])


def _read(network: T2S, x: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The blocks over x (1, T, D), where row i sees what `visible` (T, T) allows."""
    hidden = torch.where(visible, 0.0, -math.inf)
    keys, values = [], []
    for block in network.h:
        query, key, value = _projected(block.self_attn, x)
        x = block.finish(x, _attended(block.self_attn, query, key, value, hidden))
        keys.append(key)
        values.append(value)
    return network.ar_predict_layer(x[:, -1]), torch.stack(keys), torch.stack(values)


def _projected(attention: SelfAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(1, T, D) -> query, key and value, each (1, H, T, D/H)."""
    size = attention.out_proj.in_features // attention.heads
    projected = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
    split = projected.reshape(1, -1, 3, attention.heads, size).permute(2, 0, 3, 1, 4)
    return split[0], split[1], split[2]


def _attended(
    attention: SelfAttention, query: Tensor, keys: Tensor, values: Tensor, hidden: Tensor
) -> Tensor:
    """`SelfAttention.attend` of one sentence; `hidden` (T, T) is 0 or, out of sight, -inf."""
    scores = (query * (attention.out_proj.in_features // attention.heads) ** -0.5) @ keys.transpose(
        2, 3
    ) + hidden
    mixed = (torch.softmax(scores, dim=-1) @ values).transpose(1, 2)
    rows = mixed.reshape(1, -1, attention.out_proj.in_features)
    return attention.out_proj(rows)  # type: ignore[no-any-return]


class PlainStep(nn.Module):
    """`T2S.step` of standard operators, without a write into its inputs."""

    def __init__(self, t2s: T2S) -> None:
        super().__init__()
        self.t2s = t2s

    def forward(
        self, token: Tensor, position: Tensor, length: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `T2S.step`."""
        network = self.t2s
        x = network.ar_audio_position.at(network.ar_audio_embedding(token[:, None]), position)
        places = torch.arange(keys.shape[3])
        visible = (places <= length[:, None])[:, None, None]
        here = (places == length[:, None])[:, None, :, None]
        new_keys, new_values = [], []
        for layer, block in enumerate(network.h):
            query, key, value = block.self_attn.project(x)
            new_keys.append(torch.where(here, key, keys[layer]))
            new_values.append(torch.where(here, value, values[layer]))
            attended = block.self_attn.attend(query, new_keys[-1], new_values[-1], visible)
            x = block.finish(x, attended)
        return network.ar_predict_layer(x[:, -1]), torch.stack(new_keys), torch.stack(new_values)
