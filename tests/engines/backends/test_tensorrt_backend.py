"""The TensorRT backend without a card: everything but the card itself is real, see card.py."""

from __future__ import annotations

import gc
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.backends import CheckpointFiles
from engines.backends.cuda_device import CudaDevice, device_error
from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
from engines.backends.tensorrt_backend import TensorRTBackend
from engines.backends.tensorrt_session import TensorRTSession
from engines.backends.torch_backend import TorchBackend
from engines.build import engine_key
from engines.engine_store import EngineStore
from engines.errors import (
    BackendUnavailableError,
    CheckpointError,
    ConvertError,
    DeviceError,
    OutOfMemoryError,
)
from engines.graphs import graphs
from engines.model_folder import ModelFolder, write_manifest
from engines.semantic import SemanticDecoder, speak_in_order
from engines.verify import SIZES, random_feeds

from .card import Bindings, Paper, PyCuda

SPOKEN = ("t2s_prefill", "t2s_decode", "vits_encode", "vits_flow", "vits_generate")


def opened(model: Path, engines: Path, **more: Any) -> TensorRTBackend:
    bindings = Bindings()
    return TensorRTBackend(
        model,
        more.pop("precision", "fp32"),
        engines,
        trt=more.pop("trt", Paper(bindings)),
        cuda=(more.pop("cuda", PyCuda()), bindings),
        **more,
    )


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture
def backend(tiny_model: Path, engines: Path) -> TensorRTBackend:
    return opened(tiny_model, engines)


def given(backend: Any, graph: str, number: int = 0) -> dict[str, Any]:
    return random_feeds(graphs(backend.model)[graph], backend.model, SIZES[number], number)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("graph", SPOKEN)
def test_a_graph_gives_what_torch_gives(
    backend: TensorRTBackend, tiny: TorchBackend, graph: str, number: int
) -> None:
    feeds = given(backend, graph, number)
    session = backend.load(graph)
    assert isinstance(session, TensorRTSession)
    made, expected = session.run(feeds), tiny.load(graph).run(feeds)
    assert list(made) == list(expected)
    for name, array in expected.items():
        assert made[name].dtype == array.dtype
        np.testing.assert_allclose(made[name], array, rtol=0, atol=2e-5 * np.abs(array).max())


def lasting(feeds: dict[str, Any], frames: int) -> dict[str, Any]:
    """Feeds of the flow for so many frames."""
    silence = np.zeros((1, feeds["mean"].shape[1], frames), np.float32)
    return {**feeds, **dict.fromkeys(("mean", "log_deviation", "noise"), silence)}


def test_a_voice_is_made_on_the_cpu(backend: TensorRTBackend) -> None:
    assert not isinstance(backend.load("hubert"), TensorRTSession)


@pytest.mark.parametrize("slots", [1, 3])
def test_tokens_are_those_of_the_cpu(
    backend: TensorRTBackend, tiny_model: Path, slots: int
) -> None:
    from tests.engines.test_verify import sentences

    ours, theirs = (
        [
            stream.tokens
            for stream in speak_in_order(SemanticDecoder(each, slots), sentences(8))
            if stream.finished
        ]
        for each in (backend, OnnxRuntimeBackend(tiny_model))
    )
    assert ours == theirs
    # Two caches take turns, and each turn is a graph that is launched again.
    assert backend.device.driver.calls.count("cuGraphLaunch") > 50


def test_nothing_is_allocated_once_it_is_warm(backend: TensorRTBackend) -> None:
    session, feeds = backend.load("vits_flow"), given(backend, "vits_flow")
    session.run(feeds)
    before = dict(backend.device.cuda.live)
    for _ in range(20):
        session.run(feeds)
    assert backend.device.cuda.live == before


def test_sentences_of_all_lengths_share_their_buffers(backend: TensorRTBackend) -> None:
    session, feeds = backend.load("vits_flow"), given(backend, "vits_flow")
    sizes = []
    for frames in range(2000, 4000, 25):
        session.run(lasting(feeds, frames))
        gc.collect()
        sizes.append(len(backend.device.cuda.live))
    # One octave of lengths, eighty of them: four prepared sizes, each with five inputs and an
    # output, and buffers of eight sizes for what leaves.
    assert sizes[-1] - sizes[0] <= 32


