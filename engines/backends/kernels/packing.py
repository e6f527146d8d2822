"""The weights of the text-to-semantic network in the order in which the kernels read them.

The work of a layer is cut into 16 x 8 parts: part (c, r) belongs to attention head c and to 128 of
the hidden units, and is rank r of 8 among them. A part's weights lie together, cut into blocks of
16 rows by 16 inputs as the tensor core wants them (see `_blocks`), so a GPU streams them with a few
large copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.errors import CheckpointError

WIDTH, HEADS, HEAD, HIDDEN, VOCABULARY = 512, 16, 32, 2048, 1025
RANKS = 8
PARTS = HEADS * RANKS
ROWS = WIDTH // RANKS
UNITS = HIDDEN // HEADS
PIECE = HEAD // RANKS
POSITIONS = 4000

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class PackedT2S:
    """What the kernels read, each array contiguous.

    Attributes:
        layers: how many blocks the network has.
        attention: float16 [layers + 1, 128, 10240]; the last row holds the logits' weights.
        feed: float16 [layers, 128, 16384].
        attention_norms: float32 [layers + 1, 1024], second norm of the layer before (the first
            row is not read).
        attention_biases: float32 [layers + 1, 128, 80], 64 of the rows of the layer before's second
            feed-forward product, 12 of the part's q, k and v.
        feed_norms: float32 [layers, 1024], first norm.
        feed_biases: float32 [layers, 128, 80], 64 of the out-projection, 16 of the hidden units.
        embedding: float32 [1025, 512].
        positions: float32 [4000, 512], with their learned weight.
    """

    layers: int
    attention: Array
    feed: Array
    attention_norms: Array
    attention_biases: Array
    feed_norms: Array
    feed_biases: Array
    embedding: Array
    positions: Array


def pack(weights: Mapping[str, Array]) -> PackedT2S:
    """Pack the arrays of an official checkpoint.

    Args:
        weights: under their official names, without the leading "model.".

    Raises:
        CheckpointError: the network is not of the official size.
    """
    layers = sum(name.endswith("self_attn.in_proj_weight") for name in weights)
    _check(weights)
    block = [_Layer(weights, f"h.layers.{index}.") for index in range(layers)]
    attention = np.empty((layers + 1, PARTS, 10240), np.float16)
    feed = np.empty((layers, PARTS, 16384), np.float16)
    attention_norms = np.zeros((layers + 1, 2 * WIDTH), np.float32)
    attention_biases = np.zeros((layers + 1, PARTS, ROWS + 16), np.float32)
    feed_norms = np.empty((layers, 2 * WIDTH), np.float32)
    feed_biases = np.empty((layers, PARTS, ROWS + 16), np.float32)
    for index, layer in enumerate(block):
        attention[index] = _attention(layer)
        feed[index] = _feed(layer)
        attention_norms[index + 1] = layer.vector("norm2.weight", "norm2.bias")
        feed_norms[index] = layer.vector("norm1.weight", "norm1.bias")
        attention_biases[index + 1, :, :ROWS] = _by_rank(layer["linear2.bias"])
        attention_biases[index, :, ROWS:] = _pieces(layer["self_attn.in_proj_bias"][:, None])[
            ..., 0
        ]
        feed_biases[index, :, :ROWS] = _by_rank(layer["self_attn.out_proj.bias"])
        feed_biases[index, :, ROWS:] = layer["linear1.bias"].reshape(PARTS, 16)
    attention[layers] = _logits(weights["ar_predict_layer.weight"])
    alpha = np.float32(np.asarray(weights["ar_audio_position.alpha"]).reshape(-1)[0])
    return PackedT2S(
        layers,
        attention,
        feed,
        attention_norms,
        attention_biases,
        feed_norms,
        feed_biases,
        weights["ar_audio_embedding.word_embeddings.weight"].astype(np.float32),
        alpha * sinusoids(),
    )


def sinusoids() -> Array:
    """The position table, float32 [4000, 512], sine and cosine interleaved."""
    even = np.arange(0, WIDTH, 2, dtype=np.float32)
    angle = np.arange(POSITIONS, dtype=np.float32)[:, None] * np.exp(
        even * np.float32(-np.log(10000.0) / WIDTH)
    )
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(POSITIONS, WIDTH)


class _Layer:
    def __init__(self, weights: Mapping[str, Array], prefix: str) -> None:
        self._weights = weights
        self._prefix = prefix

    def __getitem__(self, name: str) -> Array:
        return self._weights[self._prefix + name]

    def vector(self, *names: str) -> Array:
        return np.concatenate([self[name] for name in names]).astype(np.float32)


def _attention(layer: _Layer) -> Array:
    """[128, 10240]: a part's rows of q, k and v, then what a head adds to the part's rows."""
    pieces = _blocks(_pieces(layer["self_attn.in_proj_weight"]))
    out = layer["self_attn.out_proj.weight"].reshape(RANKS, ROWS // 16, 16, HEADS, HEAD)
    added = _blocks(out.transpose(3, 0, 1, 2, 4))  # (heads, ranks, tiles, 16, 32)
    return np.concatenate([pieces.reshape(PARTS, -1), added.reshape(PARTS, -1)], axis=1)


def _feed(layer: _Layer) -> Array:
    """[128, 16384]: a part's 16 hidden units, then what 128 units add to the part's rows."""
    units = _blocks(layer["linear1.weight"].reshape(PARTS, 16, WIDTH))
    out = layer["linear2.weight"].reshape(RANKS, ROWS // 16, 16, HEADS, UNITS)
    added = _blocks(out.transpose(3, 0, 1, 2, 4))
    return np.concatenate([units.reshape(PARTS, -1), added.reshape(PARTS, -1)], axis=1)


def _logits(weight: Array) -> Array:
    """[128, 10240]: 16 rows of the vocabulary for a part, as far as they go."""
    rows = np.zeros((PARTS * 16, WIDTH), weight.dtype)
    rows[:VOCABULARY] = weight
    packed = np.zeros((PARTS, 10240), np.float16)
    packed[:, : 16 * WIDTH] = _blocks(rows.reshape(PARTS, 16, WIDTH)).reshape(PARTS, -1)
    return packed


def _pieces(rows: Array) -> Array:
    """(1536, n) of q, k and v -> (128, 16, n): four of each for a part, and four of nothing."""
    cut = rows.reshape(3, HEADS, RANKS, PIECE, -1).transpose(1, 2, 0, 3, 4)
    pieces = np.zeros((PARTS, 16, rows.shape[1]), rows.dtype)
    pieces[:, : 3 * PIECE] = cut.reshape(PARTS, 3 * PIECE, -1)
    return pieces


def _by_rank(bias: Array) -> Array:
    """(512,) -> (128, 64): the rows of each part's rank."""
    return np.tile(bias.reshape(RANKS, ROWS), (HEADS, 1))


