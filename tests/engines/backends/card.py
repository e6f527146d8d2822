"""A graphics card in the host's memory: stands in for pycuda, cuda-bindings and TensorRT.

An engine is an ONNX graph, and executing it is ONNX Runtime between two addresses. So everything
that the backend does itself is real: addresses, types, shapes, copies, pools, errors.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

from engines.backends.tensorrt_module import TensorRT

CAPACITY = 1 << 30
WORKSPACE = 4096


class Memory:
    """What pycuda's `mem_alloc` gives."""

    def __init__(self, cuda: PyCuda, size: int) -> None:
        self._array = np.full(size, 0xAB, np.uint8)
        self._cuda, self._size = cuda, size
        cuda.live[int(self)] = size

    def __int__(self) -> int:
        return self._array.ctypes.data

    def free(self) -> None:
        del self._cuda.live[int(self)]


class PyCuda:
    """pycuda.driver."""

    def __init__(self, capability: tuple[int, int] = (8, 6)) -> None:
        self.capability = capability
        self.capacity = CAPACITY
        self.live: dict[int, int] = {}
        self.pushed = 0

    def Device(self, _: int) -> Any:
        return SimpleNamespace(
            compute_capability=lambda: self.capability,
            name=lambda: "a card of paper",
            retain_primary_context=lambda: SimpleNamespace(push=self.push, pop=self.pop),
        )

    def push(self) -> None:
        self.pushed += 1

    def pop(self) -> None:
        self.pushed -= 1

    def mem_alloc(self, size: int) -> Memory:
        if sum(self.live.values()) + size > self.capacity:
            raise RuntimeError("cuMemAlloc failed: out of memory")
        return Memory(self, size)

    def mem_get_info(self) -> tuple[int, int]:
        return self.capacity - sum(self.live.values()), self.capacity


class Status(int):
    """CUresult."""

    name = "CUDA_SUCCESS"


def failed(name: str) -> Status:
    status = Status(700)
    status.name = name
    return status


OK = Status(0)


def view(address: int, size: int) -> Any:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


class Bindings:
    """cuda.bindings.driver, as far as it is used; `fails` makes a function fail from then on."""

    CUmemorytype = SimpleNamespace(CU_MEMORYTYPE_DEVICE=2)
    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)
    CUDA_MEMCPY2D = SimpleNamespace
    CUlaunchConfig = SimpleNamespace
    CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8)
    CUlaunchAttributeID = SimpleNamespace(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION=4)

    def __init__(self) -> None:
        self.launches: list[tuple[Any, ...]] = []
        self.attributes: list[tuple[Any, ...]] = []
        self.clusters = 16
        self.fails: dict[str, str] = {}
        self.calls: list[str] = []
        self.priorities: list[int] = []
        self.recording: list[Any] | None = None

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("cu"):
            self.calls.append(name)
            if name in self.fails:
                return lambda *_: (failed(self.fails[name]), None)
        return super().__getattribute__(name)

    def cuCtxGetStreamPriorityRange(self) -> Any:
        return OK, 0, -5

    def cuStreamCreateWithPriority(self, flags: int, priority: int) -> Any:
        self.priorities.append(priority)
        return OK, 1000 + len(self.priorities)

    def cuStreamSynchronize(self, _: int) -> Any:
        return (OK,)

    def cuMemsetD8Async(self, pointer: int, value: int, size: int, _: int) -> Any:
        view(pointer, size)[:] = value
        return (OK,)

    def cuMemcpyHtoDAsync(self, pointer: int, address: int, size: int, _: int) -> Any:
        view(pointer, size)[:] = view(address, size)
        return (OK,)

    def cuMemcpyDtoHAsync(self, address: int, pointer: int, size: int, _: int) -> Any:
        view(address, size)[:] = view(pointer, size)
        return (OK,)

    def cuMemcpy2DAsync(self, what: Any, _: int) -> Any:
        for row in range(what.Height):
            piece = view(what.srcDevice + row * what.srcPitch, what.WidthInBytes)
            view(what.dstDevice + row * what.dstPitch, what.WidthInBytes)[:] = piece
        return (OK,)

    def CUlaunchAttribute(self) -> Any:
        return SimpleNamespace(value=SimpleNamespace(clusterDim=SimpleNamespace()))

    def cuModuleLoadData(self, image: bytes) -> Any:
        return OK, image.decode().split()

    def cuModuleGetFunction(self, module: list[str], name: bytes) -> Any:
        return (OK, name.decode()) if name.decode() in module else (failed("NOT_FOUND"), None)

    def cuFuncSetAttribute(self, *what: Any) -> Any:
        self.attributes.append(what)
        return (OK,)

    def cuOccupancyMaxActiveClusters(self, function: str, config: Any) -> Any:
        assert config.attrs[0].value.clusterDim.x == 8
        return OK, self.clusters

    def cuLaunchKernel(self, function: str, *rest: Any) -> Any:
        *sizes, stream, parameters, _ = rest
        first = view(parameters, 16).view(np.uint64)
        values = (
            int(view(int(first[0]), 8).view(np.uint64)[0]),
            int(view(int(first[1]), 4).view(np.int32)[0]),
        )
        self.launches.append((function, tuple(sizes), stream, values))
        return (OK,)

    def cuStreamBeginCapture(self, *_: Any) -> Any:
        self.recording = []
        return (OK,)

    def cuStreamEndCapture(self, _: int) -> Any:
        graph, self.recording = self.recording, None
        return OK, graph

    def cuGraphInstantiate(self, graph: Any, _: int) -> Any:
        return OK, list(graph)

    def cuGraphDestroy(self, _: Any) -> Any:
        return (OK,)

    def cuGraphExecDestroy(self, graph: Any) -> Any:
        graph.clear()
        return (OK,)

    def cuGraphLaunch(self, graph: Any, _: int) -> Any:
        for work in graph:
            work()
        return (OK,)


