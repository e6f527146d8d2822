"""Prepared sizes with a card of paper: what pads is never heard, what was recorded is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.backends import prepared_session
from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
from engines.backends.tensorrt_backend import TensorRTBackend
from engines.backends.torch_backend import TorchBackend
from engines.decoders import Streaming, Utterance, VitsDecoder
from engines.graphs import graphs
from engines.prompt import VoicePrompt
from engines.sampling import SamplingParams
from engines.verify import SIZES, random_feeds

from .card import Bindings, Engine, Paper, PyCuda

GRAPHS = ("t2s_prefill", "vits_encode", "vits_flow", "vits_generate")


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


class JustInTime(Paper):
    """A release that compiles each context."""

    compiles_each_context = True


def opened(model: Path, engines: Path, kind: type[Paper] = Paper) -> TensorRTBackend:
    bindings = Bindings()
    return TensorRTBackend(model, "fp32", engines, trt=kind(bindings), cuda=(PyCuda(), bindings))


@pytest.fixture
def backend(tiny_model: Path, engines: Path) -> TensorRTBackend:
    return opened(tiny_model, engines)


def sized(backend: Any, graph: str, size: int) -> dict[str, Any]:
    names = ("tokens", "text", "phones", "frames", "heard", "prompt")
    sizes = {**SIZES[0], **{name: size + place for place, name in enumerate(names)}}
    return random_feeds(graphs(backend.model)[graph], backend.model, sizes, size)


def calls(backend: TensorRTBackend, name: str) -> int:
    return int(backend.device.driver.calls.count(name))


@pytest.mark.parametrize("kind", [Paper, JustInTime])
@pytest.mark.parametrize("size", [1, 11, 30, 61, 130])
@pytest.mark.parametrize("graph", GRAPHS)
def test_a_sentence_of_any_length_gives_what_torch_gives(
    tiny_model: Path,
    engines: Path,
    tiny: TorchBackend,
    graph: str,
    size: int,
    kind: type[Paper],
) -> None:
    backend = opened(tiny_model, engines, kind)
    session, other = backend.load(graph), tiny.load(graph)
    feeds, shorter = sized(backend, graph, size), sized(backend, graph, max(size - 4, 1))
    # The third run is a recorded one, over what a longer sentence left behind.
    for given in (feeds, shorter, feeds):
        made, expected = session.run(given), other.run(given)
        for name, array in expected.items():
            bound = 2e-5 * np.abs(array).max()
            np.testing.assert_allclose(made[name], array, rtol=0, atol=bound)


def test_a_size_is_prepared_once_and_then_recorded(backend: TensorRTBackend) -> None:
    session = backend.load("vits_flow")
    session.run(sized(backend, "vits_flow", 60))
    assert (calls(backend, "cuGraphInstantiate"), calls(backend, "cuGraphLaunch")) == (1, 0)
    for size in (57, 58, 60):
        session.run(sized(backend, "vits_flow", size))
    assert (calls(backend, "cuGraphInstantiate"), calls(backend, "cuGraphLaunch")) == (1, 3)


def test_a_release_that_compiles_each_context_has_one(tiny_model: Path, engines: Path) -> None:
    backend = opened(tiny_model, engines, JustInTime)
    for graph in ("vits_flow", "vits_generate"):
        session = backend.load(graph)
        session.warm_up()  # type: ignore[attr-defined]
        for size in (57, 90, 57):
            session.run(sized(backend, graph, size))
    assert calls(backend, "cuGraphInstantiate") == 0


def test_the_size_that_was_used_longest_ago_goes(
    backend: TensorRTBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_session, "MOST_SIZES", 2)
    session = backend.load("vits_flow")
    for size in (30, 60, 30, 120):
        session.run(sized(backend, "vits_flow", size))
    assert calls(backend, "cuGraphExecDestroy") == 1
    before = calls(backend, "cuGraphInstantiate")
    session.run(sized(backend, "vits_flow", 30))
    assert calls(backend, "cuGraphInstantiate") == before
    session.run(sized(backend, "vits_flow", 60))
    assert calls(backend, "cuGraphInstantiate") == before + 1


def test_sizes_hold_a_bounded_memory(
    backend: TensorRTBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, make = 1 << 20, Engine.create_execution_context
    weights: list[Any] = []

    def heavy(engine: Engine, strategy: str) -> Any:
        weights.append(backend.device.cuda.mem_alloc(taken))
        return make(engine, strategy)

    monkeypatch.setattr(Engine, "create_execution_context", heavy)
    monkeypatch.setattr(prepared_session, "MOST_BYTES", taken * 3 // 2)
    session = backend.load("vits_flow")
    for size in (30, 60, 120, 200):
        session.run(sized(backend, "vits_flow", size))
    assert calls(backend, "cuGraphExecDestroy") == 2


def test_what_cannot_be_recorded_is_computed_all_the_same(
    backend: TensorRTBackend, tiny: TorchBackend
) -> None:
    backend.device.driver.fails["cuGraphInstantiate"] = "CUDA_ERROR_NOT_SUPPORTED"
    session, feeds = backend.load("vits_flow"), sized(backend, "vits_flow", 50)
    expected = tiny.load("vits_flow").run(feeds)["flowed"]
    for _ in range(3):
        np.testing.assert_allclose(session.run(feeds)["flowed"], expected, atol=1e-5)
    assert calls(backend, "cuGraphInstantiate") == 1


def utterance(model: Any, voice: VoicePrompt, speed: float) -> Utterance:
    phones = np.random.default_rng(3).integers(0, model.phones, 17)
    return Utterance(phones, voice, SamplingParams(seed=5, speed=speed))


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.3])
@pytest.mark.parametrize("count", [1, 5, 19, 60, 101])
def test_a_sentence_sounds_as_on_the_cpu(
    backend: TensorRTBackend, tiny_model: Path, voice: VoicePrompt, count: int, speed: float
) -> None:
    tokens = np.random.default_rng(count).integers(0, backend.model.codes, count)
    said = utterance(backend.model, voice, speed)
    ours, theirs = (VitsDecoder(each) for each in (backend, OnnxRuntimeBackend(tiny_model)))
    expected = theirs.whole(tokens, said)
    bound = 5e-5 * np.abs(expected).max()
    np.testing.assert_allclose(ours.whole(tokens, said), expected, rtol=0, atol=bound)
    pieces = np.concatenate(list(ours.pieces(tokens, said, Streaming())))
    np.testing.assert_allclose(pieces, expected, rtol=0, atol=bound)


def test_nothing_but_the_samples_leaves_the_card(
    backend: TensorRTBackend, voice: VoicePrompt
) -> None:
    decoder, said = VitsDecoder(backend), utterance(backend.model, voice, 1.0)
    decoder.whole(np.zeros(50, np.int64), said)
    assert calls(backend, "cuMemcpyDtoHAsync") == 1


def test_what_was_warmed_up_is_ready(
    backend: TensorRTBackend, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = VitsDecoder(backend)
    backend.warm_up()
    monkeypatch.setattr(Engine, "create_execution_context", lambda *_: pytest.fail("a new size"))
    said = utterance(backend.model, voice, 1.0)
    for count in (12, 33, 70, 100, 128):
        decoder.whole(np.zeros(count, np.int64), said)
