"""Two people in one recording are noticed, one person is not doubted."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt
import pytest
import soxr

from engines.audio import Recording
from service.recording_checks import judge
from service.speakers import PITCH_JUMP, pitch_jump
from tests.service.recordings import SAID, SENTENCES, noisy, silence, spoken, story

RATE = 24_000
A, I = ((700, 1200, 2500), (300, 2300, 3000))  # noqa: E741 - formants in Hz of these vowels


def slower(text: str, factor: float) -> Recording:
    """The sentence by somebody bigger: pitch and formants are lower by the factor."""
    return Recording(soxr.resample(spoken(text).samples, RATE * factor, RATE), RATE)


def turns(*parts: Recording) -> Recording:
    """What is spoken one after the other, with pauses between."""
    return Recording(
        np.concatenate([each.samples for one in parts for each in (one, silence(0.5))]), RATE
    )


def vowel(pitch: float, formants: tuple[int, ...], seconds: float = 1.2) -> Recording:
    """A hummed vowel: harmonics of the pitch under the formants' resonances."""
    time = np.arange(round(seconds * RATE)) / RATE
    harmonics = pitch * np.arange(1, int(4000 / pitch))
    gains: npt.NDArray[np.float64] = sum(
        1 / (1 + ((harmonics - formant) / 150) ** 2) for formant in formants
    ) + np.full(len(harmonics), 0.02)
    samples = (gains[:, None] * np.sin(2 * np.pi * harmonics[:, None] * time)).sum(axis=0)
    return Recording((samples / np.abs(samples).max() / 2).astype(np.float32), RATE)


# Pairs that fit into the ten seconds that are used.
@pytest.mark.parametrize(("first", "second"), list(combinations(SENTENCES[:3], 2)))
@pytest.mark.parametrize("noise", [-90.0, -42.0])
def test_two_people_are_noticed_and_not_refused(first: str, second: str, noise: float) -> None:
    talk = noisy(turns(spoken(first), slower(second, 1.6)), noise)
    found = {each.code: each for each in judge(talk).findings}["several_speakers"]
    assert found.severity == "warning"
    assert found.measured == pytest.approx(12 * np.log2(1.6), abs=2.0)
    assert found.limit == PITCH_JUMP
    assert judge(talk).accepted


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.6])
@pytest.mark.parametrize("noise", [-90.0, -42.0])
def test_one_person_is_not_doubted(factor: float, noise: float) -> None:
    for first, second in pairwise(SENTENCES):
        talk = noisy(turns(slower(first, factor), slower(second, factor)), noise)
        assert pitch_jump(talk) == 0.0


@pytest.mark.parametrize("recording", [spoken(SAID), story(), silence(4), noisy(silence(4), -30)])
def test_other_recordings_are_one_person_s(recording: Recording) -> None:
    assert pitch_jump(recording) == 0.0


def test_pitch_and_colour_must_change_together() -> None:
    assert pitch_jump(turns(vowel(110, A), vowel(220, I))) == pytest.approx(12, abs=1.0)
    assert pitch_jump(turns(vowel(110, A), vowel(110, I))) == 0.0
    assert pitch_jump(turns(vowel(110, A), vowel(220, A))) == 0.0
    assert pitch_jump(turns(vowel(110, A), vowel(150, I))) == 0.0


def lively(pitch: float, other: float, formants: tuple[int, ...]) -> Recording:
    """A voice that is mostly at one pitch, but for two fifths of the time at another."""
    parts = (vowel(pitch, formants, 0.9), vowel(other, formants, 0.6))
    return Recording(np.concatenate([each.samples for each in parts]), RATE)


def test_who_reaches_the_others_pitch_is_not_doubted() -> None:
    """The medians are an octave apart, but the middle halves of both parts meet."""
    assert pitch_jump(turns(lively(110, 220, A), lively(220, 110, I))) == 0.0
    assert pitch_jump(turns(lively(110, 115, A), lively(220, 230, I))) > PITCH_JUMP


def test_a_short_call_is_not_compared() -> None:
    assert pitch_jump(turns(vowel(110, A), vowel(220, I, seconds=0.4))) == 0.0


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("pitch", [75.0, 120.0, 210.0, 290.0])
def test_pitch_is_measured_at_every_rate(rate: int, pitch: float) -> None:
    talk = turns(vowel(pitch, A), vowel(pitch * 1.5, I))
    assert pitch_jump(Recording(soxr.resample(talk.samples, RATE, rate), rate)) == pytest.approx(
        12 * np.log2(1.5), abs=0.7
    )
