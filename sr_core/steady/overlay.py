"""A neighbour's planes laid over a frame's, block by block, by the motion that was found.

Blocks at the right and lower edge are shifted inwards, so that each is whole; what lies in two takes the later.
Output is moved by whole samples only: interpolating would soften what the network made sharp.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sr_core.frame import Array
from sr_core.steady.motion import BLOCK, Ints, Luma, Motion, blocks_between


def lay_over(plane: Array, motion: Motion, scale: int, divisor: tuple[int, int]) -> Array:
    """`plane` (rows, columns) as it lies in the frame that `motion` begins in; itself where nothing moved.

    Args:
        scale: samples of it in an input pixel, before `divisor`.
        divisor: (horizontal, vertical) of a subsampled plane.
    """
    where = np.nonzero(motion.vectors.any(axis=-1))
    if not where[0].size:
        return plane
    begins, sources, sides = [], [], []
    for axis, divided in enumerate(reversed(divisor)):
        side = BLOCK * scale // divided
        begin = np.minimum(where[axis] * side, plane.shape[axis] - side)
        step = _rounded(motion.vectors[where][:, axis] * scale, motion.unit * divided)
        begins.append(begin)
        sources.append(np.clip(begin + step, 0, plane.shape[axis] - side))
        sides.append(side)
    laid = plane.copy()
    blocks, places = (sliding_window_view(array, sides, writeable=array is laid) for array in (plane, laid))
    places[begins[0], begins[1]] = blocks[sources[0], sources[1]]
    return laid


def lay_luma_over(luma: Luma, motion: Motion) -> Luma:
    """The input's luma alike, to the part of a pixel."""
    where = np.nonzero(motion.vectors.any(axis=-1))
    if not where[0].size:
        return luma
    unit, vectors = motion.unit, motion.vectors[where]
    tops, lefts = (np.minimum(where[axis] * BLOCK, luma.shape[axis] - BLOCK) for axis in range(2))
    found = blocks_between(luma, tops * unit + vectors[:, 0], lefts * unit + vectors[:, 1], unit)
    laid = luma.copy()
    sliding_window_view(laid, (BLOCK, BLOCK), writeable=True)[tops, lefts] = found.transpose(2, 0, 1)
    return laid


def _rounded(dividend: Ints, divisor: int) -> Ints:
    return (2 * dividend + divisor) // (2 * divisor)
