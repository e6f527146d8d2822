"""Sizes that a card is prepared for: a sentence is made a little longer, or covered by windows.

A card's work at one size can be recorded and asked for again in a few microseconds; a new size
costs TensorRT from ten milliseconds to half a second. Sentences have every length, so graphs that
see a whole sentence take it padded to one of a few sizes, with further inputs that say what is
padding (Kim et al. 2021 hide it by masks in the same places), and the generator, which hears only a
few frames to each side, covers a latent with windows of such sizes. The sentence's numbers stay
what they are without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from engines.graphs import (
    FRAMES,
    FRAMES_PER_TOKEN,
    GENERATOR_CONTEXT,
    PHONES,
    PROMPT,
    TEXT,
    TOKENS,
    Axis,
    GraphSpec,
    TensorSpec,
)

Array: TypeAlias = npt.NDArray[Any]

PREFILL = "t2s_prefill"
PLACES = Axis("places", 1, 256, PHONES.max + PROMPT.max)
"""Of a sentence whose phones and prompt stand in one row, padding in front of them."""

MASKS = {
    "vits_encode": (
        TensorSpec("token_mask", "float32", (1, 1, TOKENS)),
        TensorSpec("phone_mask", "float32", (1, 1, TEXT)),
    ),
    "vits_flow": (TensorSpec("frame_mask", "float32", (1, 1, FRAMES)),),
}
"""Graph → inputs that are one, or nought for padding behind the sentence."""

MASK_NAMES = frozenset(mask.name for masks in MASKS.values() for mask in masks)
PADDED_GRAPHS = (*MASKS, PREFILL)

WINDOWS = (*range(12, 40, 2), *range(40, 256, 8), *range(256, 512, 32), *range(512, 1025, 64))
"""Frames that the generator is prepared for, up to the most that it takes at once."""

# Attention is prepared with a copy of its weights, so its sizes are few.
_TO_AN_OCTAVE = {TOKENS.name: 1, TEXT.name: 1, PLACES.name: 2, FRAMES.name: 4}
_LEAST = {TOKENS.name: 32, TEXT.name: 64, PLACES.name: 64, FRAMES.name: 24}

USUAL: Mapping[str, Sequence[Mapping[str, int]]] = {
    "vits_encode": [{"tokens": tokens, "text": 64} for tokens in (32, 64, 128)],
    "vits_flow": [
        {"frames": frames}
        for frames in (24, 28, *range(32, 64, 8), *range(64, 128, 16), *range(128, 257, 32))
    ],
    PREFILL: [{"places": places} for places in (192, 256, 384)],
    "vits_generate": [{"heard": frames} for frames in WINDOWS if frames <= 256],
}
"""Graph → sizes of what a home says: sentences up to five seconds, references up to ten."""


def padded(graph: GraphSpec) -> GraphSpec:
    """The row as cards compute it; another one only for the graphs that are padded."""
    if graph.name != PREFILL:
        return replace(graph, inputs=(*graph.inputs, *MASKS.get(graph.name, ())))
    width = next(tensor for tensor in graph.inputs if tensor.name == "bert").shape[1]
    ids = (TensorSpec(name, "int64", (1, PLACES)) for name in ("phones", "prompt"))
    bert = TensorSpec("bert", "float32", (1, width, PLACES))
    marks = (TensorSpec(name, "int64", (1, PLACES)) for name in ("places", "heard"))
    return replace(graph, inputs=(*ids, bert, *marks))


def joined(feeds: Mapping[str, Array], room: int) -> dict[str, Array]:
    """Phones and prompt of a sentence in one row of so many places, padding in front.

    Args:
        feeds: phones (1, n), bert (1, W, n), prompt (1, P).
        room: at least n + P.

    Returns:
        `phones`, `prompt` and `bert`, each nought where the others stand; `places`, of each phone
        among the phones and of each token among the prompt's, -1 for padding; `heard`, one for
        the prompt's tokens. Keys and values of the sentence then lie side by side.
    """
    phones, bert, prompt = (feeds[name] for name in ("phones", "bert", "prompt"))
    last = room - prompt.shape[1]
    first = last - phones.shape[1]
    row = {name: np.zeros((1, room), np.int64) for name in ("phones", "prompt", "places", "heard")}
    row["phones"][:, first:last] = phones
    row["prompt"][:, last:] = prompt
    row["places"][:, :first] = -1
    row["places"][:, first:last] = np.arange(last - first)
    row["places"][:, last:] = np.arange(room - last)
    row["heard"][:, last:] = 1
    features = np.zeros((*bert.shape[:2], room), np.float32)
    features[:, :, first:last] = bert
    return {**row, "bert": features}


def prepared_size(axis: Axis, size: int) -> int:
    """The least prepared size that holds `size`; the size itself where an axis is never padded."""
    if axis.name not in _TO_AN_OCTAVE:
        return size
    octave = 1 << (max(size, 2) - 1).bit_length() - 1
    step = max(octave // _TO_AN_OCTAVE[axis.name], 4)
    rounded = max(-(-size // step) * step, _LEAST[axis.name])
    return max(min(rounded, axis.max), size)  # what is too long is for the engine to refuse


@dataclass(frozen=True, slots=True)
class Sizes:
    """The free axes of one run of a graph.

    Attributes:
        actual: of the sentence.
        room: of the padded run.
    """

    actual: Mapping[str, int]
    room: Mapping[str, int]

    def shape(self, tensor: TensorSpec, padded: bool = True) -> tuple[int, ...]:
        """The shape of an input or output."""
        sizes = self.room if padded else self.actual
        return tuple(sizes[each.name] if isinstance(each, Axis) else each for each in tensor.shape)

    def mask(self, tensor: TensorSpec) -> Array:
        """The input that is nought for padding."""
        mask = np.zeros(self.shape(tensor), np.float32)
        mask[tuple(slice(size) for size in self.shape(tensor, padded=False))] = 1
        return mask


def sizes_of(graph: GraphSpec, shapes: Mapping[str, Sequence[int]]) -> Sizes:
    """The sizes of a run, from the shapes of a graph's inputs."""
    actual: dict[str, int] = {}
    room: dict[str, int] = {}
    for tensor in graph.inputs:
        for axis, size in zip(tensor.shape, shapes[tensor.name], strict=True):
            if isinstance(axis, Axis):
                actual[axis.name], room[axis.name] = size, prepared_size(axis, size)
    if TOKENS.name in actual:
        for sizes in (actual, room):
            sizes[FRAMES.name] = FRAMES_PER_TOKEN * sizes[TOKENS.name]
    return Sizes(actual, room)


