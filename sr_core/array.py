"""A numpy image through an Upscaler: the Python API's `image(array)`.

Colour goes through as one packed frame (or a gray plane); alpha as a gray plane of its own, with
colour bled under transparent pixels first, so no halo appears. Constant alpha is not computed.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sr_core.alpha import bleed
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import Array, PixelFormat, Planes

DTYPES = ("uint8", "uint16", "float16", "float32")
_WANTED = "give (H, W) or (H, W, 1 to 4) of uint8, uint16, float16 or float32"
_WHOLE = "whole numbers of 0..255 are uint8: array.astype(numpy.uint8); of 0..65535 uint16"
_CONVERSIONS = {  # by numpy's kind of a dtype
    "b": "a mask is 0 and 255 as a picture: array.astype(numpy.uint8) * 255",
    "i": _WHOLE,
    "u": _WHOLE,
}


class PlaneUpscaler(Protocol):
    """What this package needs of `sr_core.upscaler.Upscaler`."""

    @property
    def scale(self) -> int: ...

    def planes(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Planes: ...


def upscale_image(
    upscaler: PlaneUpscaler,
    array: Array,
    *,
    is_premultiplied: bool = False,
    alpha_is_constant: bool | None = None,
) -> Array:
    """Return `array` enlarged by the upscaler's scale, in the same dtype and number of channels.

    Args:
        array: (H, W) or (H, W, C): gray, gray + alpha, RGB, RGB + alpha for C = 1, 2, 3, 4; uint8,
            uint16, or float16/float32 in 0..1; gamma-encoded as images are.
        is_premultiplied: colour is already multiplied by alpha; nothing is bled then.
        alpha_is_constant: None = look; a strip of a larger image says what holds for the whole.

    Raises:
        BadInput: another shape or type, no pixels, NaN or infinity.
    """
    fault, hint = _fault_of(array)
    if fault:
        raise BadInput(f"{fault}: got {array.dtype} {array.shape}", hint=hint)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.ndim == 2:
        return _enlarge(upscaler, array)
    channels = array.shape[2]
    if channels in (1, 3):
        return _enlarge(upscaler, array)
    color, alpha = array[..., :-1], array[..., -1]
    if not is_premultiplied:
        color = bleed(color, alpha)
    height, width = (side * upscaler.scale for side in alpha.shape)
    result = np.empty((height, width, channels), array.dtype)
    result[..., :-1] = _enlarge(upscaler, color)
    if alpha_is_constant is None:
        alpha_is_constant = bool((alpha == alpha[0, 0]).all())
    result[..., -1] = alpha[0, 0] if alpha_is_constant else _coverage(_enlarge(upscaler, alpha))
    return result


def _coverage(alpha: Array) -> Array:
    """Alpha where no float passes 0..1: a network may overshoot, coverage cannot."""
    return np.clip(alpha, 0, 1) if alpha.dtype.kind == "f" else alpha


def _fault_of(array: Array) -> tuple[str, str]:
    """What is wrong with `array`, and what to do about it; ('', '') where nothing is."""
    if array.dtype.name not in DTYPES:
        return "this sample type is not supported", _CONVERSIONS.get(array.dtype.kind, _WANTED)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        hint = _WANTED
        if array.ndim == 3 and array.shape[0] in (1, 2, 3, 4):
            hint = "channels come last, (H, W, C): array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = "one image at a time, (H, W, C): [upscaler.image(one) for one in array]"
        return "an image has 2 or 3 dimensions with 1 to 4 channels", hint
    if array.size == 0:
        return "an image has at least one pixel", _WANTED
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return "the image holds NaN or infinity", "numpy.nan_to_num(array) makes numbers of them"
    return "", ""


def _enlarge(upscaler: PlaneUpscaler, array: Array) -> Array:
    """(H, W), (H, W, 1) or (H, W, 3) through the network, as the same number of dimensions."""
    depth = array.dtype.itemsize * 8
    is_float = array.dtype.kind == "f"
    if array.ndim == 3 and array.shape[2] == 3:
        fmt = PixelFormat(family="rgb", layout="packed", depth=depth, is_float=is_float)
        return upscaler.planes((np.ascontiguousarray(array),), fmt, FULL_RANGE_RGB)[0]
    plane = np.ascontiguousarray(array.reshape(array.shape[:2]))
    fmt = PixelFormat(family="gray", depth=depth, is_float=is_float)
    large = upscaler.planes((plane,), fmt, FULL_RANGE_RGB)[0]
    return large.reshape(large.shape[:2] + array.shape[2:])
