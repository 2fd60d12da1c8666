"""Three planes of output into one: each sample moves towards its neighbours in time, by their shares.

taken   T  ╱╲        of a neighbour's difference d: all up to T, then less, nothing from 2 T on
          ╱  ╲       (a real change of the picture is larger than flicker)
         0    2 T  d
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sr_core.frame import Array, PixelFormat
from sr_core.steady.weights import WHOLE, Shares

_LIMIT_CODES = 16  # T, of 8 bits
_ROWS = 64  # at once, so that what is computed stays in a core's cache


def blend(this: Array, neighbours: Sequence[tuple[Array, Shares]], scale: int, fmt: PixelFormat, out: Array) -> None:
    """Write (rows, columns) into `out`.

    Args:
        neighbours: planes that lie over `this`, and the shares of the input's samples.
        scale: output samples for one of the input's, each way.
    """
    rows = max(1, _ROWS // scale) * scale
    for top in range(0, this.shape[0], rows):
        part = slice(top, top + rows)
        shares = slice(top // scale, (top + rows) // scale)
        _blend_rows(this[part], [(plane[part], share[shares]) for plane, share in neighbours], scale, fmt, out[part])


def _blend_rows(
    this: Array, neighbours: Sequence[tuple[Array, Shares]], scale: int, fmt: PixelFormat, out: Array
) -> None:
    stored = 16 if fmt.msb_aligned else fmt.depth
    wide = np.int16 if stored == 8 else np.int32  # 16 bits hold 2 * 16 * 85
    limit = _LIMIT_CODES << (stored - 8)
    middle: Array = this.astype(wide)
    sum_: Array = np.full(this.shape, WHOLE // 2, wide)
    for plane, share in neighbours:
        if not share.any():
            continue
        gap = plane.astype(wide) - middle
        near: Array = np.clip(gap, -limit, limit)
        near -= np.clip(gap - near, -limit, limit)
        wanted = share.astype(wide).repeat(scale, axis=0).repeat(scale, axis=1)
        sum_ += near * wanted[: this.shape[0], : this.shape[1]]
    sum_ //= WHOLE
    middle += sum_  # shares add up to less than WHOLE: it lies between the three, so it needs no clipping
    if fmt.msb_aligned:
        idle = stored - fmt.depth
        middle = (middle + (1 << idle >> 1)) >> idle << idle
    out[...] = middle.astype(out.dtype)
