"""A TensorRT whose engines run in ONNX Runtime on FakeCuda's memory and streams.

The "plan" is the ONNX graph's bytes. Only what `sr_core.backends.tensorrt_session` calls is here;
that these names exist in the real libraries is checked by test_api_contract.
"""

from __future__ import annotations

import ctypes
import enum
from typing import Any

import numpy as np
import onnxruntime as ort

from sr_core.backends.tensorrt_library import TensorRtLibrary, TensorRtRtxLibrary
from tests.trt.fake_cuda import FakeCuda

_KINDS = {
    "tensor(uint8)": np.uint8,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
}


class TensorIOMode(enum.IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = Severity


class _Context:
    def __init__(self, session: ort.InferenceSession, cuda: FakeCuda, trt: FakeTensorRt) -> None:
        self._session, self._cuda, self._trt = session, cuda, trt
        self._address: dict[str, int] = {}
        self._recorded: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._address[name] = address
        block = self._cuda.memory.get(address)
        return block is not None and not block.is_host

    def execute_async_v3(self, stream: int) -> bool:
        if not self._cuda.is_current(stream):
            self._trt.logger.log(Severity.ERROR, "Cask convolution execution: invalid resource handle")
            return False
        if stale := self._cuda.last_error:  # after its launches TensorRT asks CUDA whether all is well
            self._trt.logger.log(Severity.ERROR, f"Cuda Runtime (stale error {stale})")
            return False
        if self._trt.fails_to_run:
            self._trt.logger.log(Severity.ERROR, "IExecutionContext::enqueueV3: Error Code 1: Myelin (no kernel image)")
            return False
        address = dict(self._address)  # addresses are taken at the time of the call, as in the real thing
        if address != self._recorded:
            self._recorded = address
            self._trt.recordings += 1  # what RTX's WHOLE_GRAPH_CAPTURE does whenever an address has changed
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()

        def work() -> None:
            feeds = {value.name: _array(address[value.name], value).copy() for value in inputs}
            for value, result in zip(outputs, self._session.run(None, feeds), strict=True):
                _array(address[value.name], value)[...] = result + np.array(self._trt.output_error, result.dtype)

        self._cuda.push(stream, work)
        return True


class _Engine:
    def __init__(self, session: ort.InferenceSession, cuda: FakeCuda, trt: FakeTensorRt) -> None:
        self._session, self._cuda, self._trt = session, cuda, trt
        self._io = {value.name: value for value in (*session.get_inputs(), *session.get_outputs())}
        self._names = list(self._io)
        self.num_io_tensors = len(self._names)

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        is_input = any(value.name == name for value in self._session.get_inputs())
        return TensorIOMode.INPUT if is_input else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> list[int]:
        return [size if isinstance(size, int) else -1 for size in self._io[name].shape]

    def get_tensor_dtype(self, name: str) -> str:
        return str(self._io[name].type)

    def create_execution_context(self, *arguments: Any) -> _Context | None:
        return _Context(self._session, self._cuda, self._trt)

    def create_runtime_config(self) -> Any:
        return self._trt.runtime_config


class RuntimeCache:
    def __init__(self, content: bytes = b"") -> None:
        self.content, self.was_given = content, b""

    def deserialize(self, content: bytes) -> bool:
        self.was_given = bytes(content)
        return True

    def serialize(self) -> bytes:
        return b"compiled kernels"


class RuntimeConfig:
    cuda_graph_strategy: Any = None
    dynamic_shapes_kernel_specialization_strategy: Any = None

    def __init__(self) -> None:
        self.cache = RuntimeCache()

    def create_runtime_cache(self) -> RuntimeCache:
        return self.cache

    def set_runtime_cache(self, cache: RuntimeCache) -> bool:
        return True


class FakeTensorRt:
    """The module. `invalid` makes get_engine_validity refuse, `fails_to_run` breaks execution,
    `output_error` is added to every sample that comes out.
    """

    __version__ = "0.0.fake"
    TensorIOMode = TensorIOMode
    ILogger = ILogger

    class EngineValidity(enum.IntEnum):
        VALID = 0
        SUBOPTIMAL = 1
        INVALID = 2

    class EngineInvalidityDiagnostics(enum.IntFlag):
        VERSION_MISMATCH = 1
        UNSUPPORTED_CC = 2

    class CudaGraphStrategy(enum.IntEnum):
        DISABLED = 0
        WHOLE_GRAPH_CAPTURE = 1

    class DynamicShapesKernelSpecializationStrategy(enum.IntEnum):
        LAZY = 0
        EAGER = 1

    def __init__(self, cuda: FakeCuda, *, invalid: int = 0) -> None:
        self.cuda, self.invalid = cuda, invalid
        self.fails_to_run = False
        self.output_error = 0
        self.recordings = 0
        self.runtime_config = RuntimeConfig()
        self.logger: Any = None

    def nptype(self, kind: str) -> Any:
        return _KINDS[kind]

    def Runtime(self, logger: Any) -> _Runtime:  # noqa: N802
        self.logger = logger
        return _Runtime(self)


class _Runtime:
    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt

    def get_engine_validity(self, plan: bytes) -> tuple[Any, int]:
        validity = self._trt.EngineValidity.INVALID if self._trt.invalid else self._trt.EngineValidity.VALID
        return validity, self._trt.invalid

    def deserialize_cuda_engine(self, plan: bytes) -> _Engine | None:
        if not plan.startswith(b"\x08"):  # not an ONNX file
            self._trt.logger.log(Severity.ERROR, "Serialization assertion magicTagRead == kMAGIC_TAG failed")
            return None
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(plan, options, providers=["CPUExecutionProvider"])
        return _Engine(session, self._trt.cuda, self._trt)


class FakeLibrary(TensorRtLibrary):
    name = "fake_tensorrt"


class FakeRtxLibrary(TensorRtRtxLibrary):
    name = "fake_tensorrt_rtx"


def _array(address: int, value: Any) -> np.ndarray[Any, Any]:
    kind = np.dtype(_KINDS[value.type])
    count = int(np.prod(value.shape))
    memory = (ctypes.c_uint8 * (count * kind.itemsize)).from_address(address)
    return np.frombuffer(memory, kind).reshape(value.shape)
