"""Run a model file as it is, in FP32: for checking and measuring, not for upscaling frames (`sr_core` does that)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sr_core.errors import BadModel

if TYPE_CHECKING:
    from onnx import ModelProto

PROBE_SEED = 7
Runner = Callable[[NDArray[np.float32]], NDArray[np.float32]]


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
    """A function (N, C, H, W) -> (N, C, sH, sW) on OpenVINO, which every installation has.

    Raises (the runner, too):
        RuntimeError: OpenVINO's own, where the graph does not fit the batch.
    """
    from sr_core.backends.openvino_telemetry import telemetry_off

    with telemetry_off():
        import openvino

    core = openvino.Core()
    graph = core.read_model(model.SerializeToString())
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = compiled(np.ascontiguousarray(batch))[0].copy()
        return result

    return run
