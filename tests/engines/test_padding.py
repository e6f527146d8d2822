"""Prepared sizes: few, never too small, and what pads a sentence is told apart from it."""

from __future__ import annotations

import numpy as np
import pytest

from engines.graphs import (
    FRAMES,
    GENERATOR_CONTEXT,
    HEARD,
    PHONES,
    PROMPT,
    TEXT,
    TOKENS,
    Axis,
    GraphSpec,
    TensorSpec,
)
from engines.padding import (
    PHONE_MASK,
    PHONE_PLACES,
    TOKEN_MASK,
    WINDOWS,
    padded,
    prepared_size,
    sizes_of,
    windows,
    without_padding,
)

ENCODE = GraphSpec(
    "vits_encode",
    "speak",
    (TensorSpec("codes", "int64", (1, TOKENS)), TensorSpec("phones", "int64", (1, TEXT))),
    (TensorSpec("mean", "float32", (1, 4, FRAMES)),),
)
PREFILL = GraphSpec(
    "t2s_prefill",
    "speak",
    (TensorSpec("phones", "int64", (1, PHONES)), TensorSpec("prompt", "int64", (1, PROMPT))),
    (),
)


@pytest.mark.parametrize(
    ("axis", "most"), [(TOKENS, 34), (FRAMES, 46), (TEXT, 5), (PHONES, 24)], ids=lambda a: str(a)
)
def test_prepared_sizes_are_few_and_large_enough(axis: Axis, most: int) -> None:
    sizes = [prepared_size(axis, size) for size in range(max(axis.min, 1), axis.max + 1)]
    assert all(room >= size for size, room in enumerate(sizes, max(axis.min, 1)))
    assert sizes == sorted(sizes)
    assert max(sizes) == axis.max
    assert len(set(sizes)) <= most
    # Beyond the smallest, a quarter of an octave; phones of the text cost little.
    waste = 1.26 if axis is not TEXT else 2.0
    assert all(room <= max(waste * size, 32) for size, room in enumerate(sizes, max(axis.min, 1)))


def test_a_prompt_is_never_padded() -> None:
    assert [prepared_size(PROMPT, size) for size in (0, 1, 99, 265)] == [0, 1, 99, 265]


def test_frames_follow_their_tokens() -> None:
    sizes = sizes_of(ENCODE, {"codes": (1, 100), "phones": (1, 40)})
    assert sizes.actual == {"tokens": 100, "text": 40, "frames": 200}
    assert sizes.room == {"tokens": 112, "text": 64, "frames": 224}
    assert sizes.shape(ENCODE.outputs[0]) == (1, 4, 224)
    assert sizes.shape(ENCODE.outputs[0], padded=False) == (1, 4, 200)


def test_masks_hide_what_lies_behind() -> None:
    sizes = sizes_of(ENCODE, {"codes": (1, 13), "phones": (1, 31)})
    tokens, phones = sizes.marks(TOKEN_MASK), sizes.marks(PHONE_MASK)
    assert tokens.tolist() == [[[1.0] * 13 + [0.0] * 3]]
    assert phones.tolist() == [[[1.0] * 31 + [0.0]]]


def test_a_text_is_padded_in_front() -> None:
    sizes = sizes_of(PREFILL, {"phones": (1, 30), "prompt": (1, 7)})
    assert sizes.marks(PHONE_PLACES).tolist() == [[-1, -1, *range(30)]]
    assert sizes.places(PREFILL.inputs[0]) == (slice(None), slice(2, 32))


def test_what_is_not_padded_can_be_told_too() -> None:
    feeds = {"codes": np.zeros((1, 5), np.int64), "phones": np.zeros((1, 3), np.int64)}
    told = without_padding(ENCODE, feeds)
    assert [tensor.name for tensor in padded(ENCODE).inputs] == list(told)
    assert told["token_mask"].tolist() == [[[1.0] * 5]]
    assert told["phone_mask"].tolist() == [[[1.0] * 3]]


@pytest.mark.parametrize("frames", [*range(1, 130), 200, 255, 257, 300, 511, 600, 1000, HEARD.max])
def test_windows_cover_every_frame_once_with_its_context(frames: int) -> None:
    heard = windows(frames)
    assert len(heard) <= 2
    assert [one.last for one in heard[:-1]] == [one.first for one in heard[1:]]
    assert (heard[0].first, heard[-1].last) == (0, frames)
    for one in heard:
        assert 0 <= one.start <= one.first < one.last <= one.stop <= frames
        # What is heard begins and ends with the latent, or a context away from it.
        assert one.start == 0 or one.first - one.start >= GENERATOR_CONTEXT
        assert one.stop == frames or one.stop - one.last >= GENERATOR_CONTEXT


def test_every_sentence_is_covered_by_prepared_windows() -> None:
    for frames in range(40, HEARD.max + 1):
        heard = [one.stop - one.start for one in windows(frames)]
        assert set(heard) <= set(WINDOWS)
        assert sum(heard) <= frames + 72
