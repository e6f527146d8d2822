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
    MASKS,
    PLACES,
    USUAL,
    WINDOWS,
    joined,
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
    (
        TensorSpec("phones", "int64", (1, PHONES)),
        TensorSpec("bert", "float32", (1, 2, PHONES)),
        TensorSpec("prompt", "int64", (1, PROMPT)),
    ),
    (),
)
SENTENCE = {
    "phones": np.array([[5, 6, 7]]),
    "bert": np.ones((1, 2, 3), np.float32),
    "prompt": np.array([[8, 9]]),
}


@pytest.mark.parametrize(
    ("axis", "most", "waste"),
    [(TOKENS, 7, 2), (TEXT, 4, 2), (PLACES, 10, 1.5), (FRAMES, 42, 1.25)],
    ids=["tokens", "text", "places", "frames"],
)
def test_prepared_sizes_are_few_and_large_enough(axis: Axis, most: int, waste: float) -> None:
    sizes = {size: prepared_size(axis, size) for size in range(1, axis.max + 1)}
    assert all(size <= room <= max(waste * size + 4, 64) for size, room in sizes.items())
    assert list(sizes.values()) == sorted(sizes.values())
    assert max(sizes.values()) == axis.max
    assert len(set(sizes.values())) <= most


def test_what_is_too_long_stays_so() -> None:
    assert prepared_size(TOKENS, TOKENS.max + 1) == TOKENS.max + 1


def test_what_a_home_says_is_prepared() -> None:
    axes = {axis.name: axis for axis in (TOKENS, TEXT, PLACES, FRAMES)}
    for sizes in (sizes for graph, usual in USUAL.items() for sizes in usual if graph in MASKS):
        assert {name: prepared_size(axes[name], size) for name, size in sizes.items()} == sizes
    assert {sizes["heard"] for sizes in USUAL["vits_generate"]} <= set(WINDOWS)
    assert {prepared_size(FRAMES, size) for size in range(1, 257)} == {
        sizes["frames"] for sizes in USUAL["vits_flow"]
    }


def test_frames_follow_their_tokens() -> None:
    sizes = sizes_of(ENCODE, {"codes": (1, 100), "phones": (1, 40)})
    assert sizes.actual == {"tokens": 100, "text": 40, "frames": 200}
    assert sizes.room == {"tokens": 128, "text": 64, "frames": 256}
    assert sizes.shape(ENCODE.outputs[0]) == (1, 4, 256)
    assert sizes.shape(ENCODE.outputs[0], padded=False) == (1, 4, 200)


def test_masks_hide_what_lies_behind() -> None:
    sizes = sizes_of(ENCODE, {"codes": (1, 30), "phones": (1, 61)})
    tokens, phones = (sizes.mask(mask) for mask in MASKS["vits_encode"])
    assert tokens.tolist() == [[[1.0] * 30 + [0.0] * 2]]
    assert phones.tolist() == [[[1.0] * 61 + [0.0] * 3]]


def test_a_sentence_stands_in_one_row_behind_its_padding() -> None:
    row = joined(SENTENCE, 7)
    assert {name: array[0].tolist() for name, array in row.items()} == {
        "phones": [0, 0, 5, 6, 7, 0, 0],
        "prompt": [0, 0, 0, 0, 0, 8, 9],
        "places": [-1, -1, 0, 1, 2, 0, 1],
        "heard": [0, 0, 0, 0, 0, 1, 1],
        "bert": [[0, 0, 1, 1, 1, 0, 0]] * 2,
    }


@pytest.mark.parametrize("row", [ENCODE, PREFILL], ids=lambda row: str(row.name))
def test_what_is_not_padded_is_told_in_the_same_inputs(row: GraphSpec) -> None:
    codes = {"codes": np.zeros((1, 5), np.int64), "phones": np.zeros((1, 3), np.int64)}
    told = without_padding(row, {"vits_encode": codes, "t2s_prefill": SENTENCE}[row.name])
    wanted = {tensor.name: tensor for tensor in padded(row).inputs}
    assert set(told) == set(wanted)
    sizes: dict[str, int] = {}
    assert all(wanted[name].fits(array.shape, sizes) for name, array in told.items())
    assert all(array.dtype == wanted[name].dtype for name, array in told.items())


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
