"""FFmpeg's pixel formats and ours; frames as numpy planes without copying.

Most decoded frames are used where they lie (`planes_of`). Anything else FFmpeg decodes is first
converted to the nearest format that keeps depth and subsampling (`nearest_format`).
"""

from __future__ import annotations

import re
from functools import cache

import av
import numpy as np
from av.video.format import VideoFormat

from sr_core.errors import BadInput
from sr_core.frame import Array, PixelFormat, Planes, gray, rgb, yuv

_YUV = re.compile(r"^yuvj?a?(420|422|440|444)p(9|10|12|14|16)?(le)?$")
_GBR = re.compile(r"^gbra?p(9|10|12|14|16)?(le)?$")
_GRAY = re.compile(r"^gray(9|10|12|14|16)?(le)?$")
_OTHERS = {
    "nv12": yuv("420", semiplanar=True),
    "p010le": yuv("420", 10, semiplanar=True),
    "p012le": yuv("420", 12, semiplanar=True),
    "p016le": yuv("420", 16, semiplanar=True),
    "rgb24": rgb(packed=True),
    "rgb48le": rgb(16, packed=True),
}
_FILLED_FROM = 5  # bits, from which swscale repeats them below
_GBR_ORDER = (2, 0, 1)  # gbrp stores G, B, R; our planes are R, G, B
_GBR_STORED = (1, 2, 0)


@cache
def pixel_format(name: str) -> PixelFormat | None:
    """Our format for FFmpeg's `name`, or None where frames must be converted first.

    An alpha plane is simply not looked at: yuva420p's other planes are yuv420p's.
    """
    if name in _OTHERS:
        return _OTHERS[name]
    for pattern, make in ((_YUV, None), (_GBR, rgb), (_GRAY, gray)):
        if match := pattern.match(name):
            digits = match.group(1 if make else 2)
            depth = int(digits) if digits else 8
            if depth > 8 and not name.endswith("le"):
                return None  # big-endian
            return make(depth) if make else yuv(match.group(1), depth)
    return None


@cache
def ffmpeg_name(fmt: PixelFormat) -> str:
    """FFmpeg's name of one of our formats."""
    for name, other in _OTHERS.items():
        if other == fmt:
            return name
    depth = "" if fmt.depth == 8 else f"{fmt.depth}le"
    if fmt.family == "gray":
        return f"gray{depth}"
    if fmt.family == "rgb":
        return f"gbrp{depth}"
    digits = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440"}[fmt.subsampling]
    return f"yuv{digits}p{depth}"


@cache
def has_alpha(name: str) -> bool:
    """True if FFmpeg's format `name` stores transparency."""
    fmt = VideoFormat(name)
    return fmt.has_palette or any(component.is_alpha for component in fmt.components)


@cache
def nearest_format(name: str) -> PixelFormat:
    """The format of ours that holds all of FFmpeg's `name` but alpha, with the least excess."""
    direct = pixel_format(name)
    if direct is not None:
        return direct
    fmt = VideoFormat(name, 16, 16)
    colors = [component for component in fmt.components if not component.is_alpha]
    bits = max((component.bits for component in colors), default=8)
    depth = next((d for d in (8, 10, 12, 14, 16) if d >= bits), 16)
    if fmt.is_bayer:
        return rgb(16 if "16" in name else 8)  # FFmpeg gives a component its share of the mosaic's bits
    if fmt.is_rgb and not fmt.has_palette and bits < 8:
        return rgb(packed=True)  # swscale repeats the top bits below on the way there: 31 of 31 becomes 255, not 248
    if fmt.has_palette or fmt.is_rgb or name.startswith("xyz"):
        return rgb(max(depth, 8))
    if len(colors) == 1:
        return gray(depth)
    across = 16 // max(1, fmt.chroma_width())
    down = 16 // max(1, fmt.chroma_height())
    # 4:1:1 and 4:1:0 have coarser chroma than any of ours: interpolate it, lose nothing
    return yuv({(1, 1): "444", (1, 2): "440"}.get((across, down), "422" if down == 1 else "420"), depth)


@cache
def coarse_bits(name: str) -> tuple[int, int, int] | None:
    """Bits of R, G and B in FFmpeg's packed format `name`, where swscale leaves those below empty: 15 of 15 is 240."""
    fmt = VideoFormat(name)
    bits = tuple(component.bits for component in fmt.components if not component.is_alpha)
    is_coarse = fmt.is_rgb and not (fmt.has_palette or fmt.is_bayer) and len(bits) == 3 and min(bits) < _FILLED_FROM
    return (bits[0], bits[1], bits[2]) if is_coarse else None


