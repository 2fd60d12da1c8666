"""ONNX Runtime: whatever its execution providers reach (CUDA, DirectML, CoreML, CPU), in FP32."""

from __future__ import annotations

import queue
from collections.abc import Sequence

import numpy as np

from sr_core.backend import ComposedGraph, Deliver, Precision, Progress, plane_of, usable_cpus
from sr_core.backends.cuda import find_gpus, gpu_at
from sr_core.backends.onnxruntime_telemetry import telemetry_off
from sr_core.errors import EngineError, NotAvailable
from sr_core.frame import Array
from sr_core.network import merged_base
from sr_core.wording import counted

with telemetry_off():
    import onnxruntime as ort

_PREFERRED = ("CUDAExecutionProvider", "DmlExecutionProvider", "CoreMLExecutionProvider")


class OnnxRuntime:
    """The first provider of CUDA, DirectML and CoreML that the installed package has, else the CPU.

    Raises:
        NotAvailable: `device_index` is given, and there is no such GPU or none at all.
    """

    name = "onnxruntime"
    plane_device = None

    def __init__(self, *, threads: int | None = None, device_index: int | None = None) -> None:
        available = ort.get_available_providers()
        self._provider = next((entry for entry in _PREFERRED if entry in available), "CPUExecutionProvider")
        self._options = {} if device_index is None else {"device_id": str(_checked(device_index, self._provider))}
        on_cpu = self._provider == "CPUExecutionProvider"
        self.contexts = (threads or usable_cpus()) if on_cpu else 2
        self.tunes_tiles = on_cpu
        which = "" if device_index is None else f" {device_index}"
        self.device = f"{self._provider.removesuffix('ExecutionProvider')}{which}, {counted(self.contexts, 'context')}"
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
                merged_base(graph.model).SerializeToString(), options, providers=[(self._provider, self._options)]
            )
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise EngineError(f"ONNX Runtime cannot load the graph: {error}") from error
        return OnnxRuntimeSession(session, graph, self.contexts)


class OnnxRuntimeSession:
    """One session, `contexts` sets of input tensors."""

    precision = "f32"

    def __init__(self, session: ort.InferenceSession, graph: ComposedGraph, contexts: int) -> None:
        self.contexts = contexts
        self._session: ort.InferenceSession | None = session
        self._names = graph.output_names
        self._slots: queue.SimpleQueue[dict[str, Array]] = queue.SimpleQueue()
        for _ in range(contexts):
            self._slots.put({value.name: _empty(value) for value in session.get_inputs()})

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        """See `sr_core.backend.Session.run`."""
        slot = self._slots.get()
        try:
            for (name, tensor), plane in zip(slot.items(), planes, strict=True):
                np.copyto(plane_of(tensor, name), plane)
            if self._session is None:
                raise EngineError("this session is closed")
            try:
                outputs = self._session.run(list(self._names), slot)
            except Exception as error:  # as above: no common base class
                raise EngineError(f"ONNX Runtime failed while running: {error}") from error
            deliver([plane_of(tensor, name) for name, tensor in zip(self._names, outputs, strict=True)])
        finally:
            self._slots.put(slot)

    def close(self) -> None:
        """Free the session."""
        self._session = None


def _checked(index: int, provider: str) -> int:
    """`index`, if `provider` has numbered devices and there is such a one."""
    if provider == "CUDAExecutionProvider":
        return gpu_at(index, find_gpus()).index
    if provider != "DmlExecutionProvider":
        raise NotAvailable(
            f"onnxruntime reaches no GPU {index} here, only {provider.removesuffix('ExecutionProvider')}",
            hint="leave --device out, or: pip install 'srvid[cuda]'",
        )
    return index


def _empty(value: ort.NodeArg) -> Array:
    kinds = {"uint8": np.uint8, "uint16": np.uint16, "float": np.float32, "float16": np.float16}
    return np.empty(value.shape, kinds[value.type.removeprefix("tensor(").removesuffix(")")])
