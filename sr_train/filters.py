"""Separable correlation on planes, for the measures: slices and sums, nothing but numpy."""

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]


def gaussian_taps(width: int, sigma: float) -> Plane:
    """A normalised Gaussian window of an odd width."""
    x = np.arange(width) - width // 2
    taps: Plane = np.exp(-(x**2) / (2 * sigma**2))
    return taps / taps.sum()


def correlate(plane: Plane, taps: Plane, axis: int) -> Plane:
    """Correlate along one axis without padding: that side shrinks by len(taps) - 1."""
    length = plane.shape[axis] - len(taps) + 1
    total = np.zeros((length, plane.shape[1]) if axis == 0 else (plane.shape[0], length))
    for start, tap in enumerate(taps):
        part = slice(start, start + length)
        total += tap * (plane[part] if axis == 0 else plane[:, part])
    return total


def smoothed(plane: Plane, taps: Plane) -> Plane:
    """Correlate along both axes without padding."""
    return correlate(correlate(plane, taps, 0), taps, 1)


def halve(plane: Plane) -> Plane:
    """2x2 means, every second pixel; an odd last row or column is dropped."""
    height, width = (side - side % 2 for side in plane.shape)
    quads: Plane = plane[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return quads
