"""Pixels as browsers take them: reduced to what a window shows, enlarged by bicubic, encoded.

planes of a frame ─┐                     ┌─ whole, for 1:1
                   ├─► RGB, upright ─► PNG
RGB of an image ───┘                     └─ reduced to the window: of 4K a tenth of the bytes
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sr_core.frame import Array, PixelFormat, Planes

if TYPE_CHECKING:
    from sr_video.read.facts import VideoFacts

MAX_PIXELS = 36_000_000  # of a picture that is shown: 1080p at ×4 whole; of larger ones the middle
Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A frame or an image, as it was or enlarged.

    Attributes:
        planes: of a frame, in the format of `facts`; RGB (H, W, 3) alone of an image, which has no `facts`.
        size: (width, height) as it is shown, upright; the planes may be larger, as networks enlarge by whole factors.
        seconds: when the frame is shown; 0 for an image.
        engine_seconds: in the engine; 0 for what is no model's.
        moment: of the frame in its video, for its grain.
    """

    planes: Planes
    facts: VideoFacts | None
    size: Size
    seconds: float = 0.0
    engine_seconds: float = 0.0
    moment: int = 0

    @property
    def bytes(self) -> int:
        """In memory."""
        return sum(plane.nbytes for plane in self.planes)


def fitted(size: Size, width: int) -> Size:
    """`size` reduced to `width`; as it is where that is not smaller."""
    if width >= size[0]:
        return size
    return width, max(1, round(size[1] * width / size[0]))


def rgb_of(picture: Picture, size: Size) -> Array:
    """It as RGB (H, W, 3) uint8, upright, at `size`."""
    facts = picture.facts
    height, width = picture.planes[0].shape[:2]
    if facts is None:
        pixels = picture.planes[0]
        return pixels if (width, height) == size else _resized(pixels, size, Image.Resampling.LANCZOS)
    from sr_video.still import to_rgb8

    stored = size[::-1] if is_on_its_side(facts) else size
    wanted = None if stored == (width, height) else stored
    return to_rgb8(picture.planes, facts.format, facts.color, facts.display_matrix, size=wanted)


def bicubic_of(source: Picture, size: Size) -> Array:
    """The source enlarged to `size`, as `rgb_of`."""
    return _resized(rgb_of(source, source.size), size, Image.Resampling.BICUBIC)


def is_on_its_side(facts: VideoFacts) -> bool:
    """It is stored so, and turned when it is shown."""
    matrix = facts.display_matrix
    return matrix is not None and matrix[0] == 0 and matrix[4] == 0


def middle_of(planes: Planes, fmt: PixelFormat | None, scale: float) -> Planes:
    """The part that fits MAX_PIXELS once enlarged; the planes themselves where all of it does."""
    height, width = planes[0].shape[:2]
    shrink = (width * height * scale * scale / MAX_PIXELS) ** 0.5
    if shrink <= 1:
        return planes
    inner_width, inner_height = _inner_size(width, height, shrink)
    left, top = ((width - inner_width) // 2) & ~15, ((height - inner_height) // 2) & ~15
    names = fmt.plane_names if fmt is not None else ("rgb",)
    parts = []
    for name, plane in zip(names, planes, strict=True):
        across, down = (1, 1) if fmt is None else fmt.plane_divisor(name)
        rows = slice(top // down, -(-(top + inner_height) // down))  # of an odd height the last row of chroma, too
        parts.append(np.ascontiguousarray(plane[rows, left // across : -(-(left + inner_width) // across)]))
    return tuple(parts)


def _inner_size(width: int, height: int, shrink: float) -> Size:
    """(width, height) of about a `shrink`th each, in sixteens; a strip keeps its short side, up to 16 pixels of it."""
    short, long = sorted((width, height))
    inner_short = max(min(16, short), int(short / shrink) & ~15)
    inner_long = int(min(long / shrink, short * long / (shrink * shrink * inner_short))) & ~15
    return (inner_long, inner_short) if width >= height else (inner_short, inner_long)


def png_of(picture: Array, code_points: tuple[int, int] | None) -> bytes:
    """Lossless, and stored without compression: a tenth of the time, and it never leaves the machine.

    HDR carries a cICP chunk (PNG, third edition, §11.3.2.6), so that browsers show it as HDR.
    """
    height, width = picture.shape[:2]
    rows = np.zeros((height, 1 + width * 3), np.uint8)  # each begins with its filter: 0, none
    rows[:, 1:] = picture.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header)]
    if code_points is not None:
        parts.append(_chunk(b"cICP", bytes([*code_points, 0, 1])))  # RGB, full range
    return b"".join([*parts, _chunk(b"IDAT", zlib.compress(rows, 0)), _chunk(b"IEND", b"")])


def _resized(pixels: Array, size: Size, method: Image.Resampling) -> Array:
    return np.asarray(Image.fromarray(pixels).resize(size, method))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
