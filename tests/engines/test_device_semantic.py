"""The host's part of the loop on the device: same streams as the loop on the host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.backends.kernels.decode_loop import CUT, EMPTY, ENDED, FULL, RUNNING, SLOT, Prefilled
from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
from engines.device_semantic import DeviceSemantic
from engines.sampling import SamplingParams
from engines.semantic import DrawsTokens, SemanticDecoder, Sentence, open_decoder, speak_in_order
from tests.engines.test_verify import sentences


class PaperLoop:
    """As the kernels: state moves only when it is told to, nobody hears of it but who looks."""

    def __init__(self, backend: Any, slots: int, capacity: int = 256) -> None:
        self.backend, self.slots, self.capacity = backend, slots, capacity
        self.state = np.zeros(slots, SLOT)
        self.drawn: list[list[int]] = [[] for _ in range(slots)]
        self.ends: list[bool] = [False] * slots
        self.looks = 0
        self.reading: Sentence | None = None

    def read(self, sentence: Sentence) -> Prefilled:
        self.reading = sentence
        places = len(sentence.phone_ids) + len(sentence.prompt)
        return Prefilled(0, 0, 0, places, places)

    def admit(
        self, slot: int, prefilled: Prefilled, prompt: Any, params: SamplingParams, limit: int
    ) -> None:
        sentence = self.reading
        assert sentence is not None
        assert sentence.prompt is prompt
        decoder = SemanticDecoder(self.backend)
        stream = decoder.admit(sentence)
        while not stream.finished:
            decoder.step()
        self.drawn[slot], self.ends[slot] = stream.tokens, not stream.cut
        self.state[slot] = np.zeros(1, SLOT)[0]
        self.state[slot]["state"], self.state[slot]["limit"] = RUNNING, limit
        self.state[slot]["length"] = prefilled.length - 1
        self.advance(slot)

    def step(self, count: int) -> None:
        for _ in range(count):
            for slot in np.flatnonzero(self.state["state"] == RUNNING):
                self.advance(int(slot))

    def advance(self, slot: int) -> None:
        mine = self.state[slot]
        mine["length"] += 1
        if mine["count"] == len(self.drawn[slot]):
            mine["state"] = ENDED
            return
        mine["count"] += 1
        full = mine["length"] >= self.capacity
        mine["state"] = CUT if mine["count"] >= mine["limit"] else FULL if full else RUNNING

    def states(self) -> Any:
        self.looks += 1
        return self.state.copy()

    def tokens(self, slot: int, start: int, stop: int) -> Any:
        return np.array(self.drawn[slot][start:stop], np.int32)

    def drop(self, slot: int) -> None:
        self.state[slot]["state"] = EMPTY

    def grow(self, capacity: int) -> None:
        self.capacity = capacity
        self.state["state"][self.state["state"] == FULL] = RUNNING


@pytest.fixture(scope="module")
def backend(tiny_model: Path) -> OnnxRuntimeBackend:
    return OnnxRuntimeBackend(tiny_model)


def limited(count: int, limit: int | None) -> list[Sentence]:
    from dataclasses import replace

    return [replace(sentence, limit=limit) for sentence in sentences(count)]


def spoken(decoder: Any, given: list[Sentence]) -> list[tuple[list[int], bool]]:
    streams = [s for s in speak_in_order(decoder, given) if s.finished]
    return [(stream.tokens, stream.cut) for stream in streams]


@pytest.mark.parametrize("limit", [5, 40])
@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("ahead", [1, 8])
def test_streams_are_those_of_the_host(
    backend: OnnxRuntimeBackend, slots: int, ahead: int, limit: int
) -> None:
    loop = PaperLoop(backend, slots)
    made = spoken(
        DeviceSemantic(backend.model, loop, loop.read, ahead),  # type: ignore[arg-type]
        limited(7, limit),
    )
    assert made == spoken(SemanticDecoder(backend), limited(7, limit))


def test_the_host_looks_once_in_eight_tokens(backend: OnnxRuntimeBackend) -> None:
    loop = PaperLoop(backend, 1)
    decoder = DeviceSemantic(backend.model, loop, loop.read)  # type: ignore[arg-type]
    tokens = sum(len(tokens) for tokens, _ in spoken(decoder, limited(3, 64)))
    assert tokens > 60
    assert loop.looks <= tokens / 8 + 2 * 3


def test_drawing_goes_on_while_nobody_looks(backend: OnnxRuntimeBackend) -> None:
    loop = PaperLoop(backend, 1)
    decoder = DeviceSemantic(backend.model, loop, loop.read, 4)  # type: ignore[arg-type]
    stream = decoder.admit(limited(1, 30)[0])
    decoder.step()
    assert len(stream.tokens) == 5
    assert loop.state["count"][0] == 9


def test_a_full_cache_grows(backend: OnnxRuntimeBackend) -> None:
    small, wide = PaperLoop(backend, 2, capacity=8), PaperLoop(backend, 2, capacity=4096)
    recorded: list[Callable[[], None]] = []

    def record(work: Callable[[], None]) -> Callable[[], None]:
        recorded.append(work)
        return work

    made = [
        spoken(DeviceSemantic(backend.model, loop, loop.read, 8, record), limited(4, 300))  # type: ignore[arg-type]
        for loop in (small, wide)
    ]
    assert made[0] == made[1]
    assert small.capacity in (256, 512)
    # One recording for each cache: addresses change when it grows.
    assert len(recorded) >= 2


def test_a_dropped_stream_frees_its_slot(backend: OnnxRuntimeBackend) -> None:
    loop = PaperLoop(backend, 1)
    decoder = DeviceSemantic(backend.model, loop, loop.read)  # type: ignore[arg-type]
    first, second = limited(2, 40)
    stream = decoder.admit(first)
    assert (decoder.free, decoder.running) == (0, 1)
    with pytest.raises(ValueError, match="not in list"):
        decoder.admit(second)
    decoder.step()
    decoder.drop(stream)
    assert (stream.finished, decoder.free, int(loop.state["state"][0])) == (True, 1, EMPTY)
    assert spoken(decoder, [second]) == spoken(SemanticDecoder(backend), [second])


def test_noise_of_ones_own_is_refused(backend: OnnxRuntimeBackend) -> None:
    from dataclasses import replace

    loop = PaperLoop(backend, 1)
    decoder = DeviceSemantic(backend.model, loop, loop.read)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="noise"):
        decoder.admit(replace(limited(1, 9)[0], noise=lambda step, size: np.ones(size)))


def test_a_backends_own_decoder_is_taken(backend: OnnxRuntimeBackend) -> None:
    own = SemanticDecoder(backend)
    with_one = SimpleNamespace(
        open_decoder=lambda slots: own, load=backend.load, model=backend.model
    )
    without = SimpleNamespace(
        open_decoder=lambda slots: None, load=backend.load, model=backend.model
    )
    assert isinstance(with_one, DrawsTokens)
    assert not isinstance(backend, DrawsTokens)
    assert open_decoder(with_one) is own  # type: ignore[arg-type]
    assert isinstance(open_decoder(without), SemanticDecoder)  # type: ignore[arg-type]
    assert isinstance(open_decoder(backend), SemanticDecoder)
