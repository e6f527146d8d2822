"""Who hangs up frees the device at the next token, in every loop that draws tokens.

The doubles count tokens and write down what happens in which order; nothing here is timed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engines.audio import AudioChunk
from engines.backends import Backend, Session
from engines.backends.kernels.decode_loop import EMPTY
from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
from engines.backends.torch_backend import TorchBackend
from engines.bert_features import BertFeatures
from engines.decoders import Streaming
from engines.device_semantic import AHEAD, DeviceSemantic
from engines.prompt import VoicePrompt
from engines.sampling import SamplingParams
from engines.semantic import SemanticDecoder, speak_in_order
from engines.synthesizer import Synthesizer
from tests.engines.conftest import make_sentence
from tests.engines.test_device_semantic import PaperLoop, limited

WORKS = ("t2s_prefill", "t2s_decode", "vits_decode")


class Listener:
    """Hangs up while the token of that number is being drawn.

    Attributes:
        events: names of the graphs that ran, and "left".
    """

    def __init__(self, token: int) -> None:
        self.events: list[str] = []
        self._token = token

    def ran(self, graph: str) -> None:
        self.events.append(graph)
        if self.events.count("t2s_decode") == self._token and graph == "t2s_decode":
            self.events.append("left")

    def has_left(self) -> bool:
        return "left" in self.events


class CountingSession:
    """A session that tells the listener of every run."""

    def __init__(self, session: Session, graph: str, listener: Listener) -> None:
        self._session, self._graph, self._listener = session, graph, listener

    def run(self, feeds: Mapping[str, Any], keep: tuple[str, ...] = ()) -> Any:
        self._listener.ran(self._graph)
        return self._session.run(feeds, keep)

    def close(self) -> None:
        self._session.close()


class CountingBackend:
    """A backend without a loop of its own, whose graphs are counted."""

    def __init__(self, backend: Backend, listener: Listener) -> None:
        self.name, self.model = backend.name, backend.model
        self._backend, self._listener = backend, listener

    def load(self, graph: str) -> Any:
        session = self._backend.load(graph)
        return CountingSession(session, graph, self._listener) if graph in WORKS else session

    def close(self) -> None:
        """Nothing: the backend belongs to others."""


@pytest.fixture(params=["torch", "onnxruntime"])
def backend(request: pytest.FixtureRequest, tiny: TorchBackend, tiny_model: Path) -> Any:
    return {"torch": lambda: tiny, "onnxruntime": lambda: OnnxRuntimeBackend(tiny_model)}[
        request.param
    ]()


@pytest.mark.parametrize("token", [1, 3])
def test_no_further_token_is_drawn_on_the_host(backend: Any, token: int) -> None:
    listener = Listener(token)
    counting: Any = CountingBackend(backend, listener)
    decoder = SemanticDecoder(counting, slots=2)
    for _ in speak_in_order(decoder, limited(4, 40), listener.has_left):
        pass
    assert listener.events == ["t2s_prefill"] * 2 + ["t2s_decode"] * token + ["left"]
    assert (decoder.free, decoder.running) == (2, 0)


@pytest.mark.parametrize("eager", [False, True])
def test_no_sound_is_made_of_what_was_drawn(
    tiny: TorchBackend, bert_features: BertFeatures, voice: VoicePrompt, eager: bool
) -> None:
    listener = Listener(2)
    counting: Any = CountingBackend(tiny, listener)
    synthesizer = Synthesizer(counting, bert_features, slots=1)
    heard: list[AudioChunk] = list(
        synthesizer.speak(
            [make_sentence(9, seed) for seed in range(3)],
            voice,
            SamplingParams(seed=11),
            streaming=Streaming(chunk_tokens=25, eager=eager),
            cancelled=listener.has_left,
        )
    )
    assert heard == []
    assert listener.events == ["t2s_prefill", "t2s_decode", "t2s_decode", "left"]


class WatchedLoop(PaperLoop):
    """The loop on the device: tells when it is let draw, looked at, and freed."""

    def __init__(self, backend: Any, look: int) -> None:
        super().__init__(backend, slots=1)
        self.events: list[str] = []
        self._look = look

    def step(self, count: int) -> None:
        self.events.append(f"draw {count}")
        super().step(count)

    def states(self) -> Any:
        self.events.append("look")
        self.events += ["left"] * (self.events.count("look") == self._look)
        return super().states()

    def drop(self, slot: int) -> None:
        self.events.append("freed")
        super().drop(slot)

    def has_left(self) -> bool:
        return "left" in self.events


@pytest.mark.parametrize("look", [1, 2])
def test_the_kernels_draw_at_most_what_is_under_way(tiny_model: Path, look: int) -> None:
    backend = OnnxRuntimeBackend(tiny_model)
    loop = WatchedLoop(backend, look)
    decoder = DeviceSemantic(backend.model, loop, loop.read)  # type: ignore[arg-type]
    for _ in speak_in_order(decoder, limited(3, 40), loop.has_left):
        pass
    after = loop.events[loop.events.index("left") + 1 :]
    assert after == [f"draw {AHEAD}", "freed"], "nothing is launched once it is known"
    assert int(loop.state["state"][0]) == EMPTY
    assert (decoder.free, decoder.running) == (1, 0)
