"""The joins of eager speech, with a decoder that sounds different every time it is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.backends.onnxruntime_backend import HostTensor
from engines.decoders import (
    EagerSpeech,
    Streaming,
    Utterance,
    VitsDecoder,
    crossfade,
    stretch,
    stretched_frames,
)
from engines.sampling import SamplingParams

HOP = 640


class ChangeableDecoder:
    """Its first piece is all 0, the second all 1, the third all 2."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(latent=4, hop=HOP)
        self.asked = 0

    def statistics(self, tokens: Any, utterance: Utterance) -> Any:
        statistics = HostTensor(np.zeros((1, 4, 2 * len(tokens)), np.float32))
        return statistics, statistics

    def latent(self, mean: Any, deviation: Any, noise: Any, prompt: Any) -> Any:
        assert noise.shape == mean.shape == deviation.shape
        return HostTensor(noise)

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


@pytest.mark.parametrize("known", [5, 20])
def test_the_first_eager_piece_is_short(known: int) -> None:
    # As a card gives them: a few tokens more at every look.
    streaming = Streaming(chunk_tokens=24, eager=True, first_tokens=8)
    utterance = Utterance(np.zeros(3, np.int64), None, SamplingParams(seed=0))  # type: ignore[arg-type]
    speech = EagerSpeech(ChangeableDecoder(), utterance, streaming)  # type: ignore[arg-type]
    lengths = [len(speech.push([0] * count, False)) for count in range(1, 61)]
    pieces = [(count, length) for count, length in enumerate(lengths, 1) if length]
    # Eight tokens, and five beyond for the lookahead and the fade; then 24 more.
    assert pieces == [(13, 8 * 2 * HOP), (37, 24 * 2 * HOP)]
    assert streaming.tokens_after(known) == 24


def test_the_first_piece_of_a_finished_sentence_is_short() -> None:
    class Finished(VitsDecoder):
        def __init__(self) -> None:
            self.model = SimpleNamespace(hop=HOP)  # type: ignore[assignment]

        def _whole_latent(self, tokens: Any, utterance: Any) -> Any:
            return HostTensor(np.zeros((1, 4, 2 * len(tokens)), np.float32))

        def part(self, latent: Any, first: int, start: int, stop: int, utterance: Any) -> Any:
            return np.arange(start, stop)

    pieces = list(Finished().pieces(np.zeros(40, np.int64), None, Streaming()))  # type: ignore[arg-type]
    assert [len(piece) for piece in pieces] == [24, 48, 8]
    assert np.concatenate(pieces).tolist() == list(range(80))


def test_crossfade_keeps_the_level_of_equal_sounds() -> None:
    same = np.sin(np.arange(1000)).astype(np.float32)
    np.testing.assert_allclose(crossfade(same[:300], same), same, atol=1e-6)


def test_stretch_interpolates_and_holds_the_ends() -> None:
    values = np.array([[[0.0, 10.0, 20.0]]], np.float32)
    places = np.array([-1.0, 0.5, 1.75, 9.0])
    assert stretch(values, places)[0, 0].tolist() == [0.0, 5.0, 17.5, 20.0]


@pytest.mark.parametrize("field", ["chunk_tokens", "first_tokens", "overlap_tokens"])
def test_streaming_refuses_nonsense(field: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Streaming(**{field: 0})