def without_padding(graph: GraphSpec, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Feeds of a graph as cards take them, at their own size."""
    if graph.name == PREFILL:
        return joined(feeds, feeds["phones"].shape[1] + feeds["prompt"].shape[1])
    actual = sizes_of(graph, {name: np.shape(feed) for name, feed in feeds.items()}).actual
    masks = {mask.name: Sizes(actual, actual).mask(mask) for mask in MASKS.get(graph.name, ())}
    return {**feeds, **masks}


@dataclass(frozen=True, slots=True)
class Window:
    """Frames that the generator hears at once, and which of them are for the ear."""

    start: int
    stop: int
    first: int
    last: int


def windows(frames: int) -> list[Window]:
    """Prepared sizes that cover so many frames, two of them where none fits.

    The first ends early, the second begins early; what the generator says there depends on
    frames that it did not hear, and is left out. A length that is too short for that stays as it
    is, and is no prepared size.
    """
    fitting = max((size for size in WINDOWS if size <= frames), default=0)
    if fitting in (0, frames):
        return [Window(0, frames, 0, frames)]
    join = fitting - GENERATOR_CONTEXT
    wanted = frames - join + GENERATOR_CONTEXT
    rest = min((size for size in WINDOWS if size >= wanted), default=frames)
    if rest > frames:
        return [Window(0, frames, 0, frames)]
    return [Window(0, fitting, 0, join), Window(frames - rest, frames, join, frames)]