class Engine:
    """A deserialised engine."""

    def __init__(self, content: bytes, bindings: Bindings) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(content, options)
        self.bindings = bindings
        self.ends = {
            **dict.fromkeys((value.name for value in self.session.get_inputs()), "INPUT"),
            **dict.fromkeys((value.name for value in self.session.get_outputs()), "OUTPUT"),
        }
        self.types = {
            value.name: {"tensor(int64)": np.int64, "tensor(float)": np.float32}[value.type]
            for value in (*self.session.get_inputs(), *self.session.get_outputs())
        }
        self.num_io_tensors = len(self.ends)

    def get_tensor_name(self, index: int) -> str:
        return list(self.ends)[index]

    def get_tensor_mode(self, name: str) -> str:
        return self.ends[name]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.types[name]

    @property
    def device_memory_size_v2(self) -> int:
        return WORKSPACE

    def create_execution_context(self, strategy: str) -> Context:
        assert strategy == "USER_MANAGED"
        return Context(self)


class Context:
    """An execution context; shapes of outputs are known by computing them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.known: dict[Any, dict[str, tuple[int, ...]]] = {}
        self.workspace: tuple[int, int] | None = None

    def set_device_memory(self, address: int, size: int) -> None:
        self.workspace = (address, size)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = tuple(shape)
        return max(shape) < 20_000

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        key = tuple(sorted(self.shapes.items()))
        if key not in self.known:
            zeros = {
                end: np.zeros(shape, self.engine.types[end]) for end, shape in self.shapes.items()
            }
            made = self.engine.session.run(None, zeros)
            names = [value.name for value in self.engine.session.get_outputs()]
            self.known[key] = {end: array.shape for end, array in zip(names, made, strict=True)}
        return self.known[key][name]

    def execute_async_v3(self, handle: int) -> bool:
        assert handle > 1000
        assert self.workspace is not None
        view(*self.workspace)[:] = 0xCD
        shapes, addresses = dict(self.shapes), dict(self.addresses)
        if self.engine.bindings.recording is None:
            self.execute(shapes, addresses)
        else:
            self.engine.bindings.recording.append(lambda: self.execute(shapes, addresses))
        return "execute" not in self.engine.bindings.fails

    def execute(self, shapes: dict[str, Any], addresses: dict[str, int]) -> None:
        feeds = {}
        for name, shape in shapes.items():
            kind = np.dtype(self.engine.types[name])
            size = int(np.prod(shape)) * kind.itemsize
            feeds[name] = (
                view(addresses[name], max(size, 1))[:size].view(kind).reshape(shape).copy()
            )
        names = [value.name for value in self.engine.session.get_outputs()]
        for name, array in zip(names, self.engine.session.run(None, feeds), strict=True):
            content = np.ascontiguousarray(array).view(np.uint8).ravel()
            view(addresses[name], content.size)[:] = content


class Paper(TensorRT):
    """TensorRT whose engines are the graphs themselves."""

    strongly_typed = True

    def __init__(self, bindings: Bindings) -> None:
        module = SimpleNamespace(
            __version__="0.1",
            TensorIOMode=SimpleNamespace(INPUT="INPUT"),
            ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="USER_MANAGED"),
            nptype=lambda kind: kind,
            Runtime=lambda logger: SimpleNamespace(
                deserialize_cuda_engine=lambda content: (
                    None if content == b"foreign" else Engine(content, bindings)
                )
            ),
        )
        super().__init__("tensorrt", module)

    def logger(self) -> Any:
        return SimpleNamespace(errors=[])

    def compile(self, graph: bytes, *_: Any) -> tuple[bytes, bytes]:
        return graph, b""
