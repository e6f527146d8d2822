"""The decode loop's driver on one stream of a card: memory, copies and launches of the kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.backends import Array
from engines.backends.cuda_device import CudaDevice, Stream
from engines.backends.tensorrt_module import device_compute
from engines.errors import DeviceError

FIRST_WITH_CLUSTERS = 90


class StreamDriver:
    """See `engines.backends.kernels.decode_loop.Driver`.

    Args:
        device: the card.
        stream: everything happens on it.
        kernels: folder of what `engines.backends.kernels.compiling` made.
        clusters: false hides the thread-block clusters, so that the chain of kernels runs.

    Raises:
        DeviceError: the kernels have no code for this card.
    """

    def __init__(
        self, device: CudaDevice, stream: Stream, kernels: Path, clusters: bool = True
    ) -> None:
        self.device, self.stream = device, stream
        self._clusters = clusters and device_compute(device.architecture) >= FIRST_WITH_CLUSTERS
        names = ("t2s_generic", "t2s_cluster") if self._clusters else ("t2s_generic",)
        images = [(kernels / f"{name}.fatbin").read_bytes() for name in names]
        self._modules = [device.call("cuModuleLoadData", image) for image in images]
        self._functions: dict[str, Any] = {}

    def allocate(self, size: int) -> int:
        """See `Driver.allocate`."""
        pointer = self.device.allocate(size)
        self.stream.clear(pointer, size)
        return pointer

    def free(self, pointer: int) -> None:
        """See `Driver.free`."""
        self.stream.synchronize()
        self.device.free(pointer)

    def write(self, pointer: int, array: Array) -> None:
        """See `Driver.write`."""
        self.stream.write(pointer, array)

    def read(self, array: Array, pointer: int) -> None:
        """See `Driver.read`."""
        self.stream.read(array, pointer)

    def copy(self, to: int, source: int, pitches: tuple[int, int], width: int, rows: int) -> None:
        """See `Driver.copy`."""
        self.stream.copy(to, source, pitches, width, rows)

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
        # The driver reads an array of addresses, one for each argument, before the call returns.
        values = [np.array([argument]) for argument in arguments]
        places = np.array([value.ctypes.data for value in values], np.uint64)
        sizes = (*grid, 1, threads, 1, 1, shared)
        self.device.call(
            "cuLaunchKernel", function, *sizes, self.stream.handle, places.ctypes.data, 0
        )

    def resident_clusters(self, kernel: str, threads: int, shared: int) -> int:
        """See `Driver.resident_clusters`."""
        if not self._clusters:
            return 0
        driver = self.device.driver
        attribute = driver.CUlaunchAttribute()
        attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        attribute.value.clusterDim.x = 8
        attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1
        config = driver.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = 64, 1, 1
        config.blockDimX, config.blockDimY, config.blockDimZ = threads, 1, 1
        config.sharedMemBytes = shared
        config.attrs, config.numAttrs = [attribute], 1
        try:
            function = self._function(kernel, shared)
            return int(self.device.call("cuOccupancyMaxActiveClusters", function, config))
        except DeviceError as error:
            if error.sticky:
                raise
            return 0  # too much shared memory for this card: the chain of kernels runs

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """See `Stream.capture`."""
        return self.stream.capture(work)

    def _function(self, name: str, shared: int) -> Any:
        if name not in self._functions:
            self._functions[name] = self._find(name)
            if shared:
                attribute = self.device.driver.CUfunction_attribute
                which = attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
                self.device.call("cuFuncSetAttribute", self._functions[name], which, shared)
        return self._functions[name]

    def _find(self, name: str) -> Any:
        for module in self._modules:
            error, function = self.device.driver.cuModuleGetFunction(module, name.encode())
            if not int(error):
                return function
        raise DeviceError(f"there is no kernel {name!r} for {self.device.architecture}")
