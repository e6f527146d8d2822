"""Which TensorRT is installed, and how it compiles a graph: all that differs between its forms.

Three have the same Python interface: `tensorrt` 10 and 11 (strongly typed: the graph states each
type), `tensorrt_rtx` (the same for GeForce and RTX cards; it compiles ahead of time for cards that
this machine has not), and `tensorrt` 8.6 (float16 where a flag allows it). Everything else asks
this file.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from engines.backends.chosen_types import allow_half
from engines.errors import BackendUnavailableError, ConvertError

Shape: TypeAlias = "tuple[int, ...]"
Shapes: TypeAlias = "Mapping[str, tuple[Shape, Shape, Shape]]"
"""Input → smallest, usual and largest shape: an optimization profile."""
Progress: TypeAlias = "Callable[[int, int], None]"
"""Called with steps done and steps in all of the phase that TensorRT is in."""

FLAVOURS = {"tensorrt": "trt", "tensorrt_rtx": "rtx", "tensorrt_rtx_bindings": "rtx"}
"""Module → how its engines are labelled; the third is the second under the name of its wheel."""
_ARCHITECTURE = re.compile(r"(?:sm_?)?(\d{1,2})\.?(\d)", re.IGNORECASE)


def find_tensorrt() -> TensorRT:
    """The installed TensorRT, the full one if both are there.

    Raises:
        BackendUnavailableError: neither can be imported.
    """
    reasons = []
    for flavour in FLAVOURS:
        try:
            return TensorRT(flavour, importlib.import_module(flavour))
        except (ImportError, OSError, RuntimeError) as error:
            reasons.append(f"{flavour}: {error}")
    raise BackendUnavailableError(
        "no TensorRT is installed (pip install 'gptsovits-home[gpu]' beside an NVIDIA card, "
        f"'gptsovits-home[rtx]' to build for one elsewhere): {'; '.join(reasons)}"
    )


def architecture_of(text: str) -> str:
    """`sm86` for sm_86, sm86, 86 or 8.6.

    Raises:
        ValueError: it is none of these.
    """
    match = _ARCHITECTURE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a GPU architecture such as sm_86")
    return f"sm{match[1]}{match[2]}"


def device_compute(architecture: str) -> int:
    """86 for sm86: architectures as numbers that can be compared."""
    return int(architecture.removeprefix("sm"))


@dataclass(frozen=True, slots=True)
class TensorRT:
    """One installed TensorRT.

    Attributes:
        flavour: the module's name.
        module: the module.
    """

    flavour: str
    module: Any

    @property
    def label(self) -> str:
        """Flavour and version, for the names of files."""
        return f"{FLAVOURS[self.flavour]}{self.module.__version__}"

    @property
    def strongly_typed(self) -> bool:
        """Whether a graph states its types; else a flag allows float16 and layers are pinned."""
        return hasattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")

    @property
    def ahead_of_time(self) -> bool:
        """Whether it builds for GPUs that this machine has not."""
        return hasattr(self.module, "ComputeCapability")

    @property
    def architectures(self) -> tuple[str, ...]:
        """What it builds ahead of time for; empty where it only knows the GPU of this machine."""
        if not self.ahead_of_time:
            return ()
        names = (name.lower() for name in dir(self.module.ComputeCapability))
        return tuple(sorted(name for name in names if name.startswith("sm")))

    @property
    def compiles_each_context(self) -> bool:
        """Whether a context brings seconds of compiling, so that one has to take every size."""
        return FLAVOURS[self.flavour] == "rtx"

    def workspace_size(self, engine: Any) -> int:
        """Bytes that a context of this engine needs while it computes, at any size."""
        return int(
            engine.device_memory_size_v2
            if hasattr(engine, "device_memory_size_v2")
            else engine.device_memory_size
        )

    def context(self, engine: Any, workspace: int) -> Any:
        """An execution context that computes in memory of ours, or nothing.

        Args:
            engine: the deserialised engine.
            workspace: address of as many bytes as `workspace_size` says.
        """
        strategy = getattr(self.module, "ExecutionContextAllocationStrategy", None)
        if strategy is None:
            context = engine.create_execution_context_without_device_memory()
            if context is not None:
                context.device_memory = workspace
            return context
        context = engine.create_execution_context(strategy.USER_MANAGED)
        if context is not None:
            context.set_device_memory(workspace, self.workspace_size(engine))
        return context

    def logger(self) -> Any:
        """A logger that keeps TensorRT's errors (`errors`) and is silent else."""
        levels = self.module.ILogger

        class Kept(levels):  # type: ignore[misc, valid-type]
            def __init__(self) -> None:
                super().__init__()
                self.errors: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if severity in (levels.ERROR, levels.INTERNAL_ERROR):
                    self.errors.append(message)

        return Kept()

    def compile(
        self,
        graph: bytes,
        profile: Shapes,
        precision: str,
        architectures: Sequence[str] = (),
        timings: bytes = b"",
        progress: Progress = lambda done, total: None,
    ) -> tuple[bytes, bytes]:
        """Build one engine.

        Args:
            graph: an ONNX model, weights inside; it states all types, but where these are not
                asked for (`strongly_typed`).
            profile: of every input with a free axis.
            precision: fp32, fp16 or int8; only releases that are not strongly typed look at it.
            architectures: such as sm86; none means the GPU of this machine.
            timings: an earlier timing cache; a foreign or damaged one is ignored.
            progress: called as the build goes on, where this release reports it.

        Returns:
            The engine and the timing cache.

        Raises:
            ConvertError: TensorRT refuses the graph; its own words are in the message.
        """
        logger = self.logger()
        try:
            return self._compile(
                logger, graph, profile, precision, architectures, timings, progress
            )
        except (RuntimeError, TypeError, ValueError, AttributeError, MemoryError) as error:
            raise ConvertError(_brief([*logger.errors, str(error)])) from error

    def _compile(
        self,
        logger: Any,
        graph: bytes,
        profile: Shapes,
        precision: str,
        architectures: Sequence[str],
        timings: bytes,
        progress: Progress,
    ) -> tuple[bytes, bytes]:
        trt = self.module
        builder = trt.Builder(logger)
        typed = self.strongly_typed
        kind = "STRONGLY_TYPED" if typed else "EXPLICIT_BATCH"
        network = builder.create_network(1 << int(getattr(trt.NetworkDefinitionCreationFlag, kind)))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(graph):
            words = [parser.get_error(index).desc() for index in range(parser.num_errors)]
            raise ConvertError(_brief(words or logger.errors))
        config = builder.create_builder_config()
        if precision == "fp32":
            config.clear_flag(trt.BuilderFlag.TF32)  # it would round products to 10 bits
        if not typed and precision != "fp32":
            allow_half(trt, config, network, precision)
        if architectures:
            config.num_compute_capabilities = len(architectures)
            for index, name in enumerate(architectures):
                target = getattr(trt.ComputeCapability, name.upper())
                config.set_compute_capability(target, index)
        sharing = getattr(getattr(trt, "PreviewFeature", None), "PROFILE_SHARING_0806", None)
        if sharing is not None:
            # Else one engine serves one session only; later releases do so by themselves.
            config.set_preview_feature(sharing, True)
        _set_profile(builder, config, network, profile)
        # Ahead of time there is nothing to measure; RTX has the call, but deprecates it.
        cache = None if self.ahead_of_time else _timing_cache(config, timings)
        # The monitor must outlive the build: TensorRT keeps no reference.
        monitor = _monitor(trt, progress)
        if monitor is not None:
            config.progress_monitor = monitor
        built = builder.build_serialized_network(network, config)
        if built is None:
            raise ConvertError(_brief(logger.errors))
        return bytes(built), bytes(cache.serialize()) if cache is not None else b""


