"""Between a file's samples and the curve that networks are trained on.

Networks see gamma-encoded values in 0..1. Linear light (EXR, linear profiles) is encoded before
and decoded after. Values past 0..1 (HDR) go on with a logarithm that continues the curve with the
same slope, and the whole range in use is mapped to 0..1:

    value   0 ......... 1 ............................ peak
    coded   sRGB curve  │ 1 + slope * ln(value)        (divided by the code of the peak)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sr_core.frame import Array, unit_from_samples

# IEC 61966-2-1 (sRGB): linear toe below 0.0031308, exponent 2.4, offset 0.055.
_TOE, _TOE_CODE, _SLOPE, _OFFSET, _POWER = 0.0031308, 0.04045, 12.92, 0.055, 2.4
_SLOPE_AT_ONE = (1 + _OFFSET) / _POWER


def srgb_from_linear(linear: Array) -> Array:
    """Code of linear values in 0..1 (float32)."""
    curved = (1 + _OFFSET) * np.power(np.maximum(linear, _TOE), 1 / _POWER) - _OFFSET
    return np.where(linear <= _TOE, linear * _SLOPE, curved)


def linear_from_srgb(code: Array) -> Array:
    """The inverse of `srgb_from_linear`."""
    curved = np.power((np.maximum(code, _TOE_CODE) + _OFFSET) / (1 + _OFFSET), _POWER)
    return np.where(code <= _TOE_CODE, code / _SLOPE, curved)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Maps samples to what the network sees, and back.

    Attributes:
        is_linear: the samples are linear light.
        low, high: range of the samples in use, in 0..1 of an integer type or as floats are.
    """

    is_linear: bool
    low: float = 0.0
    high: float = 1.0

    @property
    def is_identity(self) -> bool:
        return not self.is_linear and self.low >= 0 and self.high <= 1

    def encode(self, samples: Array) -> Array:
        """float32 in 0..1 from samples of any type."""
        values = unit_from_samples(samples)
        codes = _extend(values) if self.is_linear else values
        bottom, top = self._bounds()
        return ((codes - bottom) / (top - bottom)).astype(np.float32)

    def decode(self, codes: Array, dtype: np.dtype[Any], *, is_linear_out: bool) -> Array:
        """Samples of `dtype` from the network's output in 0..1, as linear light or gamma-encoded."""
        bottom, top = self._bounds()
        values = codes.astype(np.float64) * (top - bottom) + bottom
        if is_linear_out:
            values = _extend_inverse(values)
        return samples_from_unit(values, dtype)

    def _bounds(self) -> tuple[float, float]:
        ends = np.array([min(self.low, 0.0), max(self.high, 1.0)])
        if self.is_linear:
            ends = _extend(ends)
        return float(ends[0]), float(ends[1])


def samples_from_unit(values: Array, dtype: np.dtype[Any]) -> Array:
    """Samples of `dtype` from floats where 1.0 is full scale; integers are rounded and clipped."""
    if dtype.kind == "f":
        return values.astype(dtype)
    peak = np.iinfo(dtype).max
    return np.rint(np.clip(values, 0, 1) * peak).astype(dtype)


def _extend(linear: Array) -> Array:
    """The sRGB curve, odd around 0 and continued past 1 by a logarithm of the same slope."""
    size = np.abs(linear)
    below = srgb_from_linear(np.minimum(size, 1.0))
    codes = np.where(size <= 1, below, 1 + _SLOPE_AT_ONE * np.log(np.maximum(size, 1.0)))
    return np.copysign(codes, linear)


def _extend_inverse(codes: Array) -> Array:
    size = np.abs(codes)
    below = linear_from_srgb(np.minimum(size, 1.0))
    linear = np.where(size <= 1, below, np.exp((np.maximum(size, 1.0) - 1) / _SLOPE_AT_ONE))
    return np.copysign(linear, codes)
