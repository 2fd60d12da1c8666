"""An engine that repeats pixels: for tests, benchmarks and dry runs (`--model nearest`).

It has the methods of the real upscaler and none of its cost, so what remains is the pipeline.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np

from sr_core.color import ColorSpec
from sr_core.frame import Array, GivenPlanes, PixelFormat, Planes


class NearestUpscaler:
    """Each sample becomes `scale` x `scale` equal ones."""

    def __init__(self, scale: int) -> None:
        self.scale = scale
        self.in_flight = 2
        self.halo_px = 0
        self.align = 1
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nearest")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def identity(self, frames: object) -> dict[str, str]:
        """Of no frames more than of others."""
        return {"model": "nearest"}

    def tile_now(self, frames: object) -> str:
        """It has none."""
        return ""

    def device_for(self, fmt: PixelFormat, width: int, height: int) -> None:
        """It reads arrays."""

    def submit(self, planes: GivenPlanes, fmt: PixelFormat, color: ColorSpec) -> Future[Planes]:
        """The enlarged planes, soon. `planes` must stay as they are until then."""
        return self._pool.submit(self.planes, planes, fmt, color)

    def planes(self, planes: GivenPlanes, fmt: PixelFormat, color: ColorSpec) -> Planes:
        """The enlarged planes, now."""
        width, height = fmt.check(planes)
        shapes = fmt.plane_shapes(width * self.scale, height * self.scale)
        return tuple(
            _enlarge(np.asarray(plane), self.scale, shape) for plane, shape in zip(planes, shapes, strict=True)
        )

    def close(self) -> None:
        """Wait for what was submitted."""
        self._pool.shutdown()


def _enlarge(plane: Array, scale: int, shape: tuple[int, ...]) -> Array:
    """Repeat rows and columns; odd chroma planes give one sample more than `shape`, cut off."""
    wide = _widen(plane, scale)[:, : shape[1]]
    grown = np.empty(shape, plane.dtype)
    for offset in range(scale):
        rows = grown[offset::scale]
        rows[...] = wide[: len(rows)]
    return grown


def _widen(plane: Array, scale: int) -> Array:
    pairs = plane.ndim == 2 and plane.dtype.kind == "u" and plane.dtype.itemsize * scale in (2, 4, 8) and scale != 3
    if not pairs:
        return np.repeat(plane, scale, axis=1)
    # one multiplication by 0x0101... repeats a sample inside a wider integer
    bits = 8 * plane.dtype.itemsize
    factor = sum(1 << (bits * index) for index in range(scale))
    wider = np.dtype(f"uint{bits * scale}")
    repeated: Array = np.multiply(plane, wider.type(factor), dtype=wider)
    return repeated.view(plane.dtype)
