"""The joins of eager speech, with a decoder that sounds different every time it is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.decoders import EagerSpeech, Streaming, Utterance, crossfade, stretch, stretched_frames
from engines.sampling import SamplingParams

HOP = 640


class ChangeableDecoder:
    """Its first piece is all 0, the second all 1, the third all 2."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(latent=4, hop=HOP)
        self.asked = 0

    def statistics(self, tokens: Any, utterance: Utterance) -> Any:
        statistics = np.zeros((1, 4, 2 * len(tokens)), np.float32)
        return statistics, statistics

    def latent(self, mean: Any, deviation: Any, noise: Any, prompt: Any) -> Any:
        assert noise.shape == mean.shape
        return mean

    def part(self, latent: Any, first: int, start: int, stop: int, utterance: Utterance) -> Any:
        self.asked += 1
        assert first <= start < stop <= first + latent.shape[2]
        return np.full((stop - start) * HOP, self.asked - 1, np.float32)


def spoken(lengths: list[int], speed: float) -> tuple[list[Any], int]:
    params = SamplingParams(speed=speed, seed=0)
    utterance = Utterance(np.zeros(3, np.int64), None, params)  # type: ignore[arg-type]
    decoder = ChangeableDecoder()
    streaming = Streaming(chunk_tokens=4, eager=True, overlap_tokens=2, lookahead_tokens=1)
    speech = EagerSpeech(decoder, utterance, streaming)  # type: ignore[arg-type]
    pieces = [speech.push([0] * length, False) for length in lengths]
    pieces.append(speech.push([0] * lengths[-1], True))
    return [piece for piece in pieces if len(piece)], decoder.asked


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.6])
@pytest.mark.parametrize("total", [1, 6, 7, 8, 19, 30])
def test_every_join_is_faded_and_no_sample_is_lost(total: int, speed: float) -> None:
    pieces, asked = spoken(list(range(1, total + 1)), speed)
    samples = np.concatenate(pieces)
    assert len(samples) == stretched_frames(2 * total, speed) * HOP
    assert len(pieces) == asked
    # From one level to the next over two tokens, the last join included.
    longest_step = 1.1 * np.pi / 2 / (int(4 / speed) * HOP)
    assert np.abs(np.diff(samples)).max(initial=0.0) <= longest_step
    assert (samples[0], samples[-1]) == (0, asked - 1)


def test_a_piece_waits_for_its_lookahead_and_overlap() -> None:
    pieces, _ = spoken([6], 1.0)
    assert [len(piece) for piece in pieces] == [12 * HOP]
    pieces, _ = spoken([7], 1.0)
    assert [len(piece) for piece in pieces] == [8 * HOP, 6 * HOP]


def test_crossfade_keeps_the_level_of_equal_sounds() -> None:
    same = np.sin(np.arange(1000)).astype(np.float32)
    np.testing.assert_allclose(crossfade(same[:300], same), same, atol=1e-6)


def test_stretch_interpolates_and_holds_the_ends() -> None:
    values = np.array([[[0.0, 10.0, 20.0]]], np.float32)
    places = np.array([-1.0, 0.5, 1.75, 9.0])
    assert stretch(values, places)[0, 0].tolist() == [0.0, 5.0, 17.5, 20.0]


@pytest.mark.parametrize("field", ["chunk_tokens", "overlap_tokens"])
def test_streaming_refuses_nonsense(field: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Streaming(**{field: 0})
