"""Finding TensorRT, and the flags that differ between its forms, by stand-ins."""

from __future__ import annotations

import importlib
import sys
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from engines.backends.tensorrt_module import (
    FLAVOURS,
    TensorRT,
    architecture_of,
    device_compute,
    find_tensorrt,
)
from engines.errors import BackendUnavailableError, ConvertError


@pytest.mark.parametrize("text", ["sm_86", "sm86", "SM86", "86", "8.6", " sm_86 "])
def test_an_architecture_has_one_name(text: str) -> None:
    assert architecture_of(text) == "sm86"


def test_three_digits_are_two_and_one() -> None:
    assert architecture_of("12.0") == architecture_of("sm_120") == "sm120"
    assert device_compute("sm120") == 120


@pytest.mark.parametrize("text", ["rtx4090", "", "sm_", "8", "sm_86a"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a GPU architecture"):
        architecture_of(text)


def only(monkeypatch: pytest.MonkeyPatch, *present: str) -> None:
    for flavour in FLAVOURS:
        module = ModuleType(flavour)
        module.__version__ = "9.9"  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, flavour, module if flavour in present else None)


@pytest.mark.parametrize(
    ("present", "chosen", "label"),
    [
        (("tensorrt", "tensorrt_rtx"), "tensorrt", "trt9.9"),
        (("tensorrt_rtx", "tensorrt_rtx_bindings"), "tensorrt_rtx", "rtx9.9"),
        (("tensorrt_rtx_bindings",), "tensorrt_rtx_bindings", "rtx9.9"),
    ],
)
def test_the_full_one_comes_first(
    monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...], chosen: str, label: str
) -> None:
    only(monkeypatch, *present)
    found = find_tensorrt()
    assert (found.flavour, found.label) == (chosen, label)
    assert found.architectures == ()


def test_none_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    with pytest.raises(BackendUnavailableError, match=r"gptsovits-home\[gpu\]"):
        find_tensorrt()


class Flags(IntEnum):
    """Bits of a release that is not strongly typed, and of one that is."""

    EXPLICIT_BATCH = 0
    FP16 = 1
    INT8 = 2
    TF32 = 3
    PREFER_PRECISION_CONSTRAINTS = 4


class Logger:
    INTERNAL_ERROR, ERROR, WARNING = range(3)


class Layer:
    """A layer called like what it gives."""

    def __init__(self, kind: str, name: str, *inputs: str, dtype: str = "float32") -> None:
        self.type, self.name, self.precision = kind, name, None
        self.num_inputs, self.num_outputs = len(inputs), 1
        self._inputs, self._dtype = inputs, dtype

    def get_input(self, index: int) -> Any:
        return SimpleNamespace(name=self._inputs[index])

    def get_output(self, _: int) -> Any:
        return SimpleNamespace(name=self.name, dtype=self._dtype)


def attention() -> list[Layer]:
    """Two projections, attention, and the way to the logits; everything is called float32."""
    return [
        Layer("CONSTANT", "table"),
        Layer("CAST", "cast", "table"),
        Layer("DEQUANTIZE", "whole", "cast"),
        Layer("SHUFFLE", "weights", "whole"),
        Layer("MATRIX_MULTIPLY", "query", "x", "weights"),
        Layer("MATRIX_MULTIPLY", "keys", "x", "weights"),
        Layer("MATRIX_MULTIPLY", "scores", "query", "keys"),
        Layer("SOFTMAX", "shares", "scores"),
        Layer("MATRIX_MULTIPLY", "mixed", "shares", "x"),
        Layer("CONVOLUTION", "between", "mixed"),
        Layer("REDUCE", "length", "x", dtype="int32"),
        Layer("CONVOLUTION", "last", "between"),
        Layer("ACTIVATION", "logits", "last"),
    ]


class Release:
    """As much of TensorRT as a build touches; remembers what it was told."""

    __version__ = "8.6.0"
    ILogger = Logger
    float16, float32 = "float16", "float32"
    LayerType = SimpleNamespace(**{layer.type: layer.type for layer in attention()})
    BuilderFlag = Flags

    def __init__(self, typed: bool, engine: bytes | None = b"engine", parses: bool = True) -> None:
        names = {"STRONGLY_TYPED": 1} if typed else {"EXPLICIT_BATCH": 0}
        self.NetworkDefinitionCreationFlag = SimpleNamespace(**names)
        self.flags: set[Flags] = {Flags.TF32}
        self.created = self.shapes = None
        self.layers = attention()
        self.engine, self.parses = engine, parses
        self.preview: list[str] = []
        self.PreviewFeature = SimpleNamespace(
            **({} if typed else {"PROFILE_SHARING_0806": "shared"})
        )

    def Builder(self, logger: Any) -> Any:
        def build(*_: Any) -> bytes | None:
            logger.log(Logger.ERROR, "no tactic")
            return self.engine

        return SimpleNamespace(
            create_network=self.network,
            create_builder_config=self.config,
            create_optimization_profile=lambda: SimpleNamespace(set_shape=self.shape),
            build_serialized_network=build,
        )

    def network(self, flags: int) -> Any:
        self.created = flags
        return SimpleNamespace(
            num_inputs=1,
            get_input=lambda _: SimpleNamespace(name="x", shape=(1, -1)),
            num_layers=len(self.layers),
            get_layer=self.layers.__getitem__,
            num_outputs=2,
            get_output=lambda index: SimpleNamespace(name=("logits", "keys")[index]),
        )

    def config(self) -> Any:
        return SimpleNamespace(
            set_flag=self.flags.add,
            clear_flag=self.flags.discard,
            add_optimization_profile=lambda profile: None,
            set_preview_feature=lambda feature, on: self.preview.append(feature),
            create_timing_cache=lambda content: SimpleNamespace(serialize=lambda: b"times"),
            set_timing_cache=lambda cache, ignore: True,
        )

    def shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self.shapes = (name, *shapes)

    def OnnxParser(self, network: Any, logger: Any) -> Any:
        return SimpleNamespace(
            parse=lambda graph: self.parses,
            num_errors=1,
            get_error=lambda _: SimpleNamespace(desc=lambda: "no such operator"),
        )


