"""Overlapping tiles of networks without a finite reach, joined by a linear ramp.

Each tile contributes its whole read region; where two overlap, their weights sum to 1. The
result is not the whole frame's (nothing tiled can be), but it has no seams; `srkit check-seams`
measures the difference.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from sr_core.frame import Array, PixelFormat, Planes
from sr_core.tiling import Span, Tile, TilePlan, ramp


class Blender:
    """Weighted sums of one frame's tiles, in float32. Thread-safe."""

    def __init__(self, plan: TilePlan, fmt: PixelFormat, scale: int) -> None:
        self._plan, self._fmt, self._scale = plan, fmt, scale
        shapes = fmt.plane_shapes(plan.width * scale, plan.height * scale)
        self._sums = [np.zeros(shape, np.float32) for shape in shapes]
        self._lock = threading.Lock()

    def add(self, tile: Tile, outputs: Sequence[Array]) -> None:
        """Add one tile's output planes."""
        plan, scale = self._plan, self._scale
        for name, total, output in zip(self._fmt.plane_names, self._sums, outputs, strict=True):
            across, down = self._fmt.plane_divisor(name)
            columns = _weights(tile.across, plan.across, plan.read_width, scale, across)
            rows = _weights(tile.down, plan.down, plan.read_height, scale, down)
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


def _weights(span: Span, spans: Sequence[Span], read: int, scale: int, divisor: int) -> Array:
    index = spans.index(span)
    before = spans[index - 1].read + read - span.read if index else 0
    after = span.read + read - spans[index + 1].read if index + 1 < len(spans) else 0
    samples = read * scale // divisor
    weights = ramp(
        samples,
        overlap_before=before * scale // divisor,
        overlap_after=after * scale // divisor,
    )
    return np.array(weights, np.float32)
