"""Memory of the card: a pool of buffers that are used again, and tensors that lie in them.

Buffers come from a pool and go back to it, so after the first sentences nothing is allocated any
more.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from engines.backends import Array
from engines.backends.cuda_device import CudaDevice, Stream
from engines.errors import DeviceError

_LEAST = 12  # bits: a buffer has at least 4096 bytes


class BufferPool:
    """Device memory that is used again.

    A buffer goes from one user to the next in the order of one stream, so each stream has its own.

    Args:
        device: gives the memory.
        stream: whose work uses it.
    """

    def __init__(self, device: CudaDevice, stream: Stream) -> None:
        self._device, self.stream = device, stream
        self._free: dict[int, list[int]] = defaultdict(list)

    def take(self, size: int) -> int:
        """The address of at least so many bytes, with anything in them.

        Raises:
            OutOfMemoryError: neither the pool nor the card has them.
        """
        rounded = _rounded(size)
        if self._free[rounded]:
            return self._free[rounded].pop()
        try:
            return self._device.allocate(rounded)
        except DeviceError:
            # What lies here in other sizes may be just what is missing.
            if not self.trim():
                raise
            return self._device.allocate(rounded)

    def give(self, pointer: int, size: int) -> None:
        """Take a buffer back; work that was already asked for may still read it."""
        self._free[_rounded(size)].append(pointer)

    def trim(self) -> int:
        """Give everything unused back to the card; returns how many buffers."""
        self.stream.synchronize()
        unused = [pointer for pointers in self._free.values() for pointer in pointers]
        self._free.clear()
        for pointer in unused:
            self._device.free(pointer)
        return len(unused)


class CardTensor:
    """An output that stayed on the card; its buffer goes back when nobody holds it any more."""

    def __init__(self, pool: BufferPool, shape: tuple[int, ...], dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.size = int(np.prod(shape)) * self.dtype.itemsize
        self.pointer = pool.take(self.size)
        self._shape, self._pool = shape, pool

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return self._shape

    def numpy(self) -> Array:
        """A copy in the host's memory."""
        array = np.empty(self._shape, self.dtype)
        self._pool.stream.read(array, self.pointer)
        return array

    def fill(self, array: Array) -> None:
        """Copy an array of the same shape into it."""
        self._pool.stream.write(self.pointer, np.ascontiguousarray(array, self.dtype))

    def __del__(self) -> None:
        if hasattr(self, "_pool"):
            self._pool.give(self.pointer, self.size)


def _rounded(size: int) -> int:
    """The size of the buffer for so many bytes: of eight to an octave, so that few sizes occur.

    Sentences differ in length; a buffer for each length would fill the card in a day.
    """
    step = 1 << max(_LEAST, size.bit_length() - 4)
    return max(-(-size // step), 1) * step
