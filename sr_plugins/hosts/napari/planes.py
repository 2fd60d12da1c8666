"""A layer's data, plane by plane: grey or RGB, 2-D, stacks, time series. No napari here.

    (..., Y, X)   or   (..., Y, X, 3 or 4) with rgb     leading axes are enlarged one plane at a time

uint8 and uint16 go as they are; every other type as float, with its own range, and comes back in its
own type: nothing is clipped to 0..1.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

import numpy as np

from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.image.array import PlaneUpscaler, upscale_image
from sr_core.image.curve import Curve

NATIVE = ("uint8", "uint16")


class LayerData(Protocol):
    """numpy, dask or zarr: what a layer holds."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, index: tuple[int, ...]) -> Any: ...


def enlarged_planes(data: LayerData, upscaler: PlaneUpscaler, *, is_rgb: bool) -> Generator[float, None, Array]:
    """Yield the share done after each plane; return `data` with Y and X `upscaler.scale` times as long.

    Raises:
        BadInput: fewer than two axes, samples that are no real numbers, NaN or infinity.
    """
    if len(data.shape) < (3 if is_rgb else 2) or np.dtype(data.dtype).kind not in "uif":
        raise BadInput(f"cannot enlarge {data.dtype} {tuple(data.shape)}", hint="choose an image of numbers")
    *stack, height, width = data.shape[:-1] if is_rgb else data.shape
    channels = data.shape[-1:] if is_rgb else ()
    scale = upscaler.scale
    result = np.empty((*stack, height * scale, width * scale, *channels), data.dtype)
    count = int(np.prod(stack, dtype=np.int64))
    for number, index in enumerate(np.ndindex(*stack)):
        result[index] = enlarged_plane(np.asarray(data[index]), upscaler)
        yield (number + 1) / count
    return result


def enlarged_plane(plane: Array, upscaler: PlaneUpscaler) -> Array:
    """One plane (rows, columns[, 3 or 4]) of any number type."""
    if plane.dtype.name in NATIVE:
        return upscale_image(upscaler, np.ascontiguousarray(plane))
    color = plane[..., :3] if plane.ndim == 3 else plane
    low, high = float(color.min()), float(color.max())
    if not np.isfinite([low, high]).all():
        raise BadInput("the image holds NaN or infinity", hint="replace these pixels first")
    # from 0 or below to 1 or above: zero and relative brightness stay what they are
    curve = Curve(is_linear=False, low=low, high=high)
    if plane.dtype.kind in "ui":
        color = color.astype(np.float64)  # the curve takes an integer's full range for 1
    coded = plane.astype(np.float32)
    part = np.s_[..., :3] if plane.ndim == 3 else np.s_[...]
    coded[part] = curve.encode(color)
    large = upscale_image(upscaler, coded)
    result = large.astype(np.float64)
    result[part] = curve.decode(large[part], np.dtype(np.float64), is_linear_out=False)
    if plane.dtype.kind in "ui":
        limits = np.iinfo(plane.dtype)
        result = np.clip(np.rint(result), limits.min, limits.max)
    return result.astype(plane.dtype)
