"""Frames that a hardware decoder leaves on its card: what is in them, and how they are read.

    NVDEC ─► VideoFrame('cuda', samples nv12 | p010le) ─┬─► planes_on(card)   DLPack planes, nothing copied
                                                        └─► on_host(frame)    the same frame, downloaded

Frames in ordinary memory go the same ways: for them the card is DLPack's CPU, and `on_host` is the
frame itself. Planes taken by either way keep their frame alive and are read only.
"""

from __future__ import annotations

import av
from av.video.codeccontext import VideoCodecContext

from sr_core.backends.dlpack import DevicePlane
from sr_core.frame import Device, GivenPlanes, PixelFormat
from sr_video.pixels import in_our_order, pixel_format

_Origin = tuple[int, int]


def samples_name(frame: av.VideoFrame) -> str:
    """FFmpeg's name for the samples of `frame`, wherever they lie."""
    return (frame.sw_format or frame.format).name


def on_host(frame: av.VideoFrame) -> av.VideoFrame:
    """`frame`, downloaded if it lies on a card; times, tags and side data come along."""
    return frame if frame.sw_format is None else frame.reformat(format=frame.sw_format.name)


def planes_on(device: Device, frame: av.VideoFrame, fmt: PixelFormat) -> tuple[DevicePlane, ...] | None:
    """The planes of `frame` where they lie, or None: they are not on `device`, or DLPack cannot tell them.

    On a card PyAV lends NV12, P010 and P016 of even sizes; NVDEC's 4:4:4 it does not.
    """
    if pixel_format(samples_name(frame)) != fmt:
        return None
    stored = frame.planes[: len(fmt.plane_names)]
    try:
        if any(plane.__dlpack_device__() != device for plane in stored):
            return None
        lent = in_our_order(tuple(DevicePlane.borrow(plane) for plane in stored), fmt)
    except NotImplementedError:
        return None
    shapes = fmt.plane_shapes(frame.width, frame.height)
    fits = all(plane.shape == shape and plane.dtype == fmt.dtype for plane, shape in zip(lent, shapes, strict=True))
    return lent if fits else None


def device_of(frame: av.VideoFrame) -> Device:
    """Where the frame's first plane lies."""
    kind, number = frame.planes[0].__dlpack_device__()
    return kind, number


def hidden_edges(frame: av.VideoFrame, decoder: VideoCodecContext) -> _Origin:
    """Columns at the left and rows at the top of `frame` that do not belong to the picture.

    FFmpeg cuts what a stream hides off all four sides of a frame in memory, but off the right and
    the bottom only of one on a card. The decoder's own size is that of the picture.
    """
    if not decoder.is_hwaccel:
        return 0, 0
    return max(frame.width - decoder.width, 0), max(frame.height - decoder.height, 0)


def drop_edges(planes: GivenPlanes, fmt: PixelFormat, origin: _Origin) -> GivenPlanes:
    """Views of `planes` without the first columns and rows."""
    if origin == (0, 0):
        return planes
    cut = []
    for name, plane in zip(fmt.plane_names, planes, strict=True):
        across, down = fmt.plane_divisor(name)
        rows, columns = plane.shape[:2]
        cut.append(plane[origin[1] // down : rows, origin[0] // across : columns])
    return tuple(cut)
