"""Colour bled under transparent pixels.

The colour stored where alpha is 0 is arbitrary (often black). A network sees it beside the visible
pixels and draws a halo. Replacing it near the visible edge by the average of its visible neighbours
removes the halo; it is invisible itself.
"""

from __future__ import annotations

import numpy as np

from sr_core.frame import Array

BLEED_PX = 8  # reach of the bleeding: past this, hidden colours are left as they are
_BLOCK_PX = 256


def bleed(color: Array, alpha: Array) -> Array:
    """Return `color` (H, W, C) with pixels of zero `alpha` (H, W) near visible ones filled in.

    A filled pixel depends on the `BLEED_PX` pixels around it only, so a strip with that much
    context gives the same rows as the whole image. Returns `color` itself where nothing is hidden.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return color
    result = color.copy()
    height, width = alpha.shape
    for top in range(0, height, _BLOCK_PX):
        for left in range(0, width, _BLOCK_PX):
            own = np.s_[top : top + _BLOCK_PX, left : left + _BLOCK_PX]
            if not hidden[own].any():
                continue
            above, before = min(top, BLEED_PX), min(left, BLEED_PX)
            around = np.s_[top - above : top + _BLOCK_PX + BLEED_PX, left - before : left + _BLOCK_PX + BLEED_PX]
            if hidden[around].all():
                continue
            filled = _dilate(color[around], ~hidden[around])
            rows, columns = alpha[own].shape
            result[own] = filled[above : above + rows, before : before + columns]
    return result


def _dilate(color: Array, known: Array) -> Array:
    """Grow the known pixels by one pixel, `BLEED_PX` times, averaging the 3 x 3 around."""
    dtype = color.dtype
    weight = known.astype(np.float32)
    value = color.astype(np.float32) * weight[..., None]
    for _ in range(BLEED_PX):
        near = _box3(weight)
        grown = (weight == 0) & (near > 0)
        if not grown.any():
            break
        value[grown] = _box3(value)[grown] / near[grown][:, None]
        weight[grown] = 1
    result = np.where((weight > 0)[..., None] & ~known[..., None], value, color)
    return np.rint(result).astype(dtype) if dtype.kind == "u" else result.astype(dtype)


def _box3(array: Array) -> Array:
    """Sum over the 3 x 3 pixels around each, zero outside."""
    down = array.copy()
    down[1:] += array[:-1]
    down[:-1] += array[1:]
    across = down.copy()
    across[:, 1:] += down[:, :-1]
    across[:, :-1] += down[:, 1:]
    return across
