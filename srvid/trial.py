"""A foreign model is tried on the chosen backend before it is used: one tile, against the same graph in FP32.

What import accepts, a run accepts: a backend that cannot run the graph, or computes something else, is found
here, in one line, and not an hour into a video. Done once for a model, a backend and a version: import has
compared the graph in FP32 with the file's own runtime (`sr_zoo.adopting`), this is the other half. TensorRT's
engines are checked when they are built (`trt_build.check`), so they are not run here.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

import numpy as np

from sr_core.backend import open_backend
from sr_core.errors import BadModel, EngineError
from sr_core.storage import cache_path, find_in_cache, keep_in_cache
from sr_core.wording import option
from srvid.backend_choice import NVIDIA

if TYPE_CHECKING:
    from onnx import ModelProto

    from sr_core.backend import Backend, Session
    from sr_core.frame import Array
    from sr_core.model_spec import ModelSpec

SAME_DB = 40.0  # of 8 fewer bits (bf16) still 50; something else computed gives 5 to 20
_SIDE = 48  # input pixels, at least


def try_once(proto: ModelProto, spec: ModelSpec, backend: Backend) -> float | None:
    """How near `backend` comes to FP32 on one tile, in dB; None where it is not tried.

    Raises:
        BadModel: it does not run there, or computes something else.
    """
    if backend.name in NVIDIA or backend.name not in ("openvino", "onnxruntime"):
        return None
    key = hashlib.sha256(proto.SerializeToString(deterministic=True))
    key.update(f"{backend.name} {getattr(backend, 'version', '')} {backend.device}".encode())
    mark = cache_path("imported") / f"{key.hexdigest()[:32]}.tried"
    if (known := find_in_cache(mark)) is not None:
        return float(json.loads(known))
    psnr_db = _try(proto, spec, backend)
    keep_in_cache(mark, json.dumps(min(psnr_db, 999.0)).encode())
    return psnr_db


def _try(proto: ModelProto, spec: ModelSpec, backend: Backend) -> float:
    from sr_core.color import FULL_RANGE_RGB
    from sr_core.difference import difference
    from sr_core.frame import rgb
    from sr_core.graph.compose import compose
    from sr_zoo.reasons import reason_of, unknown_operators

    step = spec.size_multiple
    side = -(-max(_SIDE, spec.smallest) // step) * step
    width, height = spec.fixed_size or (side, side)
    fmt = rgb(packed=True)
    pixels = _grainy_picture(width, height)
    try:
        composed = compose(proto, spec, fmt, FULL_RANGE_RGB, width=width, height=height)
        actual = _run(backend.open(composed), pixels)
        expected = _run(backend.open(composed, precision="exact"), pixels) if _has_f32(backend) else None
    except EngineError as error:
        unknown = unknown_operators(error)
        reason = f"it uses operators that are unknown there: {unknown}" if unknown else reason_of(error)
        other = "openvino" if backend.name == "onnxruntime" else "onnxruntime"
        raise BadModel(
            f"{spec.name} does not run on {backend.name}: {reason}", hint=f"try {option('backend', other)}"
        ) from error
    if expected is None:
        try:
            expected = _run(open_backend("openvino", threads=1).open(composed, precision="exact"), pixels)
        except EngineError:
            return math.inf  # it runs here only: there is nothing to compare with
    psnr_db = difference(actual, expected, peak=255.0).psnr_db
    if psnr_db < SAME_DB:
        raise BadModel(
            f"{spec.name} computes something else on {backend.name} than in FP32 ({psnr_db:.0f} dB)",
            hint=f"use {option('precision', 'exact')}, or report it with the file",
        )
    return psnr_db


def _grainy_picture(width: int, height: int) -> Array:
    """Colours and grain as a camera gives them: quantizers are made for pictures, and clip what white noise excites.

    In INT8 our own networks come within 50 to 53 dB of FP32 on it, and within 23 to 27 on noise.
    """
    from sr_core.testing import picture

    grain = np.random.default_rng(1).normal(0, 12, (height, width, 3))
    shown: Array = np.clip(picture(width, height) * 255 + grain, 0, 255).round().astype(np.uint8)
    return shown


def _has_f32(backend: Backend) -> bool:
    return backend.name == "openvino" and backend.on_cpu


def _run(session: Session, pixels: Array) -> Array:
    """`pixels` [H, W, 3] enlarged; the session is closed."""
    kept: list[Array] = []
    try:
        session.run([pixels], lambda outputs: kept.append(outputs[0].copy()))
    finally:
        session.close()
    return kept[0]
