"""How pixels lie in memory: formats, planes, sizes.

A *frame* is a tuple of numpy planes in one `PixelFormat`:

    planar      y, u, v | gray | r, g, b     2-D arrays (rows, columns)
    semiplanar  y, uv                        2-D, and (rows, columns, 2)  NV12, P010
    packed      rgb                          (rows, columns, 3)           images

RGB planes are always in the order R, G, B (FFmpeg's `gbrp` is reordered where it is read).
Samples are unsigned integers of `depth` bits in the low bits of uint8/uint16, except where
`msb_aligned` (P010: value << (16 - depth)), or floats: RGB and gray and Y in 0..1, U and V in
-0.5..0.5. A subsampled chroma plane has ceil(size / 2) samples.

Planes that are given to an upscaler may also lie on a graphics card (`PlaneOnDevice`); what comes
back always lies in ordinary memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from sr_core.errors import BadInput

Array = npt.NDArray[Any]
Planes = tuple[Array, ...]
Device = tuple[int, int]  # as DLPack counts: (kind of memory, number); (2, 1) is the second NVIDIA GPU
Family = Literal["yuv", "gray", "rgb"]
Layout = Literal["planar", "semiplanar", "packed"]

_PLANE_NAMES: dict[tuple[str, str], tuple[str, ...]] = {
    ("yuv", "planar"): ("y", "u", "v"),
    ("yuv", "semiplanar"): ("y", "uv"),
    ("gray", "planar"): ("gray",),
    ("rgb", "planar"): ("r", "g", "b"),
    ("rgb", "packed"): ("rgb",),
}


class PlaneOnDevice(Protocol):
    """A plane that is not in ordinary memory: it can be cut, and only a session there can read it."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, index: tuple[slice, slice], /) -> Self: ...


GivenPlanes = tuple[Array | PlaneOnDevice, ...]


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """Layout of one frame. `subsampling` is the chroma (horizontal, vertical) divisor: 1 or 2."""

    family: Family
    depth: int = 8
    layout: Layout = "planar"
    subsampling: tuple[int, int] = (1, 1)
    msb_aligned: bool = False
    is_float: bool = False

    def __post_init__(self) -> None:
        if (self.family, self.layout) not in _PLANE_NAMES:
            raise BadInput(f"no {self.layout} layout for {self.family}")
        if self.is_float and self.depth not in (16, 32):
            raise BadInput(f"float samples have 16 or 32 bits, got {self.depth}")
        if not self.is_float and not 8 <= self.depth <= 16:
            raise BadInput(f"integer samples have 8 to 16 bits, got {self.depth}")
        if self.family != "yuv" and self.subsampling != (1, 1):
            raise BadInput(f"only yuv is subsampled, not {self.family}")
        if any(divisor not in (1, 2) for divisor in self.subsampling):
            raise BadInput(f"chroma divisors are 1 or 2, got {self.subsampling}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of one sample."""
        if self.is_float:
            return np.dtype(np.float16 if self.depth == 16 else np.float32)
        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)

    @property
    def plane_names(self) -> tuple[str, ...]:
        """Names of the planes, in order."""
        return _PLANE_NAMES[self.family, self.layout]

    @property
    def peak(self) -> int:
        """The largest code of an integer format (before `msb_aligned` shifting)."""
        return (1 << self.depth) - 1

    def plane_divisor(self, name: str) -> tuple[int, int]:
        """(horizontal, vertical) divisor of plane `name` against the luma size."""
        return self.subsampling if name in ("u", "v", "uv") else (1, 1)

    def plane_shapes(self, width: int, height: int) -> tuple[tuple[int, ...], ...]:
        """Array shape of each plane of a `width` x `height` frame."""
        if width < 1 or height < 1:
            raise BadInput(f"a frame has at least 1x1 pixels, got {width}x{height}")
        shapes: list[tuple[int, ...]] = []
        for name in self.plane_names:
            across, down = self.plane_divisor(name)
            rows_columns = (-(-height // down), -(-width // across))
            shapes.append(rows_columns + {"uv": (2,), "rgb": (3,)}.get(name, ()))
        return tuple(shapes)

    def empty(self, width: int, height: int) -> Planes:
        """New planes, uninitialised, owned by the caller."""
        return tuple(np.empty(shape, self.dtype) for shape in self.plane_shapes(width, height))

    def check(self, planes: GivenPlanes) -> tuple[int, int]:
        """Return (width, height) of `planes`, or raise BadInput with what does not fit."""
        names = self.plane_names
        if len(planes) != len(names):
            raise BadInput(f"{self} has {len(names)} planes, got {len(planes)}")
        height, width = planes[0].shape[:2]
        for name, plane, shape in zip(names, planes, self.plane_shapes(width, height), strict=True):
            if plane.shape != shape or plane.dtype != self.dtype:
                raise BadInput(f"plane {name!r} is {plane.dtype} {plane.shape}, expected {self.dtype} {shape}")
        return width, height

    def __str__(self) -> str:
        sampling = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440"}[self.subsampling]
        kind = "float" if self.is_float else ""
        chroma = sampling if self.family == "yuv" else ""
        shift = "msb" if self.msb_aligned else ""
        layout = "" if self.layout == "planar" else f"-{self.layout}"
        return f"{self.family}{chroma}{layout}-{kind}{self.depth}{shift}"


def yuv(subsampling: str, depth: int = 8, *, semiplanar: bool = False) -> PixelFormat:
    """The integer YUV format with FFmpeg's `subsampling` digits, '420', '422', '440' or '444'."""
    divisors = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "440": (1, 2)}
    if subsampling not in divisors:
        raise BadInput(f"unknown chroma subsampling {subsampling!r}", hint="420, 422, 440 or 444")
    return PixelFormat(
        family="yuv",
        depth=depth,
        layout="semiplanar" if semiplanar else "planar",
        subsampling=divisors[subsampling],
        msb_aligned=semiplanar and depth > 8,
    )


def rgb(depth: int = 8, *, packed: bool = False) -> PixelFormat:
    """The integer RGB format: three planes, or packed (rows, columns, 3)."""
    return PixelFormat(family="rgb", depth=depth, layout="packed" if packed else "planar")


def gray(depth: int = 8) -> PixelFormat:
    """The integer one-plane format."""
    return PixelFormat(family="gray", depth=depth)


def unit_from_samples(samples: Array) -> Array:
    """float64 where 1.0 is full scale of the sample type; floats are taken as they are."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float64)
    scaled: Array = samples.astype(np.float64) / np.iinfo(samples.dtype).max
    return scaled
