"""The NVIDIA card: pycuda owns the context and the memory, cuda-bindings what pycuda has not.

pycuda's streams have no priority, and it knows neither captured graphs nor thread-block clusters;
so everything that happens on a stream is asked of the driver by the stream's handle. Both packages
are imported when a device is opened: this file can be read anywhere. What CUDA reports becomes a
`DeviceError` that says whether the process can go on.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engines.backends import Array
from engines.errors import BackendUnavailableError, DeviceError, OutOfMemoryError

_MEMORY = ("out of memory", "out_of_memory", "outofmemory")
_LOST = (
    *("illegal_address", "illegal address", "illegal memory access", "illegal_instruction"),
    *("illegal instruction", "misaligned", "invalid_pc", "invalid_address_space", "assert"),
    *("launch_failed", "launch failed", "launch failure", "launch_timeout", "launch timed out"),
    *("ecc_uncorrectable", "uncorrectable ecc", "hardware_stack", "device_lost", "device lost"),
    *("context_is_destroyed", "context is destroyed", "nvlink_uncorrectable", "contained"),
    *("no longer available", "device_unavailable", "system_not_ready", "external_device"),
)


def device_error(what: str, error: BaseException | str) -> DeviceError:
    """A failure of CUDA or TensorRT in our words.

    A kernel that went wrong spoils the whole CUDA context: every later call fails the same way, and
    no call brings it back within the process. Memory that was not there spoils nothing.
    """
    text = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else error
    lowered = text.lower()
    if any(words in lowered for words in _LOST):
        return DeviceError(
            f"{what}: the GPU is lost to this process, which must be restarted ({text})",
            sticky=True,
        )
    if any(words in lowered for words in _MEMORY):
        return OutOfMemoryError(f"{what}: the GPU has no memory left for this ({text})")
    return DeviceError(f"{what}: {text}")


@contextmanager
def failures(what: str) -> Iterator[None]:
    """Turn what CUDA raises into a `DeviceError`."""
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:
        # pycuda's, TensorRT's and cuda-bindings' errors have no common base but Exception.
        raise device_error(what, error) from error


def architecture(number: int = 0) -> str:
    """The architecture of this machine's GPU, such as sm86.

    Raises:
        BackendUnavailableError: pycuda or the card is missing.
    """
    cuda, _ = load_cuda()
    major, minor = cuda.Device(number).compute_capability()
    return f"sm{major}{minor}"


def load_cuda() -> tuple[Any, Any]:
    """pycuda's and cuda-bindings' driver interfaces, initialised.

    Raises:
        BackendUnavailableError: a package or the card is missing.
    """
    try:
        cuda = importlib.import_module("pycuda.driver")
        driver = importlib.import_module("cuda.bindings.driver")
    except (ImportError, OSError) as error:
        raise BackendUnavailableError(
            f"pycuda or cuda-bindings is not installed, or finds no NVIDIA driver: {error}"
        ) from error
    try:
        cuda.init()
        count = cuda.Device.count()
    except Exception as error:
        raise BackendUnavailableError(f"there is no NVIDIA card to use: {error}") from error
    if not count:
        raise BackendUnavailableError("there is no NVIDIA card in this machine")
    return cuda, driver


class CudaDevice:
    """The primary context of one card, which TensorRT uses too; for the thread that opened it.

    Args:
        cuda: pycuda's and cuda-bindings' driver interfaces.
        number: which card.
    """

    def __init__(self, cuda: tuple[Any, Any], number: int = 0) -> None:
        self.cuda, self.driver = cuda
        with failures("opening the GPU"):
            device = self.cuda.Device(number)
            self._context = device.retain_primary_context()
            self._context.push()
        major, minor = device.compute_capability()
        self.architecture = f"sm{major}{minor}"
        self.name = str(device.name())
        self._held: dict[int, Any] = {}

    def allocate(self, size: int) -> int:
        """Device memory with anything in it; its address.

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

    def stream(self, urgent: bool = False) -> Stream:
        """A stream of its own; an urgent one goes first where the card is full."""
        with failures("making a stream"):
            lowest, highest = self.call("cuCtxGetStreamPriorityRange")
            # 1: it does not wait for the default stream.
            made = self.call("cuStreamCreateWithPriority", 1, highest if urgent else lowest)
        return Stream(self, int(made))

    def call(self, name: str, *arguments: Any) -> Any:
        """A function of the driver; its results without the status.

        Raises:
            DeviceError: the status is another than success.
        """
        error, *results = getattr(self.driver, name)(*arguments)
        if int(error):
            raise device_error(name, str(getattr(error, "name", error)))
        return results[0] if len(results) == 1 else results

    @property
    def used(self) -> int:
        """Bytes of the card that are in use, by everybody."""
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


