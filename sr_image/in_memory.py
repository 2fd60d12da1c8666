"""An image in memory enlarged strip by strip: what image programs hand over.

    pixels ─► range ─► strips ─► curve ─► upscaler ─► curve ─► own rows

Strips equal the whole image where the network's reach is finite; a network without a finite reach
gets the whole image at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from sr_core.array import DTYPES
from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.grain import KEEP, given_to, lay_on_strips
from sr_core.lost_grain import LostGrain
from sr_image.color.curve import Curve, samples_from_unit
from sr_image.strips import StripUpscaler, context_rows, enlarge_strips

STRIP_PIXELS = 1 << 20  # input pixels of a strip: a 12-megapixel photo shows progress a dozen times
LEAST_HALOS = 8  # a strip reads at least so many halos, or its context costs more than itself


def enlarge_in_strips(
    pixels: Array,
    upscaler: StripUpscaler,
    *,
    is_linear: bool = False,
    is_premultiplied: bool = False,
    rgb_order: Sequence[int] | None = None,
    grain: float | Literal["keep"] = 0.0,
    moment: int = 0,
) -> Iterator[Array]:
    """Yield the rows of the result, top to bottom, in the samples and channel order of `pixels`.

    Args:
        pixels: (H, W, C): gray, gray + alpha, RGB, RGB + alpha for C = 1, 2, 3, 4; unsigned integers, or
            floats of any range, which is kept.
        is_linear: the samples are linear light, not gamma-encoded.
        is_premultiplied: colour is already multiplied by alpha.
        rgb_order: which channels are red, green, blue (and alpha), where they do not stand so; its own inverse.
        grain: film grain over the colors, 0 to 1, another for each `moment`; or 'keep', for which all rows are made
            before the first is handed out (`sr_core.grain`).

    Raises:
        BadInput: NaN or infinity in the colours.
    """
    height, width, channels = pixels.shape
    has_alpha = channels % 2 == 0
    curve = range_curve(pixels[..., : channels - has_alpha], is_linear=is_linear)
    samples = _Samples(pixels.dtype, curve, has_alpha=has_alpha)
    alpha = pixels[..., -1]
    rows = _rows(upscaler.halo_px, width, height)
    order = slice(None) if rgb_order is None else list(rgb_order)
    lost = LostGrain() if grain == KEEP else None
    strips = enlarge_strips(
        upscaler,
        given_to(lost, (samples.encode(pixels[top : top + rows][..., order]) for top in range(0, height, rows))),
        rows=rows,
        context=context_rows(upscaler.halo_px) if upscaler.halo_px is not None else 0,
        is_premultiplied=is_premultiplied,
        alpha_is_constant=has_alpha and bool((alpha == alpha[0, 0]).all()),
    )
    for strip in lay_on_strips(strips, grain, lost=lost, moment=moment, is_premultiplied=is_premultiplied):
        yield samples.decode(strip)[..., order]


def range_curve(color: Array, *, is_linear: bool) -> Curve:
    """The curve that brings the whole image's range to what networks are trained on.

    From 0 or below to 1 or above: zero and relative brightness stay what they are.

    Raises:
        BadInput: NaN or infinity.
    """
    if color.dtype.kind == "u":
        return Curve(is_linear=is_linear)
    low, high = float(color.min()), float(color.max())
    if not np.isfinite([low, high]).all():
        raise BadInput("the image holds NaN or infinity", hint="replace these pixels first")
    return Curve(is_linear=is_linear, low=low, high=high)


def _rows(halo_px: int | None, width: int, height: int) -> int:
    """Rows that a strip owns."""
    return height if halo_px is None else max(STRIP_PIXELS // width, LEAST_HALOS * halo_px, 64)


class _Samples:
    """Between the samples of an image and those a network takes."""

    def __init__(self, dtype: np.dtype[np.generic], curve: Curve, *, has_alpha: bool) -> None:
        self._dtype, self._curve = dtype, curve
        self._color = np.s_[..., :-1] if has_alpha else np.s_[...]
        self._alpha = np.s_[..., -1:] if has_alpha else np.s_[..., :0]
        self._is_taken_as_it_is = curve.is_identity and dtype.name in DTYPES

    def encode(self, strip: Array) -> Array:
        if self._is_taken_as_it_is:
            return strip
        coded = np.empty(strip.shape, np.float32)
        coded[self._color] = self._curve.encode(strip[self._color])
        peak = 1 if strip.dtype.kind == "f" else np.iinfo(strip.dtype).max
        coded[self._alpha] = strip[self._alpha] / np.float32(peak)
        return coded

    def decode(self, large: Array) -> Array:
        if self._is_taken_as_it_is:
            return large
        result = np.empty(large.shape, self._dtype)
        is_linear = self._curve.is_linear
        result[self._color] = self._curve.decode(large[self._color], self._dtype, is_linear_out=is_linear)
        result[self._alpha] = samples_from_unit(large[self._alpha], self._dtype)
        return result
