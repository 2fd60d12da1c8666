"""MATLAB's `imresize(image, scale, 'bicubic')` on uint8 images, bit for bit.

Every table of the super-resolution literature rests on this one function. Its
recipe: a cubic kernel (a = -0.5) widened by the down-scaling factor, symmetric
borders, normalised weights; the vertical pass first, then the horizontal, and
after *each* pass round half up and clip to uint8. Leaving the inner rounding
out changes 7-15 % of the samples.
"""

import numpy as np
from numpy.typing import NDArray

from sr_core.graph.taps import cubic

Image8 = NDArray[np.uint8]
Plane = NDArray[np.float64]


def imresize(image: Image8, factor: float) -> Image8:
    """Resize an (H, W) or (H, W, C) uint8 image by `factor`; output sides are rounded up as MATLAB does."""
    rows = _codes(_resize_rows(image, factor))
    columns = _codes(_resize_rows(rows.swapaxes(0, 1), factor))
    return np.ascontiguousarray(columns.swapaxes(0, 1))


def imresize_float(image: Plane, factor: float) -> Plane:
    """The same on floating-point values: nothing is rounded or clipped."""
    rows = _resize_rows(image, factor)
    return _resize_rows(rows.swapaxes(0, 1), factor).swapaxes(0, 1)


def crop_to_multiple(image: Image8, multiple: int) -> Image8:
    """Cut the right and bottom edges so that both sides divide by `multiple`, as the papers do
    ("modcrop")."""
    height, width = image.shape[:2]
    return image[: height - height % multiple, : width - width % multiple]


def _output_length(length: int, factor: float) -> int:
    return int(np.ceil(length * factor - 1e-9))  # 1e-9: 99 * (1 / 3) must stay 33


def _codes(values: Plane) -> Image8:
    """Round half up and clip to uint8."""
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def _resize_rows(image: NDArray[np.generic], factor: float) -> Plane:
    """One pass along axis 0."""
    out_length = _output_length(image.shape[0], factor)
    taps, weights = _contributions(image.shape[0], out_length, factor)
    shape = (-1,) + (1,) * (image.ndim - 1)
    total = np.zeros((out_length, *image.shape[1:]), np.float64)
    for tap in range(taps.shape[1]):
        total += weights[:, tap].reshape(shape) * image[taps[:, tap]].astype(np.float64)
    return total


def _contributions(length: int, out_length: int, factor: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For each output row: the input rows it reads, and their weights. Both (out_length, taps)."""
    shrink = min(factor, 1.0)  # < 1: the kernel is widened against aliasing
    support = 4.0 / shrink
    centre = (np.arange(out_length) + 1) / factor + 0.5 * (1 - 1 / factor)  # 1-based, MATLAB's convention
    first = np.floor(centre - support / 2)
    indices = first[:, None] + np.arange(int(np.ceil(support)) + 2)
    weights = shrink * cubic(shrink * (centre[:, None] - indices))
    weights /= weights.sum(axis=1, keepdims=True)
    mirror = np.concatenate([np.arange(length), np.arange(length)[::-1]])
    taps = mirror[(indices.astype(np.intp) - 1) % (2 * length)]
    used = np.any(weights != 0, axis=0)
    return taps[:, used], weights[:, used]
