"""Overlapping tiles of networks without a finite reach, joined by a linear ramp.

Each tile contributes its read region less a margin; where tiles overlap, their weights sum to 1. The
result is not the whole frame's (nothing tiled can be), but it has no seams; `srkit check-seams`
measures the difference.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from sr_core.frame import Array, PixelFormat, Planes
from sr_core.tiles.tiling import Span, Tile, TilePlan, ramp

MARGIN = 16  # input pixels next to a tile's border that a blend leaves out; a quarter of short overlaps


class Blender:
    """Weighted sums of one frame's tiles, in float32. Thread-safe."""

    def __init__(self, plan: TilePlan, fmt: PixelFormat, scale: int) -> None:
        self._fmt, self._scale = fmt, scale
        shapes = fmt.plane_shapes(plan.width * scale, plan.height * scale)
        self._sums = [np.zeros(shape, np.float32) for shape in shapes]
        self._lock = threading.Lock()
        divisors = {fmt.plane_divisor(name) for name in fmt.plane_names}
        self._columns = {across: _axis_weights(plan.across, plan.read_width, scale, across) for across, _ in divisors}
        self._rows = {down: _axis_weights(plan.down, plan.read_height, scale, down) for _, down in divisors}

    def add(self, tile: Tile, outputs: Sequence[Array]) -> None:
        """Add one tile's output planes."""
        scale = self._scale
        for name, total, output in zip(self._fmt.plane_names, self._sums, outputs, strict=True):
            across, down = self._fmt.plane_divisor(name)
            columns, rows = self._columns[across][tile.across], self._rows[down][tile.down]
            weights = rows[:, None] * columns[None, :]
            left, top = tile.across.read * scale // across, tile.down.read * scale // down
            part = output.astype(np.float32) * (weights[..., None] if output.ndim == 3 else weights)
            with self._lock:
                total[top : top + output.shape[0], left : left + output.shape[1]] += part

    def finish(self, out: Planes) -> None:
        """Write the sums into `out`, rounded to codes for integer formats."""
        for total, target in zip(self._sums, out, strict=True):
            if not self._fmt.is_float:
                step = 1 << (16 - self._fmt.depth) if self._fmt.msb_aligned else 1
                total = np.rint(total / step) * step
            np.copyto(target, total, casting="unsafe")


def _axis_weights(spans: Sequence[Span], read: int, scale: int, divisor: int) -> dict[Span, Array]:
    """Weights of every span along one axis; at each sample they sum to 1."""
    lines: dict[Span, Array] = {}
    total = np.zeros((spans[-1].read + read) * scale // divisor)
    for index, span in enumerate(spans):
        before = spans[index - 1].read + read - span.read if index else 0
        after = span.read + read - spans[index + 1].read if index + 1 < len(spans) else 0
        lines[span] = np.array(
            ramp(
                read * scale // divisor,
                overlap_before=before * scale // divisor,
                overlap_after=after * scale // divisor,
                margin=min(MARGIN, max(before, after) // 4) * scale // divisor,
            )
        )
        start = span.read * scale // divisor
        total[start : start + len(lines[span])] += lines[span]
    for span, line in lines.items():
        start = span.read * scale // divisor
        line /= total[start : start + len(line)]
    return {span: line.astype(np.float32) for span, line in lines.items()}
