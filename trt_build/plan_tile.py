"""The largest tile whose engine fits a memory budget, from the builder's own figures.

    memory(tile) = activations + weights + (SLOTS + 1) x (input planes + output planes) + what CUDA takes

Activations grow with the tile's area (above about 400x400; below, a fixed part hides it), so two
builds give a line, and each further build at its crossing with the budget a better one. The
builder states the figures without a GPU (TensorRT-RTX).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from sr_core.backend import ComposedGraph, Progress
from sr_core.backends.tensorrt_library import TensorRtLibrary
from sr_core.backends.tensorrt_session import SLOTS
from sr_core.engine_key import BuildOptions, GpuFacts
from sr_core.errors import BadInput
from sr_core.tiles.tiling import round_up
from sr_core.wording import option
from trt_build.build import SerializedEngine, serialize_engine
from trt_build.byte_planes import with_byte_planes
from trt_build.check import CHECK_SIDE_PX, lower_and_check
from trt_build.forms import Form, form_called
from trt_build.fp16 import lower_to_fp16

# What no builder states. An estimate: only a card can tell, and benchmarks/trt_gpu.py asks it.
#   CUDA's context, modules loaded lazily (default since 12.2)   274 MiB  pytorch/pytorch#86509
#   NVDEC's surfaces, 1080p NV12: 20 of 3 MiB                     60 MiB  4K P010 takes 475 MiB
#   kernels that TensorRT-RTX compiles on the card, a desktop    178 MiB  the rest of half a GiB
RESERVED_BYTES = 512 << 20
PROBES_PX = (256, 640)  # sides of the two builds that give the line
LARGEST_PX = 4096
SMALLEST_PX = 64
_ATTEMPTS = 5
_CLOSE_ENOUGH = 0.97  # of the budget: another build would gain less than it costs

ComposeAt = Callable[[int, int], ComposedGraph]


@dataclass(frozen=True, kw_only=True)
class TileChoice:
    """A square tile and the device memory a session with it needs, CUDA's own share included."""

    side_px: int
    needed_bytes: int
    activation_bytes: int


def largest_tile(
    native: TensorRtLibrary,
    compose_at: ComposeAt,
    *,
    budget_bytes: int,
    target: str,
    align: int = 2,
    gpu: GpuFacts | None = None,
    largest_px: int = LARGEST_PX,
    progress: Progress | None = None,
) -> TileChoice:
    """The largest square tile, a multiple of `align`, whose session fits into `budget_bytes`.

    Raises:
        BadInput: not even the smallest tile fits.
        BadModel, EngineError: the graph does not build.
    """

    form = lower_and_check(compose_at(*[round_up(min(CHECK_SIDE_PX, largest_px), align)] * 2)).form

    def measure(side: int) -> TileChoice:
        return _measure(native, form_called(form, compose_at(side, side)), side, target, gpu)

    tried = [measure(round_up(min(side, largest_px), align)) for side in PROBES_PX]
    for attempt in range(_ATTEMPTS):
        side = _next_side(tried, budget_bytes, align, largest_px)
        if side is None:
            break
        if progress is not None:
            progress(f"trying {side}x{side}", (attempt + 1) / (_ATTEMPTS + 1))
        tried.append(measure(side))
    fitting = [choice for choice in tried if choice.needed_bytes <= budget_bytes]
    if fitting:
        return max(fitting, key=lambda choice: choice.side_px)
    least = min(tried, key=lambda choice: choice.side_px)
    raise BadInput(
        f"no tile fits into {budget_bytes >> 20} MiB: {least.side_px}x{least.side_px} "
        f"needs {least.needed_bytes >> 20} MiB",
        hint=f"give a larger {option('vram')}, or choose a smaller model",
    )


def _next_side(tried: list[TileChoice], budget_bytes: int, align: int, largest_px: int) -> int | None:
    """Where the line through the two nearest figures meets the budget, or None where that is known."""
    fits = max((choice.side_px for choice in tried if choice.needed_bytes <= budget_bytes), default=0)
    over = min((choice.side_px for choice in tried if choice.needed_bytes > budget_bytes), default=largest_px + align)
    best = max((choice.needed_bytes for choice in tried if choice.side_px == fits), default=0)
    if best > _CLOSE_ENOUGH * budget_bytes or over - fits <= align:
        return None
    near = sorted(
        {choice.side_px: choice for choice in tried}.values(), key=lambda c: abs(c.needed_bytes - budget_bytes)
    )
    slope, constant = _line(sorted(near[:2], key=lambda choice: choice.side_px))
    side = int(max((budget_bytes - constant) / slope, 1.0) ** 0.5) // align * align
    side = min(max(side, fits + align, round_up(SMALLEST_PX, align)), over - align)
    return side if side > fits and side >= SMALLEST_PX else None


def _measure(native: TensorRtLibrary, form: Form, side: int, target: str, gpu: GpuFacts | None) -> TileChoice:
    """Build for the figures alone: in the form that a small tile passed the check in, not checked again, not kept."""
    model, added = with_byte_planes(form.model)
    lowered = lower_to_fp16(model, form.keep_fp32 | added)
    serialized = serialize_engine(native, lowered.SerializeToString(), target=target, options=BuildOptions(), gpu=gpu)
    return TileChoice(
        side_px=side,
        needed_bytes=session_bytes(lowered, serialized) + RESERVED_BYTES,
        activation_bytes=serialized.activation_bytes,
    )


def session_bytes(model: onnx.ModelProto, serialized: SerializedEngine) -> int:
    """Device memory of one session: activations, weights, and every slot's planes."""
    planes = 0
    for value in (*model.graph.input, *model.graph.output):
        tensor = value.type.tensor_type
        samples = int(np.prod([dim.dim_value for dim in tensor.shape.dim]))
        planes += samples * np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).itemsize
    return serialized.activation_bytes + serialized.weights_bytes + (SLOTS + 1) * planes


def _line(probes: list[TileChoice]) -> tuple[float, float]:
    """Bytes a pixel, and bytes whatever the size."""
    small, large = probes[0], probes[-1]
    area = max(large.side_px**2 - small.side_px**2, 1)
    slope = max((large.needed_bytes - small.needed_bytes) / area, 1.0)
    return slope, small.needed_bytes - slope * small.side_px**2
