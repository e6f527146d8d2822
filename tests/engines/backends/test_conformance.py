"""What every backend must do, whoever it is."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.backends import Backend, CheckpointFiles, open_backend
from engines.backends.cuda_device import load_cuda
from engines.backends.tensorrt_backend import TensorRTBackend
from engines.errors import BackendUnavailableError, CheckpointError
from engines.golden import Folder
from engines.graphs import Axis, TensorSpec, graphs

from .card import Bindings, Paper, PyCuda

SIZES = {
    "samples": 4_000,
    "speech": 21,
    "spectrum": 30,
    "prompt": 7,
    "phones": 12,
    "text": 9,
    "slots": 3,
    "cache": 40,
    "tokens": 10,
    "frames": 16,
    "heard": 16,
}
GRAPHS = (
    "hubert",
    "quantize",
    "style",
    "condition",
    "t2s_prefill",
    "t2s_decode",
    "vits_encode",
    "vits_flow",
    "vits_generate",
)


def card_is_here() -> bool:
    try:
        return bool(load_cuda())
    except BackendUnavailableError:
        return False


NO_CARD = pytest.mark.skipif(not card_is_here(), reason="needs an NVIDIA card")


@pytest.fixture(
    scope="module",
    params=[
        "torch",
        "onnxruntime",
        "paper",
        pytest.param("tensorrt", marks=[pytest.mark.gpu, NO_CARD]),
    ],
)
def backend(
    request: pytest.FixtureRequest,
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Backend:
    engines = tmp_path_factory.mktemp("engines")
    bindings = Bindings()
    makers = {
        "torch": lambda: open_backend("torch", request.getfixturevalue("tiny_files")),
        "onnxruntime": lambda: open_backend("onnxruntime", tiny_model),
        # TensorRT's session with a stand-in for the card, and with a card.
        "paper": lambda: TensorRTBackend(
            tiny_model, "fp32", engines, trt=Paper(bindings), cuda=(PyCuda(), bindings)
        ),
        "tensorrt": lambda: TensorRTBackend(tiny_model, "fp32", engines),
    }
    return makers[request.param]()


def feed(tensor: TensorSpec, model: Any) -> Any:
    shape = [SIZES[axis.name] if isinstance(axis, Axis) else axis for axis in tensor.shape]
    random = np.random.default_rng(len(tensor.name))
    limits = {"slot": 2, "length": 30, "position": 30, "codes": model.codes}
    makers = {
        "int64": lambda: random.integers(0, limits.get(tensor.name, 50), shape),
        "float32": lambda: random.normal(0, 0.3, shape).astype(np.float32),
    }
    return makers[tensor.dtype]()


def feeds(backend: Backend, graph: str) -> dict[str, Any]:
    spec = graphs(backend.model)[graph]
    return {tensor.name: feed(tensor, backend.model) for tensor in spec.inputs}


def numbers(outputs: dict[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in outputs.items()}


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_graph_is_a_function_of_its_feeds(backend: Backend, graph: str) -> None:
    session, given = backend.load(graph), feeds(backend, graph)
    untouched = {name: array.copy() for name, array in given.items()}
    first, second = numbers(session.run(given)), numbers(session.run(given))
    spec = graphs(backend.model)[graph]
    assert list(first) == [tensor.name for tensor in spec.outputs]
    for tensor in spec.outputs:
        assert first[tensor.name].dtype == tensor.dtype
        assert first[tensor.name].ndim == len(tensor.shape)
        np.testing.assert_array_equal(first[tensor.name], second[tensor.name])
    for name, array in untouched.items():
        np.testing.assert_array_equal(given[name], array)


def test_kept_tensors_can_be_fed_again(backend: Backend) -> None:
    session, given = backend.load("t2s_decode"), feeds(backend, "t2s_decode")
    plain = session.run(given)
    further = {**given, "length": given["length"] + 1}
    expected = session.run({**further, "keys": plain["keys"], "values": plain["values"]})
    kept = session.run(given, keep=("keys", "values"))
    assert kept["keys"].shape == given["keys"].shape
    np.testing.assert_array_equal(kept["values"].numpy(), plain["values"])
    again = session.run({**further, "keys": kept["keys"], "values": kept["values"]})
    np.testing.assert_array_equal(again["logits"], expected["logits"])


def test_a_step_writes_its_own_place_only(backend: Backend) -> None:
    given = feeds(backend, "t2s_decode")
    given["length"] = np.array([0, 5, 39])
    changed = backend.load("t2s_decode").run(given)["keys"] != given["keys"]
    places = changed.any(axis=(0, 2, 4))
    assert [np.flatnonzero(row).tolist() for row in places] == [[0], [5], [39]]


def test_what_lies_beyond_a_sentence_is_not_seen(backend: Backend) -> None:
    session, given = backend.load("t2s_decode"), feeds(backend, "t2s_decode")
    given["length"] = np.array([0, 5, 20])
    before = session.run(given)["logits"]
    given["keys"][:, :, :, 21:] = 1e3
    given["values"][:, 1, :, 6:] = -1e3
    np.testing.assert_array_equal(session.run(given)["logits"], before)


def test_prefill_fills_its_slot_only(backend: Backend) -> None:
    given = feeds(backend, "t2s_prefill")
    given["slot"] = np.array([1])
    values = backend.load("t2s_prefill").run(given)["values"]
    assert (values != given["values"]).any(axis=(0, 2, 3, 4)).tolist() == [False, True, False]
    # Twelve phones and seven tokens; what another sentence left behind them is cleared.
    assert values[:, 1].any(axis=(0, 1, 3)).tolist() == [True] * 19 + [False] * 21


def without(given: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != name}


def test_a_missing_feed_is_named(backend: Backend) -> None:
    with pytest.raises(ValueError, match="t2s_decode needs input 'position'"):
        backend.load("t2s_decode").run(without(feeds(backend, "t2s_decode"), "position"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("codes", np.zeros((1, 4), np.int32), "'codes' is int32, not int64"),
        ("codes", np.zeros(4, np.int64), r"'codes' has shape \(4,\), not \(1, tokens\)"),
        ("text_style", np.zeros((1, 3, 1), np.float32), r"not \(1, 512, 1\)"),
        ("bogus", np.zeros(1), "has no input 'bogus'"),
    ],
)
def test_a_wrong_feed_is_named(backend: Backend, name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        backend.load("vits_encode").run({**feeds(backend, "vits_encode"), name: value})


def test_sizes_that_belong_together_must_agree(backend: Backend) -> None:
    given = feeds(backend, "t2s_prefill")
    given["bert"] = given["bert"][:, :, :-1]
    with pytest.raises(ValueError, match="'bert' has shape"):
        backend.load("t2s_prefill").run(given)


def test_an_unknown_graph_is_a_key_error(backend: Backend) -> None:
    with pytest.raises(KeyError):
        backend.load("cfm_step")


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(
        BackendUnavailableError, match=r"\['onnxruntime', 'tensorrt', 'torch'\], not 'abacus'"
    ):
        open_backend("abacus", Path())


def test_checkpoints_are_not_a_folder(tiny_files: CheckpointFiles) -> None:
    with pytest.raises(BackendUnavailableError, match="reads checkpoints"):
        open_backend("torch", Path())
    with pytest.raises(BackendUnavailableError, match="reads a converted model"):
        open_backend("onnxruntime", tiny_files)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    monkeypatch.delitem(sys.modules, "engines.backends.onnxruntime_backend", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailableError, match="'onnxruntime' is not installed"):
        open_backend("onnxruntime", tiny_model)


@pytest.mark.parametrize(
    ("checkpoint", "style"), [("s2_v1", (1, 512, 1)), ("s2_v2Pro", (1, 24, 1))]
)
def test_other_versions_have_the_same_graphs(
    golden: Folder, tiny_files: CheckpointFiles, checkpoint: str, style: tuple[int, ...]
) -> None:
    files = replace(tiny_files, sovits=golden.checkpoint(checkpoint))
    other = open_backend("torch", files)
    made = other.load("style").run(feeds(other, "style"))["style"]
    assert made.shape == style
    derived = other.load("condition").run({"style": made})
    audio = other.load("vits_generate").run(
        {"latent": np.zeros((1, 8, 5), np.float32), "voice_style": derived["voice_style"]}
    )["audio"]
    assert audio.shape == (1, 5 * other.model.hop)
    encoded = other.load("vits_encode").run(
        {**feeds(other, "vits_encode"), "text_style": derived["text_style"]}
    )
    assert encoded["mean"].shape == (1, 8, 20)


def test_a_missing_speaker_network_is_named(
    golden: Folder, tiny_files: CheckpointFiles, tmp_path: Path
) -> None:
    shutil.copytree(tiny_files.models, tmp_path / "models")
    files = CheckpointFiles(tiny_files.t2s, golden.checkpoint("s2_v2Pro"), tmp_path / "models")
    backend = open_backend("torch", files)
    with pytest.raises(CheckpointError, match="needs the speaker network"):
        backend.load("speaker")
