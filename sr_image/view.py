"""An image as people see it on a plain screen: 8-bit RGB, upright, on gray where it is transparent."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sr_core.frame import Array
from sr_image.formats.reader import decode_frames, open_image
from sr_image.pipeline import orient


def to_rgb8(path: Path, *, max_pixels: int) -> Array:
    """The first frame of an image file as (H, W, 3) uint8.

    Raises:
        BadInput: not an image, a damaged one, or one with more pixels than `max_pixels`.
    """
    with open_image(path, max_pixels=max_pixels) as image:
        strips = [np.array(strip) for strip in next(decode_frames(image)).strips]
        return rgb8_seen(orient(np.concatenate(strips), image.header.orientation))


def rgb8_seen(pixels: Array) -> Array:
    """Samples of any depth, (H, W, 1 to 4 channels), as RGB of 8 bits."""
    values = pixels.astype(np.float64)
    if pixels.dtype.kind == "u":
        values /= np.iinfo(pixels.dtype).max
    if pixels.shape[2] in (2, 4):
        values = values[..., :-1] * values[..., -1:] + 0.5 * (1 - values[..., -1:])
    if values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    return np.ascontiguousarray(np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8))
