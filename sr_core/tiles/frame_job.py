"""One frame on its way through tiles: what it reads, what it fills, which tiles are done."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from sr_core.color import ColorSpec
from sr_core.errors import OutOfMemory
from sr_core.frame import Array, GivenPlanes, PixelFormat, Planes
from sr_core.tiles.blending import Blender
from sr_core.tiles.parts import divisors_of, own_part
from sr_core.tiles.sessions import TiledSession
from sr_core.tiles.tiling import Tile


@dataclass
class FrameJob:
    """One frame under way."""

    fmt: PixelFormat
    color: ColorSpec
    compiled: TiledSession
    planes: GivenPlanes
    out: GivenPlanes
    done: Future[Planes]
    result: GivenPlanes
    kept: Planes | None = None  # copies of `planes` in a sequence, for the next frame to be compared with
    previous: FrameJob | None = None
    tiles: dict[Tile, Future[None]] = field(default_factory=dict)
    blender: Blender | None = None
    open_tiles: int = 0
    too_large: dict[Tile, OutOfMemory] = field(default_factory=dict)  # the device had no memory for these
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def fills_arrays(self) -> bool:
        """False: `out` lies on a device."""
        return are_arrays(self.out)

    def take_over(self, again: FrameJob, scale: int) -> None:
        """Take what is lacking from `again`, the same frame in smaller tiles."""
        if not again.fills_arrays:
            return  # it was made where this one lies
        made = cast(Planes, again.out)
        if again.blender is not None:
            again.blender.finish(made)
        if not self.fills_arrays:
            self.out = self.result = made
            return
        wanted = cast(Planes, self.out)
        if self.blender is not None:
            self.blender = None  # it holds a part of the frame only
            for source, target in zip(made, wanted, strict=True):
                np.copyto(target, source)
        for tile in self.too_large:
            for source, target, divisor in zip(made, wanted, divisors_of(self.fmt), strict=True):
                np.copyto(own_part(target, tile, scale, divisor), own_part(source, tile, scale, divisor))

    def finish(self) -> Planes:
        """What the caller gets, once every tile is there."""
        if self.blender is not None:
            self.blender.finish(cast(Planes, self.out))
        for target, source in zip(self.result, self.out, strict=True):
            if target is not source:  # then both are arrays
                target, source = cast(Array, target), cast(Array, source)
                if not np.may_share_memory(target, source):
                    np.copyto(target, source[: target.shape[0], : target.shape[1]])
        return cast(Planes, self.result)


def are_arrays(planes: GivenPlanes) -> bool:
    """They lie in ordinary memory."""
    return all(isinstance(plane, np.ndarray) for plane in planes)
