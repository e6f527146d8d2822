"""Sizes that a card is prepared for: a sentence is made a little longer, or covered by windows.

A card's work at one size can be recorded and asked for again in a few microseconds; a new size
costs TensorRT milliseconds. Sentences have every length, so graphs that see a whole sentence take
it padded to one of a few sizes, with further inputs that say what is padding (Kim et al. 2021 hide
it by masks in the same places), and the generator, which hears only a few frames to each side,
covers a latent with windows of such sizes. The sentence's numbers stay what they are without.
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
    TEXT,
    TOKENS,
    Axis,
    GraphSpec,
    TensorSpec,
)

Array: TypeAlias = npt.NDArray[Any]

TOKEN_MASK = TensorSpec("token_mask", "float32", (1, 1, TOKENS))
FRAME_MASK = TensorSpec("frame_mask", "float32", (1, 1, FRAMES))
PHONE_MASK = TensorSpec("phone_mask", "float32", (1, 1, TEXT))
PHONE_PLACES = TensorSpec("phone_places", "int64", (1, PHONES))
"""The place of each phone in its text, -1 where it is padding."""

MARKS = {
    "vits_encode": (TOKEN_MASK, PHONE_MASK),
    "vits_flow": (FRAME_MASK,),
    "t2s_prefill": (PHONE_PLACES,),
}
"""Graph → inputs that say what is padding."""

MASKS = frozenset({TOKEN_MASK.name, FRAME_MASK.name, PHONE_MASK.name})
"""Names of inputs that are one, or nought for padding."""

_IN_FRONT = frozenset({PHONES.name})
"""Axes that are padded in front: keys and values of the sentence then lie side by side."""
_TO_AN_OCTAVE = {TOKENS.name: 4, FRAMES.name: 4, TEXT.name: 1, PHONES.name: 4}
_LEAST = {TOKENS.name: 12, FRAMES.name: 24, TEXT.name: 32, PHONES.name: 32}

WINDOWS = (*range(12, 40, 2), *range(40, 256, 8), *range(256, 512, 32), *range(512, 1025, 64))
"""Frames that the generator is prepared for, up to the most that it takes at once."""


def padded(graph: GraphSpec) -> GraphSpec:
    """The row with the inputs that say what is padding, where the graph can be padded."""
    return replace(graph, inputs=(*graph.inputs, *MARKS.get(graph.name, ())))


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

    def places(self, tensor: TensorSpec) -> tuple[slice, ...]:
        """Where the sentence lies in a padded input or output."""
        return tuple(
            self._within(each.name) if isinstance(each, Axis) else slice(None)
            for each in tensor.shape
        )

    def marks(self, tensor: TensorSpec) -> Array:
        """The input that says what is padding."""
        if tensor.name in MASKS:
            mask = np.zeros(self.shape(tensor), np.float32)
            mask[self.places(tensor)] = 1
            return mask
        places = np.full(self.shape(tensor), -1, np.int64)
        places[self.places(tensor)] = np.arange(self.actual[PHONES.name])
        return places

    def _within(self, axis: str) -> slice:
        size, room = self.actual[axis], self.room[axis]
        return slice(room - size, room) if axis in _IN_FRONT else slice(size)


def sizes_of(graph: GraphSpec, shapes: Mapping[str, Sequence[int]]) -> Sizes:
    """The sizes of a run, from the shapes of a graph's inputs, as far as they are there."""
    actual: dict[str, int] = {}
    room: dict[str, int] = {}
    for tensor in graph.inputs:
        for axis, size in zip(tensor.shape, shapes.get(tensor.name, ()), strict=False):
            if isinstance(axis, Axis):
                actual[axis.name], room[axis.name] = size, prepared_size(axis, size)
    if TOKENS.name in actual:
        for sizes in (actual, room):
            sizes[FRAMES.name] = FRAMES_PER_TOKEN * sizes[TOKENS.name]
    return Sizes(actual, room)


def without_padding(graph: GraphSpec, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Feeds of a graph with the inputs that say that nothing of them is padding."""
    shapes = {name: np.shape(feed) for name, feed in feeds.items()}
    actual = sizes_of(graph, shapes).actual
    marks = {
        tensor.name: Sizes(actual, actual).marks(tensor) for tensor in MARKS.get(graph.name, ())
    }
    return {**feeds, **marks}


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
