"""The NVIDIA card through pycuda: context, streams, memory, kernels; and graphs by cuda-bindings.

pycuda is imported when a device is opened, so this file can be read anywhere. What CUDA reports
becomes a `DeviceError`, which says whether the process can go on.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from engines.backends import Array
from engines.errors import BackendUnavailableError, DeviceError, OutOfMemoryError

_MEMORY = ("out of memory", "memory allocation", "outofmemory")
_LOST = (
    *("illegal address", "illegal memory access", "illegal instruction", "misaligned address"),
    *("launch failed", "launch timed out", "launch timeout", "device-side assert", "assert"),
    *("hardware stack", "invalid program counter", "ecc uncorrectable", "uncorrectable ecc"),
    *("device lost", "no longer available", "nvlink", "context is destroyed", "unknown error"),
    *("unspecified launch failure", "exception_error", "contained"),
)


def device_error(what: str, error: BaseException | str) -> DeviceError:
    """A failure of CUDA or TensorRT in our words.

    A kernel that went wrong spoils the whole CUDA context: every later call fails the same way, and
    no call brings it back within the process. Memory that was not there spoils nothing.
    """
    text = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else error
    lowered = text.lower()
    if any(words in lowered for words in _MEMORY):
        return OutOfMemoryError(f"{what}: the GPU has no memory left for this ({text})")
    if any(words in lowered for words in _LOST):
        return DeviceError(
            f"{what}: the GPU is lost to this process, which must be restarted ({text})",
            sticky=True,
        )
    return DeviceError(f"{what}: {text}")


def architecture(number: int = 0) -> str:
    """The architecture of this machine's GPU, such as sm86.

    Raises:
        BackendUnavailableError: pycuda or the card is missing.
    """
    cuda = load_cuda()
    major, minor = cuda.Device(number).compute_capability()
    return f"sm{major}{minor}"


def load_cuda() -> Any:
    """pycuda's driver interface, initialised.

    Raises:
        BackendUnavailableError: pycuda or the card is missing.
    """
    try:
        cuda = importlib.import_module("pycuda.driver")
    except (ImportError, OSError) as error:
        raise BackendUnavailableError(
            f"pycuda is not installed or finds no NVIDIA driver: {error}"
        ) from error
    try:
        cuda.init()
        count = cuda.Device.count()
    except Exception as error:
        raise BackendUnavailableError(f"there is no NVIDIA card to use: {error}") from error
    if not count:
        raise BackendUnavailableError("there is no NVIDIA card in this machine")
    return cuda


class CudaDevice:
    """The primary context of one card, which TensorRT uses too; for the thread that opened it.

    Args:
        cuda: pycuda's driver interface.
        number: which card.
    """

    def __init__(self, cuda: Any, number: int = 0) -> None:
        self.cuda = cuda
        with failures("opening the GPU"):
            device = cuda.Device(number)
            self._context = device.retain_primary_context()
            self._context.push()
            self.lowest, self.highest = self._priorities()
        major, minor = device.compute_capability()
        self.architecture = f"sm{major}{minor}"
        self.name = str(device.name())
        self._held: dict[int, Any] = {}

    def stream(self, urgent: bool = False) -> Any:
        """A stream of its own; an urgent one goes first where the card is full."""
        with failures("making a stream"):
            # pycuda's own streams have no priority; one by the driver is wrapped in its place.
            return _PriorityStream(self.cuda, self.highest) if urgent else self.cuda.Stream()

    def allocate(self, size: int) -> int:
        """Device memory; its address.

        Raises:
            OutOfMemoryError: there is not so much left.
        """
        with failures(f"{size} bytes"):
            memory = self.cuda.mem_alloc(max(size, 1))
        self._held[int(memory)] = memory
        return int(memory)

    def free(self, pointer: int) -> None:
        """Give memory back."""
        with failures("giving memory back"):
            self._held.pop(pointer).free()

    @property
    def used(self) -> int:
        """Bytes of the card in use, by everybody."""
        free, total = self.cuda.mem_get_info()
        return int(total - free)

    def close(self) -> None:
        """Free everything and leave the context."""
        try:
            for pointer in list(self._held):
                self.free(pointer)
        except DeviceError:
            self._held.clear()  # a lost device has nothing to give back
        self._context.pop()

    def _priorities(self) -> tuple[int, int]:
        driver = _bindings()
        if driver is None:
            return 0, 0
        error, lowest, highest = driver.cuCtxGetStreamPriorityRange()
        _check(error)
        return int(lowest), int(highest)


class StreamDriver:
    """Memory and launches on one stream: the `Driver` of the decode loop.

    Args:
        device: the card.
        stream: everything happens on it.
        kernels: files that `engines.backends.kernels.compiling` made.
        clusters: false hides the thread-block clusters, so that the chain of kernels runs.
    """

    def __init__(
        self, device: CudaDevice, stream: Any, kernels: Sequence[Path], clusters: bool = True
    ) -> None:
        self.device, self.stream = device, stream
        self._cuda = device.cuda
        self._clusters = clusters
        self._modules = []
        for path in kernels:
            try:
                self._modules.append(self._cuda.module_from_file(str(path)))
            except Exception as error:
                # The cluster kernels have no code for cards before sm_90.
                if "cluster" not in path.name:
                    raise device_error(f"loading {path.name}", error) from error
        self._functions: dict[str, Any] = {}

    def allocate(self, size: int) -> int:
        """See `Driver.allocate`."""
        pointer = self.device.allocate(size)
        with failures("clearing memory"):
            self._cuda.memset_d8_async(pointer, 0, size, self.stream)
        return pointer

    def free(self, pointer: int) -> None:
        """See `Driver.free`."""
        with failures("waiting for the GPU"):
            self.stream.synchronize()
        self.device.free(pointer)

    def write(self, pointer: int, array: Array) -> None:
        """See `Driver.write`."""
        with failures("writing to the GPU"):
            # From pageable memory: CUDA has taken a copy when the call returns.
            self._cuda.memcpy_htod_async(pointer, np.ascontiguousarray(array), self.stream)

    def read(self, array: Array, pointer: int) -> None:
        """See `Driver.read`."""
        with failures("reading from the GPU"):
            self._cuda.memcpy_dtoh_async(array, pointer, self.stream)
            self.stream.synchronize()

    def copy(self, to: int, source: int, pitches: tuple[int, int], width: int, rows: int) -> None:
        """See `Driver.copy`."""
        with failures("copying on the GPU"):
            copy = self._cuda.Memcpy2D()
            copy.set_src_device(source)
            copy.set_dst_device(to)
            copy.dst_pitch, copy.src_pitch = pitches
            copy.width_in_bytes, copy.height = width, rows
            copy(self.stream)

    def launch(
        self,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        shared: int,
        arguments: Sequence[np.generic],
    ) -> None:
        """See `Driver.launch`."""
        function = self._function(kernel, shared)
        with failures(kernel):
            function(
                *arguments,
                grid=grid,
                block=(threads, 1, 1),
                shared=shared,
                stream=self.stream,
            )

    def resident_clusters(self, kernel: str, threads: int, shared: int) -> int:
        """See `Driver.resident_clusters`."""
        driver = _bindings()
        if not self._clusters or driver is None or int(self.device.architecture[2:]) < 90:
            return 0
        try:
            function = self._function(kernel, shared)
        except DeviceError:
            return 0
        config = driver.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = 64, 1, 1
        config.blockDimX, config.blockDimY, config.blockDimZ = threads, 1, 1
        config.sharedMemBytes = shared
        attribute = driver.CUlaunchAttribute()
        attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        attribute.value.clusterDim.x = 8
        attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1
        config.attrs, config.numAttrs = [attribute], 1
        handle = driver.CUfunction(_handle(function))
        error, count = driver.cuOccupancyMaxActiveClusters(handle, config)
        return int(count) if int(error) == 0 else 0

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """What `work` launches, as one graph; call the result to launch it again."""
        return capture(self.stream, work)

    def _function(self, name: str, shared: int) -> Any:
        if name not in self._functions:
            for module in self._modules:
                try:
                    function = module.get_function(name)
                    break
                except self._cuda.Error:
                    continue
            else:
                raise DeviceError(f"{name}: no kernel of that name for {self.device.architecture}")
            if shared:
                attribute = self._cuda.function_attribute.MAX_DYNAMIC_SHARED_SIZE_BYTES
                with failures(name):
                    function.set_attribute(attribute, shared)
            self._functions[name] = function
        return self._functions[name]


def capture(stream: Any, work: Callable[[], None]) -> Callable[[], None]:
    """Record what `work` launches on a stream as a graph.

    Returns:
        Launches the graph on that stream. The work itself has not run.

    Raises:
        DeviceError: something in the work cannot be captured.
    """
    driver = _bindings()
    if driver is None:
        return work
    handle = driver.CUstream(int(stream.handle))
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    with failures("capturing a graph"):
        _check(*driver.cuStreamBeginCapture(handle, mode))
        try:
            work()
        finally:
            error, graph = driver.cuStreamEndCapture(handle)
        _check(error)
        error, executable = driver.cuGraphInstantiate(graph, 0)
        _check(error)
        _check(*driver.cuGraphDestroy(graph))

    def launch() -> None:
        with failures("launching a graph"):
            _check(*driver.cuGraphLaunch(executable, handle))

    return launch


@contextmanager
def failures(what: str) -> Iterator[None]:
    """Turn what CUDA raises into a `DeviceError`."""
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:
        # pycuda's and cuda-bindings' errors have no common base but Exception.
        raise device_error(what, error) from error


class _PriorityStream:
    """A stream with a priority; what pycuda and TensorRT need of one is its handle."""

    def __init__(self, cuda: Any, priority: int) -> None:
        driver = _bindings()
        if driver is None:
            self._stream, self.handle = cuda.Stream(), 0
            self.handle = int(self._stream.handle)
            return
        error, made = driver.cuStreamCreateWithPriority(1, priority)
        _check(error)
        self.handle = int(made)

    def synchronize(self) -> None:
        """Wait until all that was asked for is done."""
        driver = _bindings()
        if driver is None:
            self._stream.synchronize()
        else:
            _check(*driver.cuStreamSynchronize(driver.CUstream(self.handle)))


def _bindings() -> Any:
    try:
        return importlib.import_module("cuda.bindings.driver")
    except (ImportError, OSError):
        return None


def _check(error: Any) -> None:
    if int(error):
        raise DeviceError(f"CUDA says {getattr(error, 'name', error)}")


def _handle(function: Any) -> int:
    """The driver's handle of a pycuda function."""
    return int(function.handle)
