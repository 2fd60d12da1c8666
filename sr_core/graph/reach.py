"""Halo and grid of a network that may compute sizes from its own shapes.

Working those out for one size (`static_shapes`) costs seconds for a large transformer, and in the end it is
unbounded anyway: that shows from its operators, before.
"""

from __future__ import annotations

from math import lcm

from onnx import ModelProto

from sr_core.graph.grid import grid_of
from sr_core.graph.receptive_field import receptive_radius, sees_everything
from sr_core.graph.static_shapes import at_size


def reach(model: ModelProto, *, scale: int, align: int, width: int, height: int) -> tuple[int | None, int]:
    """(halo in input pixels, or None where it is unbounded; multiple that tiles must begin on).

    Args:
        align: what the multiple must be divisible by.
        width, height: a size that the network takes.
    """
    if sees_everything(model):
        return None, align
    sized = at_size(model, width=width, height=height)
    align = lcm(align, grid_of(sized))
    return receptive_radius(sized, scale=scale, align=align), align