def test_a_fed_cache_is_left_alone_unless_it_is_kept_again(backend: TensorRTBackend) -> None:
    session, feeds = backend.load("t2s_prefill"), given(backend, "t2s_prefill", 1)
    kept = session.run(feeds, keep=("keys", "values"))
    before = kept["keys"].numpy()
    other = {**feeds, "phones": feeds["phones"][:, ::-1].copy(), "keys": kept["keys"]}
    session.run({**other, "values": kept["values"]})
    np.testing.assert_array_equal(kept["keys"].numpy(), before)
    again = session.run({**other, "values": kept["values"]}, keep=("keys", "values"))
    assert again["keys"] is kept["keys"]
    assert (again["keys"].numpy() != before).any()


def test_the_stream_of_tokens_goes_first(backend: TensorRTBackend) -> None:
    assert backend.device.driver.priorities == [-5, 0]


def test_a_shape_beyond_the_profile_is_named(backend: TensorRTBackend) -> None:
    feeds = lasting(given(backend, "vits_flow"), 30_000)
    with pytest.raises(ValueError, match="not built for 'mean'"):
        backend.load("vits_flow").run(feeds)


def test_no_memory_fails_one_request(tiny_model: Path, engines: Path) -> None:
    cuda = PyCuda()
    backend = opened(tiny_model, engines, cuda=cuda)
    session, feeds = backend.load("vits_flow"), given(backend, "vits_flow")
    expected = session.run(feeds)["flowed"]
    long = lasting(feeds, 10_000)
    cuda.capacity = sum(cuda.live.values()) + (1 << 16)
    with pytest.raises(OutOfMemoryError, match="no memory left") as caught:
        session.run(long)
    assert not caught.value.sticky
    assert caught.value.code == "out_of_memory"
    np.testing.assert_array_equal(session.run(feeds)["flowed"], expected)


def test_unused_buffers_make_room(tiny_model: Path, engines: Path) -> None:
    cuda = PyCuda()
    backend = opened(tiny_model, engines, cuda=cuda)
    session, feeds = backend.load("vits_flow"), given(backend, "vits_flow")
    session.run(feeds)
    gc.collect()
    cuda.capacity = sum(cuda.live.values())
    with pytest.raises(OutOfMemoryError):
        session.run(lasting(feeds, 10_000))
    session.run(lasting(feeds, 20))


@pytest.mark.parametrize("lost", ["CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_LAUNCH_FAILED"])
def test_a_lost_card_says_restart(backend: TensorRTBackend, lost: str) -> None:
    session, feeds = backend.load("vits_flow"), given(backend, "vits_flow")
    backend.device.driver.fails["cuMemcpyDtoHAsync"] = lost
    with pytest.raises(DeviceError, match="must be restarted") as caught:
        session.run(feeds)
    assert caught.value.sticky


def test_an_execution_that_fails_carries_the_reason(backend: TensorRTBackend) -> None:
    session, feeds = backend.load("vits_flow"), given(backend, "vits_flow")
    backend.device.driver.fails["execute"] = ""
    backend._logger.errors.append("invalid binding")
    with pytest.raises(DeviceError, match="vits_flow: invalid binding"):
        session.run(feeds)
    backend.device.driver.fails.clear()
    session.run(feeds)


@pytest.mark.parametrize(
    ("text", "kind", "sticky"),
    [
        ("cuMemAlloc failed: out of memory", OutOfMemoryError, False),
        ("CUDA_ERROR_OUT_OF_MEMORY", OutOfMemoryError, False),
        ("CUDA_ERROR_ECC_UNCORRECTABLE", DeviceError, True),
        ("cuStreamSynchronize failed: an illegal memory access was encountered", DeviceError, True),
        ("CUDA_ERROR_INVALID_VALUE", DeviceError, False),
    ],
)
def test_what_cuda_says_becomes_ours(text: str, kind: type, sticky: bool) -> None:
    error = device_error("step", RuntimeError(text))
    assert (type(error), error.sticky) == (kind, sticky)
    assert "step" in str(error)


def test_what_cannot_be_recorded_runs_as_it_is(tiny_model: Path, engines: Path) -> None:
    from tests.engines.test_verify import sentences

    backend = opened(tiny_model, engines)
    backend.device.driver.fails["cuGraphInstantiate"] = "CUDA_ERROR_NOT_SUPPORTED"
    done = [s for s in speak_in_order(SemanticDecoder(backend), sentences(2)) if s.finished]
    expected = speak_in_order(SemanticDecoder(OnnxRuntimeBackend(tiny_model)), sentences(2))
    assert [s.tokens for s in done] == [s.tokens for s in expected if s.finished]


