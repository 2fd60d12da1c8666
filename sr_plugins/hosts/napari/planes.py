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
from sr_image.in_memory import enlarge_in_strips
from sr_image.strips import StripUpscaler, resize_strips
from sr_plugins.client import scaled

NATIVE = ("uint8", "uint16")


class LayerData(Protocol):
    """numpy, dask or zarr: what a layer holds."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, index: tuple[int, ...]) -> Any: ...


def enlarge_planes(
    data: LayerData, upscaler: StripUpscaler, *, is_rgb: bool, scale: float | None = None, grain: float = 0.0
) -> Generator[float, None, Array]:
    """Yield the share done after each plane; return `data` with Y and X `scale` times as long.

    Args:
        scale: up to `upscaler.scale`, which None means; a smaller one is reached by a resize down.
        grain: film grain over each plane, 0 to 1, another for each.

    Raises:
        BadInput: fewer than two axes, samples that are no real numbers, NaN or infinity.
    """
    if len(data.shape) < (3 if is_rgb else 2) or np.dtype(data.dtype).kind not in "uif":
        raise BadInput(f"cannot enlarge {data.dtype} {tuple(data.shape)}", hint="choose an image of numbers")
    *stack, height, width = data.shape[:-1] if is_rgb else data.shape
    channels = data.shape[-1:] if is_rgb else ()
    scale = upscaler.scale if scale is None else scale
    size = scaled(width, scale), scaled(height, scale)
    result = np.empty((*stack, *size[::-1], *channels), data.dtype)
    count = int(np.prod(stack, dtype=np.int64))
    for number, index in enumerate(np.ndindex(*stack)):
        result[index] = enlarge_plane(np.asarray(data[index]), upscaler, size, grain=grain, moment=number)
        yield (number + 1) / count
    return result


def enlarge_plane(
    plane: Array, upscaler: StripUpscaler, size: tuple[int, int], *, grain: float = 0.0, moment: int = 0
) -> Array:
    """One plane (rows, columns[, 3 or 4]) of any number type, as `size` (width, height)."""
    samples = plane if plane.dtype.name in NATIVE or plane.dtype.kind == "f" else plane.astype(np.float64)
    pixels = samples if plane.ndim == 3 else samples[..., None]
    strips = enlarge_in_strips(pixels, upscaler, grain=grain, moment=moment)
    made = plane.shape[1] * upscaler.scale, plane.shape[0] * upscaler.scale
    if made != size:
        has_alpha = plane.ndim == 3 and plane.shape[2] == 4
        strips = resize_strips(strips, made, size, is_straight=has_alpha)
    large = np.concatenate([*strips])
    if plane.dtype != large.dtype:  # other integers went with the range they use
        limits = np.iinfo(plane.dtype)
        large = np.clip(np.rint(large), limits.min, limits.max).astype(plane.dtype)
    return large if plane.ndim == 3 else large[..., 0]
