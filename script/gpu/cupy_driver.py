"""The decode loop's driver on a machine that has CuPy, for checks and timings without pycuda."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cupy
import numpy as np
from cuda.bindings import driver as cuda


class CupyDriver:
    """Memory and launches on one CuPy stream.

    Args:
        folder: where `engines.backends.kernels.compiling` put its files.
        clusters: false hides the thread-block clusters, so that the chain of kernels runs.
    """

    def __init__(self, folder: Path, clusters: bool = True) -> None:
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self._modules = [cupy.RawModule(path=str(folder / "t2s_generic.fatbin"))]
        self._clusters = clusters
        if clusters:
            self._modules.append(cupy.RawModule(path=str(folder / "t2s_cluster.fatbin")))
        self._held: dict[int, Any] = {}
        self._kernels: dict[str, Any] = {}

    def allocate(self, size: int) -> int:
        """See `Driver.allocate`."""
        memory = cupy.zeros(size, cupy.uint8)
        cupy.cuda.runtime.deviceSynchronize()
        self._held[memory.data.ptr] = memory
        return int(memory.data.ptr)

    def free(self, pointer: int) -> None:
        """See `Driver.free`."""
        self.stream.synchronize()
        del self._held[pointer]

    def write(self, pointer: int, array: np.ndarray) -> None:
        """See `Driver.write`."""
        array = np.ascontiguousarray(array)
        kind = cupy.cuda.runtime.memcpyHostToDevice
        cupy.cuda.runtime.memcpyAsync(
            pointer, array.ctypes.data, array.nbytes, kind, self.stream.ptr
        )

    def read(self, array: np.ndarray, pointer: int) -> None:
        """See `Driver.read`."""
        kind = cupy.cuda.runtime.memcpyDeviceToHost
        cupy.cuda.runtime.memcpyAsync(
            array.ctypes.data, pointer, array.nbytes, kind, self.stream.ptr
        )
        self.stream.synchronize()

    def copy(self, to: int, source: int, pitches: tuple[int, int], width: int, rows: int) -> None:
        """See `Driver.copy`."""
        kind = cupy.cuda.runtime.memcpyDeviceToDevice
        cupy.cuda.runtime.memcpy2DAsync(
            to, pitches[0], source, pitches[1], width, rows, kind, self.stream.ptr
        )

    def launch(
        self,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        shared: int,
        arguments: Sequence[np.generic],
    ) -> None:
        """See `Driver.launch`."""
        self._kernel(kernel, shared)(
            grid, (threads,), tuple(arguments), shared_mem=shared, stream=self.stream
        )

    def resident_clusters(self, kernel: str, threads: int, shared: int) -> int:
        """See `Driver.resident_clusters`."""
        if not self._clusters:
            return 0
        config = cuda.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = 64, 1, 1
        config.blockDimX, config.blockDimY, config.blockDimZ = threads, 1, 1
        config.sharedMemBytes = shared
        function = cuda.CUfunction(self._kernel(kernel, shared).kernel.ptr)
        attribute = cuda.CUlaunchAttribute()
        attribute.id = cuda.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        attribute.value.clusterDim.x = 8
        attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1
        config.attrs, config.numAttrs = [attribute], 1
        error, count = cuda.cuOccupancyMaxActiveClusters(function, config)
        if error != cuda.CUresult.CUDA_SUCCESS:
            raise RuntimeError(f"cuOccupancyMaxActiveClusters: {error}")
        return int(count)

    def capture(self, work: Callable[[], None]) -> Any:
        """What `work` launches, as a graph with a `launch(stream=...)`."""
        with self.stream:
            self.stream.begin_capture()
            work()
            return self.stream.end_capture()

    def _kernel(self, name: str, shared: int) -> Any:
        if name not in self._kernels:
            for module in self._modules:
                try:
                    self._kernels[name] = module.get_function(name)
                    break
                except cupy.cuda.driver.CUDADriverError:
                    continue
            if shared:
                self._kernels[name].max_dynamic_shared_size_bytes = shared
        return self._kernels[name]
