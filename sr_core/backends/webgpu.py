"""Any GPU with Vulkan, Direct3D 12 or Metal (AMD, Intel, Apple, NVIDIA), by ONNX Runtime's WebGPU plug-in, in FP32.

The graph is composed so that no node falls back to the CPU (`sr_core.graph.webgpu_form`). ONNX Runtime offers one
device, and Dawn, which stands behind the plug-in, takes the GPU that the driver puts first.
A CPU that pretends to be a GPU is not offered unless ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1: so tests run.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from sr_core.backend import ComposedGraph, Precision, Progress
from sr_core.backends.onnxruntime import OnnxRuntimeSession
from sr_core.backends.onnxruntime_telemetry import telemetry_off
from sr_core.backends.vulkan import first_adapter, first_is_cpu, is_software
from sr_core.errors import EngineError, NotAvailable, failure_of_engine
from sr_core.graph.network import merge_base
from sr_core.graph.webgpu_form import for_webgpu
from sr_core.wording import option

with telemetry_off():
    import onnxruntime as ort
import onnxruntime_ep_webgpu as plugin

_CONTEXTS = 2  # one tile computes while the next is copied; the provider runs one at a time
_registering = threading.Lock()
_registered: list[str] = []


class WebGpu:
    """The GPU that Dawn takes.

    Raises:
        NotAvailable: no GPU or no driver for it, a number was asked for, or the GPU does not compute.
    """

    name = "webgpu"
    plane_device = None
    on_cpu = False
    contexts = _CONTEXTS

    def __init__(self, *, threads: int | None = None, device_index: int | None = None) -> None:
        del threads
        if device_index is not None:
            raise NotAvailable(
                f"webgpu takes the GPU that the driver puts first, not GPU {device_index}",
                hint=f"leave {option('device')} out",
            )
        self._offered = _offered()
        self.device = _name_of(self._offered)
        is_cpu = self._offered.device.type == ort.OrtHardwareDeviceType.CPU
        self.is_software = is_cpu or first_is_cpu() or is_software(self.device)
        self.version = f"{plugin.__version__ if hasattr(plugin, '__version__') else ''} on {ort.__version__}".strip()
        self._sums_exactly = self._probe()

    def open(
        self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None
    ) -> OnnxRuntimeSession:
        """Load `graph`; its shaders are compiled at the first run. Every precision is FP32 here."""
        del precision, progress
        model = for_webgpu(merge_base(graph.model), sums_exactly=self._sums_exactly)
        return OnnxRuntimeSession(self._load(model), graph, self.contexts)

    def _load(self, model: onnx.ModelProto) -> ort.InferenceSession:
        try:
            session = ort.InferenceSession(model.SerializeToString(), self.session_options())
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise failure_of_engine(f"WebGPU cannot load the graph: {error}") from error
        if session.get_providers()[0] != plugin.get_ep_name():
            raise EngineError(f"ONNX Runtime runs the graph on {session.get_providers()[0]} instead of WebGPU")
        return session

    def session_options(self) -> ort.SessionOptions:
        """For this GPU alone, besides the CPU for what it cannot run."""
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.add_provider_for_devices([self._offered], {})
        return options

    def _probe(self) -> bool:
        """Whether 3 * 2^22 rounds here; also whether this GPU computes at all."""
        probe = onnx.ModelProto()
        graph = helper.make_graph(
            [helper.make_node("Round", ["x"], ["y"])],
            "probe",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        )
        probe = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        try:
            (found,) = self._load(for_webgpu(probe)).run(None, {"x": np.array([0.5, 1.5, 2.5, 254.5], np.float32)})
        except Exception as error:  # as above
            raise NotAvailable(f"the GPU {self.device} does not compute: {error}", hint="update its driver") from error
        return bool(np.array_equal(found, [0, 2, 2, 254]))


def _offered() -> Any:
    """ONNX Runtime's device for WebGPU."""
    with _registering:
        if not _registered:
            path = plugin.get_library_path()
            try:
                ort.register_execution_provider_library("webgpu", path)
            except Exception as error:  # as above
                raise NotAvailable(f"the WebGPU plug-in does not load: {error}", hint="update onnxruntime") from error
            _registered.append(path)
    offered = [device for device in ort.get_ep_devices() if device.ep_name == plugin.get_ep_name()]
    if not offered:
        raise NotAvailable(
            "no GPU with Vulkan, Direct3D 12 or Metal was found",
            hint="install the GPU's driver; in containers the GPU has to be handed in",
        )
    return next((device for device in offered if device.device.type == ort.OrtHardwareDeviceType.GPU), offered[0])


def _name_of(offered: Any) -> str:
    """What people call it: Vulkan's name, else what the system tells ONNX Runtime."""
    hardware = offered.device
    known = first_adapter() or hardware.metadata.get("Description")
    return str(known or f"{hardware.vendor or 'GPU'} {hardware.vendor_id:04x}:{hardware.device_id:04x}")
