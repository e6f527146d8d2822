import numpy as np
import pytest

from engines.errors import EngineError
from engines.sampling import (
    SamplingParams,
    exponential_noise,
    normal_noise,
    penalise,
    philox,
    probabilities,
    sample,
)

LOGITS = np.array([2.0, -1.0, 0.5, 1.0, -3.0, 0.0], np.float32)
NOTHING = np.zeros(0, np.int64)


# The known answers that Random123 publishes with the generator.
@pytest.mark.parametrize(
    ("seed", "counter", "words"),
    [
        (0, [0, 0, 0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (2**64 - 1, [2**32 - 1] * 4, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            0x299F31D0A4093822,
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_published_answers(seed: int, counter: list[int], words: list[int]):
    assert philox(seed, np.array([counter], np.uint32)).tolist() == [words]


def test_penalty_weakens_each_heard_token_once():
    penalised = penalise(LOGITS, np.array([0, 1, 1, 1, 99]), 2.0)
    assert penalised.tolist() == [1.0, -2.0, 0.5, 1.0, -3.0, 0.0]
    assert LOGITS[0] == 2.0


def test_top_p_counts_the_token_itself_but_keeps_the_likeliest():
    # softmax of the six logits, sorted: 0.52 0.19 0.12 0.07 0.03 ...
    weights = probabilities(LOGITS, SamplingParams(top_k=6, top_p=0.6))
    assert np.count_nonzero(weights) == 1
    weights = probabilities(LOGITS, SamplingParams(top_k=6, top_p=0.8))
    assert np.flatnonzero(weights).tolist() == [0, 3]


def test_top_p_is_decided_before_the_temperature():
    hot = probabilities(LOGITS, SamplingParams(top_k=6, top_p=0.8, temperature=100.0))
    assert np.flatnonzero(hot).tolist() == [0, 3]
    assert hot[0] == pytest.approx(0.5, abs=0.01)


def test_top_k_keeps_ties_at_the_threshold():
    logits = np.array([1.0, 3.0, 1.0, 0.0], np.float32)
    weights = probabilities(logits, SamplingParams(top_k=2))
    assert np.flatnonzero(weights).tolist() == [0, 1, 2]
    assert weights.sum() == pytest.approx(1.0, abs=1e-6)


def test_temperature_zero_is_the_likeliest_token():
    weights = probabilities(LOGITS, SamplingParams(temperature=0.0))
    assert weights.tolist() == [1, 0, 0, 0, 0, 0]


def test_noise_decides_among_the_likely():
    noise = np.array([4.0, 1, 1, 0.5, 1, 1], np.float32)
    params = SamplingParams(repetition_penalty=1.0)
    assert sample(LOGITS, NOTHING, 50, params, noise) == (3, False)


@pytest.mark.parametrize(("step", "expected"), [(0, (0, False)), (10, (0, False)), (11, (5, True))])
def test_the_end_token_is_held_back_for_eleven_steps(step: int, expected: tuple[int, bool]):
    logits = LOGITS.copy()
    logits[5] = 9.0
    assert sample(logits, NOTHING, step, SamplingParams(), np.ones(6, np.float32)) == expected


def test_the_sentence_ends_when_the_end_is_likeliest_even_if_another_token_is_drawn():
    logits = LOGITS.copy()
    logits[5] = 2.5
    noise = np.array([0.01, 1, 1, 1, 1, 1], np.float32)
    assert sample(logits, NOTHING, 11, SamplingParams(), noise) == (0, True)


def test_a_repeated_token_loses_to_the_end_after_the_penalty():
    logits = LOGITS.copy()
    logits[5] = 1.8
    noise = np.ones(6, np.float32)
    assert sample(logits, NOTHING, 11, SamplingParams(), noise) == (0, False)
    assert sample(logits, np.array([0]), 11, SamplingParams(), noise) == (5, True)


def test_noise_depends_on_seed_and_step_only():
    first = exponential_noise(7, 3, 1025)
    assert np.array_equal(first, exponential_noise(7, 3, 1025))
    assert np.array_equal(first[:100], exponential_noise(7, 3, 100))
    assert not np.array_equal(first, exponential_noise(7, 4, 1025))
    assert not np.array_equal(first, exponential_noise(8, 3, 1025))
    assert not np.array_equal(first, exponential_noise(7 + 2**32, 3, 1025))


def test_exponential_noise_is_exponential():
    noise = np.concatenate([exponential_noise(1, step, 1025) for step in range(100)])
    assert noise.dtype == np.float32
    assert noise.min() > 0
    assert noise.mean() == pytest.approx(1.0, abs=0.01)
    assert np.median(noise) == pytest.approx(np.log(2), abs=0.01)


def test_normal_noise_is_normal_and_knows_its_place():
    noise = normal_noise(1, 192, 0, 500)
    assert noise.shape == (1, 192, 500)
    assert noise.mean() == pytest.approx(0.0, abs=0.01)
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    assert np.array_equal(normal_noise(1, 192, 123, 321), noise[:, :, 123:321])
    correlation = np.corrcoef(noise[0, :8])
    assert np.abs(correlation - np.eye(8)).max() < 0.2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("top_k", 0),
        ("top_p", -0.1),
        ("top_p", 1.1),
        ("top_p", float("nan")),
        ("temperature", -1.0),
        ("temperature", float("inf")),
        ("repetition_penalty", 0.0),
        ("speed", 0.0),
        ("speed", 5.0),
        ("seed", -2),
        ("seed", 2**64),
    ],
)
def test_bad_parameters_are_named(field: str, value: float):
    with pytest.raises(EngineError, match=field) as caught:
        SamplingParams(**{field: value})
    assert caught.value.code == "bad_parameter"


def test_a_seed_is_drawn_when_none_is_given():
    assert SamplingParams(seed=5).with_seed().seed == 5
    assert SamplingParams().with_seed().seed >= 0