def fill_low_bits(frame: av.VideoFrame, bits: tuple[int, int, int]) -> None:
    """Spread samples that fill only the upper `bits` of R, G, B over 0 to 255, in an rgb24 frame nobody else holds."""
    rows = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)[: frame.height]
    samples = rows[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)
    for channel, count in enumerate(bits):
        whole = (1 << count) - 1
        table = np.array([((value >> (8 - count)) * 255 + whole // 2) // whole for value in range(256)], np.uint8)
        samples[..., channel] = table[samples[..., channel]]


def loss_between(source: PixelFormat, target: PixelFormat) -> tuple[str, ...]:
    """What storing `source` as `target` loses, in words for people; () where nothing."""
    lost: list[str] = []
    if target.depth < source.depth:
        lost.append(f"{source.depth} bits become {target.depth}")
    if target.family == "gray" and source.family != "gray":
        lost.append("color")
    if target.family == "yuv" and source.family != "gray":
        finer = zip(target.subsampling, source.subsampling, strict=True)
        if any(ours > theirs for ours, theirs in finer):
            lost.append("chroma resolution")
        if source.family == "rgb":
            lost.append("RGB becomes YUV")
    return tuple(lost)


def excess_between(source: PixelFormat, target: PixelFormat) -> int:
    """How much larger `target` is than `source` needs, to choose among lossless ones."""
    finer = sum(theirs > ours for ours, theirs in zip(target.subsampling, source.subsampling, strict=True))
    return (
        2 * abs(target.depth - source.depth)
        + 4 * finer
        + 8 * (target.family != source.family)
        + (target.layout != source.layout)
    )


def planes_of(frame: av.VideoFrame, fmt: PixelFormat) -> Planes:
    """Read-only views of a frame's planes; they keep the frame alive.

    The decoder may still predict from these samples, so they are never written to.
    """
    width, height = frame.width, frame.height
    shapes = enumerate(fmt.plane_shapes(width, height))
    return in_our_order(tuple(_plane_view(frame, index, shape, fmt) for index, shape in shapes), fmt)


def in_our_order[Plane](stored: tuple[Plane, ...], fmt: PixelFormat) -> tuple[Plane, ...]:
    """A frame's planes in the order of `fmt.plane_names`."""
    if fmt.family == "rgb" and fmt.layout == "planar":
        return tuple(stored[index] for index in _GBR_ORDER)
    return stored


def _plane_view(frame: av.VideoFrame, index: int, shape: tuple[int, ...], fmt: PixelFormat) -> Array:
    plane = frame.planes[index]
    itemsize = fmt.dtype.itemsize
    stride_bytes = abs(plane.line_size)
    rows = np.frombuffer(plane, np.uint8).reshape(-1, stride_bytes)[: shape[0]]
    if plane.line_size < 0:
        rows = rows[::-1]  # stored bottom-up
    samples_in_row = int(np.prod(shape[1:]))
    view = rows[:, : samples_in_row * itemsize].view(fmt.dtype).reshape(shape)
    view.flags.writeable = False
    return view


def frame_of(planes: Planes, fmt: PixelFormat) -> av.VideoFrame:
    """A frame that shares `planes` where FFmpeg can, or holds a copy where it cannot."""
    width, height = fmt.check(planes)
    if _can_share(planes, fmt, width, height):
        stored = _to_stored_order(planes, fmt)
        return av.VideoFrame.from_dlpack(stored, format=ffmpeg_name(fmt))
    frame = av.VideoFrame(width, height, ffmpeg_name(fmt))
    copy_into(frame, planes, fmt)
    return frame


def copy_into(frame: av.VideoFrame, planes: Planes, fmt: PixelFormat) -> None:
    """Copy `planes` over the samples of a frame of ours that nobody else holds."""
    if frame.format.name != ffmpeg_name(fmt) or (frame.width, frame.height) != fmt.check(planes):
        raise BadInput(f"a {frame.format.name} frame of {frame.width}x{frame.height} does not hold {fmt}")
    itemsize = fmt.dtype.itemsize
    for index, plane in enumerate(_to_stored_order(planes, fmt)):
        target = frame.planes[index]
        rows = np.frombuffer(target, np.uint8).reshape(-1, target.line_size)[: plane.shape[0]]
        samples_in_row = int(np.prod(plane.shape[1:]))
        rows[:, : samples_in_row * itemsize].view(fmt.dtype).reshape(plane.shape)[...] = plane


def _to_stored_order(planes: Planes, fmt: PixelFormat) -> Planes:
    if fmt.family == "rgb" and fmt.layout == "planar":
        return tuple(planes[index] for index in _GBR_STORED)
    return planes


def _can_share(planes: Planes, fmt: PixelFormat, width: int, height: int) -> bool:
    if fmt.layout == "packed" or width % 2 or height % 2:
        return False
    return all(
        plane.flags.writeable and plane.strides[-1] == plane.itemsize and plane.strides[0] > 0 for plane in planes
    )