def test_an_engine_that_the_card_refuses_is_built_anew(tiny_model: Path, tmp_path: Path) -> None:
    backend = opened(tiny_model, tmp_path)
    folder = ModelFolder.read(tiny_model)
    key = engine_key(folder, "vits_flow", "fp32", backend._trt)
    EngineStore(tmp_path).write(key, ["sm86"], b"foreign")
    assert isinstance(backend.load("vits_flow"), TensorRTSession)
    assert EngineStore(tmp_path).read(key, "sm86") != b"foreign"


def test_an_engine_that_is_missing_is_built_with_a_bar(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def compiled(self: Any, graph: bytes, *rest: Any) -> Any:
        for done in (1, 2):
            rest[-1](done, 2)
        return graph, b""

    monkeypatch.setattr(Paper, "compile", compiled)
    backend = opened(tiny_model, tmp_path)
    for _ in range(2):
        assert isinstance(backend.load("vits_flow"), TensorRTSession)
    shown = [line.split("] ")[1] for line in capsys.readouterr().err.splitlines()]
    assert shown == [f"{done}/2 building the engine of vits_flow" for done in (1, 2)]


def test_a_graph_without_an_engine_speaks_on_the_cpu(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(self: Any, graph: bytes, profile: Any, *_: Any) -> Any:
        if "prompt" in profile:
            raise ConvertError("no tactic")
        return graph, b""

    monkeypatch.setattr(Paper, "compile", refuse)
    backend = opened(tiny_model, tmp_path)
    with caplog.at_level(logging.WARNING):
        sides = {name: isinstance(backend.load(name), TensorRTSession) for name in SPOKEN}
    # Prefill and step share a cache, so the step goes where the prefill is.
    assert sides == {
        "t2s_prefill": False,
        "t2s_decode": False,
        "vits_encode": True,
        "vits_flow": True,
        "vits_generate": True,
    }
    assert "runs on the CPU: no tactic" in caplog.text


def test_another_model_size_draws_its_tokens_elsewhere(
    tiny_model: Path, engines: Path, tmp_path: Path
) -> None:
    (tmp_path / "t2s_generic.fatbin").write_bytes(b"")
    half = {"precision": "fp16", "trt": Paper(Bindings())}
    assert opened(tiny_model, engines, kernels=tmp_path, **half).open_decoder(1) is None
    assert opened(tiny_model, engines, kernels=tmp_path / "none", **half).open_decoder(1) is None


def test_float32_is_not_drawn_by_kernels_that_read_float16(
    tiny_model: Path, engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TensorRTBackend, "_packed", lambda self: pytest.fail("they were asked"))
    assert opened(tiny_model, engines).open_decoder(1) is None


def test_refusals(
    tiny_files: CheckpointFiles, tiny_model: Path, tmp_path: Path, backend: TensorRTBackend
) -> None:
    with pytest.raises(BackendUnavailableError, match="converted model"):
        TensorRTBackend(tiny_files)
    shutil.copytree(tiny_model, tmp_path / "old")
    folder = ModelFolder.read(tiny_model)
    for file in (tmp_path / "old").glob("*.padded.onnx"):
        file.unlink()
    (tmp_path / "old" / "model.json").unlink()
    write_manifest(tmp_path / "old", folder.model, "fp32", folder.graphs)
    with pytest.raises(ConvertError, match="converted by an older version"):
        opened(tmp_path / "old", tmp_path)
    with pytest.raises(CheckpointError, match="without the graph 'bert'"):
        backend.load("bert")
    with pytest.raises(KeyError):
        backend.load("abacus")


def test_closing_gives_everything_back(tiny_model: Path, engines: Path) -> None:
    cuda = PyCuda()
    backend = opened(tiny_model, engines, cuda=cuda)
    backend.load("vits_flow").run(given(backend, "vits_flow"))
    assert cuda.live
    assert backend.device.used == sum(cuda.live.values())
    backend.close()
    assert (cuda.live, cuda.pushed) == ({}, 0)


def test_a_context_that_cannot_be_opened_is_a_device_error() -> None:
    cuda = PyCuda()
    cuda.Device = lambda _: (_ for _ in ()).throw(RuntimeError("no such device"))  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="opening the GPU"):
        CudaDevice((cuda, Bindings()))