PROFILE = {"x": ((1, 1), (1, 5), (1, 9))}


@pytest.mark.parametrize(
    ("typed", "precision", "flags"),
    [
        (True, "fp32", set()),
        (True, "fp16", {Flags.TF32}),
        (False, "fp32", set()),
        (False, "fp16", {Flags.TF32, Flags.FP16, Flags.PREFER_PRECISION_CONSTRAINTS}),
        (
            False,
            "int8",
            {Flags.TF32, Flags.FP16, Flags.INT8, Flags.PREFER_PRECISION_CONSTRAINTS},
        ),
    ],
)
def test_each_release_gets_its_flags(typed: bool, precision: str, flags: set[Flags]) -> None:
    release = Release(typed)
    made = TensorRT("tensorrt", release).compile(b"graph", PROFILE, precision)
    assert made == (b"engine", b"times")
    assert release.flags == flags
    assert release.created == (2 if typed else 1)
    assert release.shapes == ("x", (1, 1), (1, 5), (1, 9))


@pytest.mark.parametrize(("typed", "preview"), [(True, []), (False, ["shared"])])
def test_one_engine_serves_many_sessions(typed: bool, preview: list[str]) -> None:
    release = Release(typed)
    TensorRT("tensorrt", release).compile(b"graph", PROFILE, "fp16")
    assert release.preview == preview


@pytest.mark.parametrize(
    ("precision", "halved"), [("fp16", {"query", "keys", "between"}), ("int8", set())]
)
def test_an_old_release_is_told_the_types_of_products(precision: str, halved: set[str]) -> None:
    release = Release(typed=False)
    TensorRT("tensorrt", release).compile(b"graph", PROFILE, precision)
    pinned = {layer.name: layer.precision for layer in release.layers if layer.precision}
    # Products with weights are float16, keys go into a cache of that; a length is no number.
    assert {name for name, kind in pinned.items() if kind == "float16"} == halved
    careful = {name for name, kind in pinned.items() if kind == "float32"}
    assert careful == {"scores", "shares", "mixed", "last"}


def test_a_graph_without_8_bits_is_half_in_their_build() -> None:
    release = Release(typed=False)
    for layer in release.layers:
        layer.type = "CAST" if layer.type == "DEQUANTIZE" else layer.type
    TensorRT("tensorrt", release).compile(b"graph", PROFILE, "int8")
    assert Flags.INT8 not in release.flags
    pinned = {layer.name for layer in release.layers if layer.precision == "float16"}
    assert pinned == {"query", "keys", "between"}


@pytest.mark.parametrize(("typed", "precision"), [(True, "fp16"), (False, "fp32")])
def test_where_types_are_stated_nothing_is_pinned(typed: bool, precision: str) -> None:
    release = Release(typed)
    TensorRT("tensorrt", release).compile(b"graph", PROFILE, precision)
    assert {layer.precision for layer in release.layers} == {None}


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (Release(True, engine=None), "no tactic"),
        (Release(True, parses=False), "no such operator"),
    ],
)
def test_a_refusal_carries_its_words(release: Release, words: str) -> None:
    with pytest.raises(ConvertError, match=words):
        TensorRT("tensorrt", release).compile(b"graph", PROFILE, "fp32")


class Engine:
    """An engine of a release before 10, or of a later one; gives the context, or none."""

    def __init__(self, later: bool, context: Any) -> None:
        self.later, self.context = later, context
        setattr(self, "device_memory_size_v2" if later else "device_memory_size", 4096)

    def create_execution_context_without_device_memory(self) -> Any:
        assert not self.later
        return self.context

    def create_execution_context(self, strategy: str) -> Any:
        assert self.later
        assert strategy == "ours"
        return self.context


@pytest.mark.parametrize("later", [False, True])
def test_a_context_computes_in_memory_of_ours(later: bool) -> None:
    given: list[Any] = []
    context = SimpleNamespace(set_device_memory=lambda *memory: given.append(memory))
    strategy = {"ExecutionContextAllocationStrategy": SimpleNamespace(USER_MANAGED="ours")}
    found = TensorRT("tensorrt", SimpleNamespace(**(strategy if later else {})))
    engine = Engine(later, context)
    assert found.workspace_size(engine) == 4096
    assert found.context(engine, 0xABC0) is context
    told = given if later else [(context.device_memory, 4096)]
    assert told == [(0xABC0, 4096)]
    assert found.context(Engine(later, None), 0xABC0) is None


@pytest.mark.parametrize(
    ("flavour", "each"),
    [("tensorrt", False), ("tensorrt_rtx", True), ("tensorrt_rtx_bindings", True)],
)
def test_rtx_compiles_each_context(flavour: str, each: bool) -> None:
    assert TensorRT(flavour, None).compiles_each_context is each


def test_the_wheel_of_rtx_is_what_is_tested_here() -> None:
    module = pytest.importorskip("tensorrt_rtx_bindings")
    assert importlib.import_module("tensorrt_rtx_bindings") is module
    assert {"sm86", "sm89", "sm120"} <= set(TensorRT("tensorrt_rtx", module).architectures)
