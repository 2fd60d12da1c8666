"""The small filters at the colour edges of a graph, as numbers. Pure arithmetic.

Positions are in luma pixels; chroma sample j of a plane with divisor 2 lies at luma position
2j + offset, offset 0 (co-sited), 0.5 (centred) or 1 (`SITING_OFFSET` in color.py).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Taps = npt.NDArray[np.float64]


def chroma_up_phases(offset: float) -> Taps:
    """Linear interpolation to twice the samples: [phase 0..1, tap on j-1, j, j+1].

    Luma sample 2j + phase lies (phase - offset) / 2 chroma samples after sample j.
    """
    return np.array([[max(0.0, 1.0 - abs((phase - offset) / 2 - tap)) for tap in (-1, 0, 1)] for phase in (0, 1)])


def chroma_up_kernel(offset: float) -> Taps:
    """The same interpolation as a transposed convolution of stride 2: weights at luma 2j-1 .. 2j+2."""
    return np.array([max(0.0, 1.0 - abs(step - offset) / 2) for step in (-1, 0, 1, 2)])


def chroma_down(offset: float, *, dual: bool) -> tuple[Taps, int]:
    """Decimation by 2: (weights, first luma sample relative to 2j).

    Short filters for an enlarged picture, whose chroma grid is finer than the input's band:
    [1 2 1]/4 co-sited, [1 1]/2 centred. With `dual`, the exact duals of `chroma_up_phases`, so that
    up followed by down returns every sample: (-1 2 6 2 -1)/8 co-sited (the low-pass of the LeGall
    5/3 wavelet, Le Gall and Tabatabai 1988) and (-1 3 3 -1)/4 centred (CDF 3/1, Cohen, Daubechies
    and Feauveau 1992). A network of scale 1 needs those: it must not blur chroma it left alone.
    """
    if offset == 0.5:
        return (np.array([-1.0, 3.0, 3.0, -1.0]) / 4, -1) if dual else (np.array([0.5, 0.5]), 0)
    shift = int(offset)
    if dual:
        return np.array([-1.0, 2.0, 6.0, 2.0, -1.0]) / 8, shift - 2
    return np.array([1.0, 2.0, 1.0]) / 4, shift - 1


def cubic(distance: Taps) -> Taps:
    """Keys' cubic convolution kernel (1981) with a = -0.5, as in MATLAB's imresize."""
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    weights: Taps = np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
    return weights


def cubic_up_phases(scale: int, *, offset: float = 0.0, divisor: int = 1) -> Taps:
    """Bicubic enlargement by `scale`: [phase 0..scale-1, tap on j-2 .. j+2].

    For a chroma plane (`divisor` 2, siting `offset`) the output keeps the input's siting rule on
    the enlarged luma grid: output sample s*j + p lies at p/s + ((offset + 1/2)/s - 1/2 - offset)/divisor.
    """
    shift = ((offset + 0.5) / scale - 0.5 - offset) / divisor
    rows = []
    for phase in range(scale):
        position = phase / scale + shift
        if not -1 <= math.floor(position) <= 0:
            raise AssertionError(f"phase {phase} at {position} leaves the 5-tap window")
        rows.append(cubic(position - np.arange(-2.0, 3.0)))
    return np.array(rows)