class Stream:
    """What happens on the card in order.

    Args:
        device: the card.
        handle: the driver's.
    """

    def __init__(self, device: CudaDevice, handle: int) -> None:
        self.device, self.handle = device, handle

    def synchronize(self) -> None:
        """Wait until all that was asked for is done."""
        self.device.call("cuStreamSynchronize", self.handle)

    def clear(self, pointer: int, size: int) -> None:
        """Fill memory with zeros."""
        if size:
            self.device.call("cuMemsetD8Async", pointer, 0, size, self.handle)

    def write(self, pointer: int, array: Array) -> None:
        """Copy an array to the card; it may be changed when the call returns."""
        array = np.ascontiguousarray(array)
        if array.nbytes:
            # From pageable memory: CUDA has taken a copy when the call returns.
            address = array.ctypes.data
            self.device.call("cuMemcpyHtoDAsync", pointer, address, array.nbytes, self.handle)

    def read(self, array: Array, pointer: int) -> None:
        """Copy from the card into a contiguous array; returns when it is there."""
        if array.nbytes:
            address = array.ctypes.data
            self.device.call("cuMemcpyDtoHAsync", address, pointer, array.nbytes, self.handle)
        self.synchronize()

    def copy(self, to: int, source: int, pitches: tuple[int, int], width: int, rows: int) -> None:
        """Copy `rows` pieces of `width` bytes within the card, at pitches (to, source)."""
        driver = self.device.driver
        what = driver.CUDA_MEMCPY2D()
        what.srcMemoryType = what.dstMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
        what.srcDevice, what.dstDevice = source, to
        what.dstPitch, what.srcPitch = pitches
        what.WidthInBytes, what.Height = width, rows
        self.device.call("cuMemcpy2DAsync", what, self.handle)

    def capture(self, work: Callable[[], None]) -> Recorded:
        """Record what `work` asks of this stream as a graph; `work` itself does not run.

        Returns:
            Launches the graph on this stream.

        Raises:
            DeviceError: something in the work cannot be recorded.
        """
        device = self.device
        mode = device.driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        device.call("cuStreamBeginCapture", self.handle, mode)
        try:
            work()
        finally:
            graph = device.call("cuStreamEndCapture", self.handle)
        try:
            executable = device.call("cuGraphInstantiate", graph, 0)
        finally:
            device.call("cuGraphDestroy", graph)
        return Recorded(self, executable)


class Recorded:
    """Work that was recorded on a stream; calling it asks for it again.

    Args:
        stream: the stream.
        executable: the driver's graph; nobody may drop this object while it is under way.
    """

    def __init__(self, stream: Stream, executable: Any) -> None:
        self._stream, self._executable = stream, executable

    def __call__(self) -> None:
        """Ask for the work."""
        self._stream.device.call("cuGraphLaunch", self._executable, self._stream.handle)

    def __del__(self) -> None:
        # On a lost card there is nothing to give back.
        with contextlib.suppress(DeviceError):
            self._stream.device.call("cuGraphExecDestroy", self._executable)
