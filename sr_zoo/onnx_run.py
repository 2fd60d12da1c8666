"""Run a model file as it is, in FP32: for checking and measuring, not for upscaling frames (`sr_core` does that)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_core.errors import BadModel

if TYPE_CHECKING:
    from onnx import ModelProto

PROBE_SEED = 7
Runner = Callable[[NDArray[Any]], NDArray[np.float32]]


def refuse_not_finite(made: NDArray[np.float32], name: str) -> None:
    """Weights that are damaged make no picture: black or noise would be written, and verified, as one.

    Raises:
        BadModel: `made`, what the model gives for noise in 0..1, holds NaN or infinity.
    """
    if not np.isfinite(made).all():
        raise BadModel(
            f"{name} gives NaN or infinity for an ordinary picture",
            hint="its weights are damaged, or overflowed when they were converted: get the file again",
        )


def probe_noise(shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """The same noise in 0..1 every time."""
    return np.random.default_rng(PROBE_SEED).random(shape).astype(np.float32)


def open_runner(model: ModelProto) -> Runner:
    """A function (N, C, H, W) -> (N, C, sH, sW) on OpenVINO, which every installation has; quantizers are left out.

    Raises (the runner, too):
        RuntimeError: OpenVINO's own, where the graph does not fit the batch.
    """
    from sr_core.graph.quantized import has_quantizers, remove_quantizers

    if has_quantizers(model):
        floats = type(model)()
        floats.CopyFrom(model)
        remove_quantizers(floats)
        model = floats
    has_branches = any(node.op_type == "If" for node in model.graph.node)
    compiled = None if has_branches else _compile(model)

    def run(batch: NDArray[Any]) -> NDArray[np.float32]:
        network = compiled
        if network is None:  # as `compose` does: OpenVINO gets the branch that is taken (sr_core.graph.static_shapes)
            from sr_core.graph.static_shapes import at_shape

            network = _compile(at_shape(model, batch.shape))
        result: NDArray[np.float32] = network(np.ascontiguousarray(batch))[0].copy()
        return result

    return run


def open_int8_runner(model: ModelProto) -> Runner:
    """The same with the model's quantizers, in INT8."""
    from sr_core.graph.quantized import store_weight_codes

    ready = type(model)()
    ready.CopyFrom(model)
    store_weight_codes(ready)
    compiled = _compile(ready)

    def run(batch: NDArray[Any]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = compiled(np.ascontiguousarray(batch))[0].copy()
        return result

    return run


def open_named_outputs(
    model: ModelProto, names: Sequence[str]
) -> Callable[[NDArray[Any]], dict[str, NDArray[np.float32]]]:
    """A function that gives the tensors `names` inside the network."""
    from onnx import TensorProto, helper

    opened = type(model)()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    opened.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    compiled = _compile(opened)

    def run(batch: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        results = compiled(np.ascontiguousarray(batch))
        return {name: results[place].copy() for place, name in enumerate(names)}

    return run


def _compile(graph: ModelProto) -> Any:
    from sr_core.backends.openvino_telemetry import telemetry_off

    with telemetry_off():
        import openvino

    core = openvino.Core()
    return core.compile_model(core.read_model(graph.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def open_other_runner(model: ModelProto) -> Runner:
    """The same on ONNX Runtime, which shares no code with OpenVINO: to check one against the other.

    Raises (the runner, too):
        RuntimeError: ONNX Runtime's own, or its package is not installed.
    """
    if find_spec("onnxruntime") is None:
        raise RuntimeError("the package onnxruntime is not installed")
    from sr_core.backends.onnxruntime_telemetry import telemetry_off

    with telemetry_off():
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise RuntimeError(str(error)) from error
    name = session.get_inputs()[0].name

    def run(batch: NDArray[Any]) -> NDArray[np.float32]:
        try:
            result: NDArray[np.float32] = session.run(None, {name: np.ascontiguousarray(batch)})[0]
        except Exception as error:  # as above
            raise RuntimeError(str(error)) from error
        return result

    return run
