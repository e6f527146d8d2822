"""The measure of how two readings differ hears what it should, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engines.sampling import Floats
from tests.training.conftest import buzz
from training.likeness import difference
from training.shards import RATE

Change = Callable[[Floats], Floats]


@pytest.fixture(scope="module")
def samples() -> Floats:
    return np.asarray(buzz(0, 2.0).samples / 32768, np.float32)


def test_the_same_is_the_same(samples: Floats) -> None:
    found = difference(samples, samples.copy(), RATE)
    assert (found.length, found.level, found.colour, found.apart, found.samples) == (1, 0, 0, 0, 0)


def test_slower_is_longer_and_little_else(samples: Floats) -> None:
    stretched = np.repeat(samples.reshape(-1, 640), 2, axis=0)[::2].reshape(-1)
    slower = np.concatenate([stretched[:6400], stretched[5760:]])
    found = difference(samples, slower, RATE)
    assert found.length == pytest.approx(1.01)
    assert found.apart < 1
    assert found.samples == float("inf")


@pytest.mark.parametrize(
    ("change", "apart"),
    [
        (lambda s: s / 2, 3),
        (lambda s: s + 0.02 * np.random.default_rng(0).standard_normal(len(s), np.float32), 3),
        (lambda s: s[::-1].copy(), 3),
        (lambda s: np.concatenate([s[32_000:], s[:32_000]]), 3),
        (lambda s: np.concatenate([s[:16_000], s[48_000:]]), 1),
    ],
    ids=["half as loud", "noise", "backwards", "halves swapped", "a hole"],
)
def test_what_is_broken_is_far_apart(samples: Floats, change: Change, apart: float) -> None:
    assert difference(samples, change(samples), RATE).apart > apart


def test_half_as_loud_is_six_decibels(samples: Floats) -> None:
    assert difference(samples, samples / 2, RATE).level == pytest.approx(-6.02, abs=0.01)
