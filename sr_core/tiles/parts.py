"""The parts of a frame's planes that belong to a tile: what it reads, and what it writes. Views."""

from __future__ import annotations

from typing import cast

import numpy as np

from sr_core.errors import BadInput
from sr_core.frame import Array, PixelFormat, PlaneOnDevice
from sr_core.tiles.tiling import Tile


def divisors_of(fmt: PixelFormat) -> list[tuple[int, int]]:
    return [fmt.plane_divisor(name) for name in fmt.plane_names]


def read_part[Plane: Array | PlaneOnDevice](
    plane: Plane, left: int, width: int, top: int, height: int, divisor: tuple[int, int]
) -> Plane:
    across, down = divisor
    window = plane[top // down : (top + height) // down, left // across : (left + width) // across]
    return cast(Plane, window)


def own_part[Plane: Array | PlaneOnDevice](plane: Plane, tile: Tile, scale: int, divisor: tuple[int, int]) -> Plane:
    left, right = (edge * scale // divisor[0] for edge in (tile.across.start, tile.across.stop))
    top, bottom = (edge * scale // divisor[1] for edge in (tile.down.start, tile.down.stop))
    return cast(Plane, plane[top:bottom, left:right])


def pad_to(plane: Array | PlaneOnDevice, shape: tuple[int, ...]) -> Array | PlaneOnDevice:
    """`plane`, its last row and column repeated up to `shape`."""
    if plane.shape == shape:
        return plane
    if not isinstance(plane, np.ndarray):
        raise BadInput(f"a plane of {plane.shape} on a device would have to be padded to {shape}")
    missing = [(0, wanted - there) for wanted, there in zip(shape, plane.shape, strict=True)]
    return np.pad(plane, missing, mode="edge")


def is_same(now: Array, then: Array) -> bool:
    """Equal, looking at one row first: changed regions usually differ there already."""
    middle = now.shape[0] // 2
    return np.array_equal(now[middle], then[middle]) and np.array_equal(now, then)