def _set_profile(builder: Any, config: Any, network: Any, profile: Shapes) -> None:
    chosen = builder.create_optimization_profile()
    free = 0
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        if -1 in tuple(tensor.shape):
            chosen.set_shape(tensor.name, *profile[tensor.name])
            free += 1
    if free:
        config.add_optimization_profile(chosen)


def _timing_cache(config: Any, timings: bytes) -> Any:
    for content in (timings, b""):
        try:
            cache = config.create_timing_cache(content)
            if cache is not None and config.set_timing_cache(cache, False):
                return cache
        except (RuntimeError, TypeError):
            continue
    return None


def _monitor(trt: Any, progress: Progress) -> Any:
    base = getattr(trt, "IProgressMonitor", None)
    if base is None:
        return None

    class Monitor(base):  # type: ignore[misc, valid-type]
        """Follows the outermost phase; the inner ones have no common scale."""

        def __init__(self) -> None:
            super().__init__()
            self._outer: str | None = None
            self._total = 1

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._outer, self._total = phase_name, num_steps

        def phase_finish(self, phase_name: str) -> None:
            pass

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name == self._outer:
                progress(step + 1, self._total)
            return True

    return Monitor()


def _brief(messages: Sequence[str], limit: int = 500) -> str:
    text = " · ".join(" ".join(message.split()) for message in messages if message)
    return (text if len(text) <= limit else text[:limit] + " …") or "TensorRT gives no reason"