def _blocks(tiles: Array) -> Array:
    """Tiles of 16 rows (..., 16, K) in the tensor core's order.

    Lane 4g + q of a warp holds rows g and g + 8 of a block. It takes its inputs from 16 that lie
    together, 16q to 16q + 15 of every 64 (or 8q to 8q + 7 of 32), so that the input vector is read
    in pieces of 16 bytes; which input is the k-th of a block is free as long as both sides agree.
    """
    *outer, rows, inputs = tiles.shape
    own = 4 if inputs >= 64 else inputs // 16  # blocks among which a lane's inputs are spread
    parts = tiles.reshape(*outer, 2, rows // 2, inputs // (16 * own), 4, own, 2, 2)
    first = len(outer)
    high, group, span, quad, block, pair, half = range(first, first + 7)
    order = (*range(first), span, block, group, quad, pair, high, half)
    return np.ascontiguousarray(parts.transpose(order)).astype(np.float16)


def _check(weights: Mapping[str, Array]) -> None:
    for name, shape in (
        ("ar_audio_embedding.word_embeddings.weight", (VOCABULARY, WIDTH)),
        ("h.layers.0.self_attn.in_proj_weight", (3 * WIDTH, WIDTH)),
        ("h.layers.0.linear1.weight", (HIDDEN, WIDTH)),
    ):
        found = tuple(weights[name].shape) if name in weights else "nothing"
        if found != shape:
            raise CheckpointError(f"{name}: the kernels need {shape}, the model has {found}")
