"""ONNX Runtime: whatever its execution providers reach (CUDA, MIGraphX, DirectML, CoreML, CPU), in FP32."""

from __future__ import annotations

import io
import queue
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import numpy as np

from sr_core.backend import ComposedGraph, Deliver, Precision, Progress, plane_of, usable_cpus
from sr_core.backends.cuda import find_gpus, gpu_at
from sr_core.backends.onnxruntime_telemetry import telemetry_off
from sr_core.errors import EngineError, NotAvailable, failure_of_engine
from sr_core.frame import Array
from sr_core.graph.network import merge_base
from sr_core.wording import count_of, option

with telemetry_off():
    import onnxruntime as ort

if TYPE_CHECKING:
    from onnx import ValueInfoProto

_PREFERRED = (  # NVIDIA's, AMD's on Linux, any of Windows', Apple's; a package has one of them
    "CUDAExecutionProvider",
    "MIGraphXExecutionProvider",
    "DmlExecutionProvider",
    "CoreMLExecutionProvider",
)


class OnnxRuntime:
    """The first provider of CUDA, MIGraphX, DirectML and CoreML that the installed package has, else the CPU.

    Raises:
        NotAvailable: `device_index` is given, and there is no such GPU or none at all.
    """

    name = "onnxruntime"
    plane_device = None

    def __init__(self, *, threads: int | None = None, device_index: int | None = None) -> None:
        available = ort.get_available_providers()
        self._provider = next((entry for entry in _PREFERRED if entry in available), "CPUExecutionProvider")
        self._options = {} if device_index is None else {"device_id": str(_check(device_index, self._provider))}
        if self._provider == "CUDAExecutionProvider":
            self._options |= {"use_tf32": "0"}  # 10 bits of mantissa, in what is called FP32
            _start_cuda(self._options)
        on_cpu = self._provider == "CPUExecutionProvider"
        self.contexts = (threads or usable_cpus()) if on_cpu else 2
        self.on_cpu = on_cpu
        which = "" if device_index is None else f" {device_index}"
        self.device = f"{self._provider.removesuffix('ExecutionProvider')}{which}, {count_of(self.contexts, 'context')}"
        self.version = str(ort.__version__)

    def open(
        self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None
    ) -> OnnxRuntimeSession:
        """Load `graph`; every precision is FP32 here."""
        del precision, progress
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # one context per thread; several threads would fight
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = ort.InferenceSession(
                merge_base(graph.model).SerializeToString(), options, providers=[(self._provider, self._options)]
            )
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise failure_of_engine(f"ONNX Runtime cannot load the graph: {error}") from error
        if (taken := session.get_providers()[0]) != self._provider:  # its way of saying that a device does not start
            raise EngineError(
                f"ONNX Runtime runs the graph on {taken} instead of {self._provider}",
                hint=f"update the GPU's driver, or use {option('backend', 'openvino')}",
            )
        return OnnxRuntimeSession(session, graph, self.contexts)


class OnnxRuntimeSession:
    """One session, `contexts` sets of input tensors."""

    precision = "f32"

    def __init__(self, session: ort.InferenceSession, graph: ComposedGraph, contexts: int) -> None:
        self.contexts = contexts
        self._session: ort.InferenceSession | None = session
        self._names = graph.output_names
        self._slots: queue.SimpleQueue[dict[str, Array]] = queue.SimpleQueue()
        self._types = {value.name: _dtype(value) for value in graph.model.graph.output}
        for _ in range(contexts):
            self._slots.put({value.name: _empty(value) for value in session.get_inputs()})

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        """See `sr_core.backend.Session.run`."""
        slot = self._slots.get()
        try:
            for (name, tensor), plane in zip(slot.items(), planes, strict=True):
                is_bytes = plane.dtype == np.uint16 and tensor.dtype == np.uint8  # see `sr_core.graph.webgpu_form`
                np.copyto(plane_of(tensor.view(np.uint16) if is_bytes else tensor, name), plane)
            if self._session is None:
                raise EngineError("this session is closed")
            try:
                outputs = self._session.run(list(self._names), slot)
            except Exception as error:  # as above: no common base class
                raise failure_of_engine(f"ONNX Runtime failed while running: {error}") from error
            deliver(
                [
                    plane_of(_as(tensor, self._types[name]), name)
                    for name, tensor in zip(self._names, outputs, strict=True)
                ]
            )
        finally:
            self._slots.put(slot)

    def end_profiling(self) -> str:
        """The file that says where each node ran, if its options asked for one."""
        if self._session is None:
            raise EngineError("this session is closed")
        return str(self._session.end_profiling())

    def close(self) -> None:
        """Free the session."""
        self._session = None


def _start_cuda(options: dict[str, str]) -> None:
    """Load NVIDIA's libraries and open a session of one node: ONNX Runtime falls to the CPU without a word.

    Raises:
        NotAvailable: it does.
    """
    said = io.StringIO()
    with redirect_stdout(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if hasattr(ort, "preload_dlls"):
            ort.preload_dlls(directory="")  # from the packages that srvid[cuda] brings
        session = _one_node(("CUDAExecutionProvider", options))
    if session.get_providers()[0] != "CUDAExecutionProvider":
        missing = [line for line in said.getvalue().splitlines() if line.startswith("Failed to load")]
        raise NotAvailable(
            f"onnxruntime has CUDA, but it does not start here{': ' if missing else ''}{'; '.join(missing[:2])}",
            hint=f"pip install 'srvid[cuda]' brings CUDA's libraries; or use {option('backend', 'openvino')}",
        )


def _one_node(provider: tuple[str, dict[str, str]]) -> ort.InferenceSession:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=[provider, "CPUExecutionProvider"])


def _check(index: int, provider: str) -> int:
    """`index`, if `provider` has numbered devices and there is such a one."""
    if provider == "CUDAExecutionProvider":
        return gpu_at(index, find_gpus()).index
    if provider not in ("DmlExecutionProvider", "MIGraphXExecutionProvider"):
        raise NotAvailable(
            f"onnxruntime reaches no GPU {index} here, only {provider.removesuffix('ExecutionProvider')}",
            hint=f"leave {option('device')} out, or: pip install 'srvid[cuda]'",
        )
    return index


def _empty(value: ort.NodeArg) -> Array:
    kinds = {"uint8": np.uint8, "uint16": np.uint16, "float": np.float32, "float16": np.float16}
    return np.empty(value.shape, kinds[value.type.removeprefix("tensor(").removesuffix(")")])


def _as(tensor: Array, dtype: np.dtype[np.generic]) -> Array:
    """What the session made as samples of `dtype`: itself, its bytes, or the same numbers, narrower."""
    return tensor.view(dtype) if tensor.dtype == np.uint8 else tensor.astype(dtype, copy=False)


def _dtype(value: ValueInfoProto) -> np.dtype[np.generic]:
    from onnx import helper

    dtype: np.dtype[np.generic] = np.dtype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    return dtype
