"""How close a graph in fewer bits comes to FP32, in codes, on a picture like a photograph.

The picture has amplitudes that fall with frequency (1/f, as photographs have) and hard edges. Noise around
smooth ramps, the gate before, put good networks below bad ones: clear-x4 read 55.8 dB there and reads 59.4 here,
espcn-x2 56.0 and 56.1; on photographs they have 65.5 and 60.9.

Note [least fidelity]: one error in RGB gives all three thresholds. Rounded to 8-bit codes, a small error e
changes E|e| of the samples by one: 57.5 dB is one code on 12 % of the samples, 63 dB at 10 bits the same
error. From 12 bits on, and for floats, hardly anything is hidden by rounding: 65 dB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sr_core.backend import ComposedGraph, DirectSession, Session, plane_of
from sr_core.difference import difference
from sr_core.frame import Array

if TYPE_CHECKING:
    from onnx import ValueInfoProto

LEAST_DB = ((8, 57.5), (10, 63.0))  # up to that many bits; see Note [least fidelity]
LEAST_DEEPER_DB = 65.0
_LUMA_MEAN, _LUMA_DEVIATION, _CHROMA_DEVIATION = 0.45, 0.126, 0.05  # as photographs have, of full scale
_DISCS = 6  # edges: their heights, and radii as a share of the side, are drawn from these
_RISE, _RADIUS = (-0.35, 0.35), (0.08, 0.3)


def least_db(graph: ComposedGraph) -> float:
    """What a graph of this depth must reach."""
    if _is_float(graph):
        return LEAST_DEEPER_DB
    return next((db for bits, db in LEAST_DB if graph.depth <= bits), LEAST_DEEPER_DB)


def fidelity_db(session: Session | DirectSession, reference: Session | DirectSession, graph: ComposedGraph) -> float:
    """PSNR of `session` against `reference` on the gate's picture: the worst plane's."""
    planes = gate_planes(graph)
    peak = 1.0 if _is_float(graph) else float(((1 << graph.depth) - 1) << graph.shift)
    pairs = zip(run_once(session, planes, graph), run_once(reference, planes, graph), strict=True)
    return min(difference(actual, expected, peak=peak).psnr_db for actual, expected in pairs)


def gate_planes(graph: ComposedGraph) -> list[Array]:
    """The picture as planes of `graph`'s inputs; the same at every call."""
    from onnx import helper

    random = np.random.default_rng(0)
    peak = 1.0 if _is_float(graph) else float((1 << graph.depth) - 1)
    planes = []
    for value in graph.model.graph.input:
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        plane = plane_of(np.empty(_shape(value), dtype), value.name)
        is_chroma = value.name in ("u", "v", "uv")
        for layer in [plane] if plane.ndim == 2 else np.moveaxis(plane, -1, 0):
            picture = _natural(random, *layer.shape, is_chroma=is_chroma) * peak
            layer[:] = picture if _is_float(graph) else np.rint(picture) * (1 << graph.shift)
        planes.append(plane)
    return planes


def run_once(session: Session | DirectSession, planes: Sequence[Array], graph: ComposedGraph) -> list[Array]:
    """The output planes of one run, the caller's own."""
    kept: list[Array] = []
    if isinstance(session, DirectSession):
        kept = [np.empty(shape, planes[0].dtype) for shape in output_shapes(planes, graph)]
        session.run_into(planes, kept, [(0, 0)] * len(kept))
    else:
        session.run(planes, lambda outputs: kept.extend(plane.copy() for plane in outputs))
    return kept


def output_shapes(planes: Sequence[Array], graph: ComposedGraph) -> list[tuple[int, ...]]:
    """Each output is its input, enlarged."""
    return [(plane.shape[0] * graph.scale, plane.shape[1] * graph.scale, *plane.shape[2:]) for plane in planes]


def _natural(random: np.random.Generator, height: int, width: int, *, is_chroma: bool) -> npt.NDArray[np.float64]:
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    noise = random.normal(size=(2, *frequency.shape))
    field = np.fft.irfft2((noise[0] + 1j * noise[1]) / frequency, (height, width))
    field /= max(float(field.std()), 1e-6)  # a single pixel has no deviation
    if is_chroma:
        return np.clip(0.5 + _CHROMA_DEVIATION * field, 0.1, 0.9)
    picture = _LUMA_MEAN + _LUMA_DEVIATION * field
    y, x = np.mgrid[:height, :width]
    for _ in range(_DISCS):
        row, column = random.uniform(0, height), random.uniform(0, width)
        inside = np.hypot(y - row, x - column) < random.uniform(*_RADIUS) * min(height, width)
        picture += random.uniform(*_RISE) * inside
    return np.clip(picture, 0.08, 0.92)


def _is_float(graph: ComposedGraph) -> bool:
    from onnx import TensorProto

    return graph.model.graph.input[0].type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16)


def _shape(value: ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
