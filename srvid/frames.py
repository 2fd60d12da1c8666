"""Decoded frames in, larger frames out: planes as they are, times, tags and side data kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, cast

import av
from av.video.reformatter import Interpolation, VideoReformatter

from sr_core.color import ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import Device, GivenPlanes, PixelFormat, Planes
from sr_core.in_order import in_order
from sr_core.steady.window import check_steadiable, steadied
from sr_video.convert import convert_frame
from sr_video.pixels import copy_into, ffmpeg_name, frame_of, nearest_format, pixel_format, planes_of
from sr_video.read.device_frames import on_host, planes_on, samples_name
from sr_video.read.facts import color_after, color_of


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What the first frame says of all."""

    size: tuple[int, int]
    format: PixelFormat
    color: ColorSpec


@dataclass(frozen=True)
class _Taken:
    """A frame, and its planes as the engine gets them."""

    frame: av.VideoFrame
    planes: GivenPlanes
    color: ColorSpec


class _Engine(Protocol):
    """What is asked of `srvid.Upscaler`."""

    scale: int
    in_flight: int

    def device_for(self, fmt: PixelFormat, width: int, height: int) -> Device | None: ...

    def submit_at(self, moment: int, planes: GivenPlanes, fmt: PixelFormat, color: ColorSpec) -> Future[Planes]: ...


def enlarge_frames(
    upscaler: _Engine, frames: Iterable[av.VideoFrame], *, steady: bool = False
) -> Iterator[av.VideoFrame]:
    """See `srvid.Upscaler.frames`."""
    source = iter(frames)
    if (first := next(source, None)) is None:
        return
    kind, reformatter = _kind_of(first), VideoReformatter()
    if steady:
        check_steadiable(kind.format, *kind.size)

    def submit(numbered: tuple[int, _Taken]) -> Future[Planes]:
        number, taken = numbered
        moment = number if taken.frame.pts is None else taken.frame.pts
        return upscaler.submit_at(moment, taken.planes, kind.format, taken.color)

    def take(frame: av.VideoFrame) -> _Taken:
        # asked each time: known when a graph has opened
        device = None if steady else upscaler.device_for(kind.format, *kind.size)
        return _take(frame, kind, device, reformatter)

    numbered = in_order(enumerate(map(take, chain([first], source))), submit, in_flight=upscaler.in_flight)
    made: Iterator[tuple[_Taken, Planes]] = ((taken, planes) for (_, taken), planes in numbered)
    if steady:
        # arrays: `take` asked for them
        three = ((taken, cast(Planes, taken.planes), planes) for taken, planes in made)
        made = steadied(three, kind.format, upscaler.scale)
    for taken, planes in made:
        yield _finish(taken.frame, kind.format, planes, reformatter)


def _kind_of(frame: av.VideoFrame) -> _Kind:
    if not isinstance(frame, av.VideoFrame):
        raise BadInput(
            f"{type(frame).__name__} is no av.VideoFrame",
            hint="give container.decode(video=0) of PyAV; image() takes arrays",
        )
    fmt = nearest_format(samples_name(frame))
    return _Kind(size=(frame.width, frame.height), format=fmt, color=color_of(frame, fmt))


def _take(frame: av.VideoFrame, kind: _Kind, device: Device | None, reformatter: VideoReformatter) -> _Taken:
    size = frame.width, frame.height
    if size != kind.size:
        raise BadInput(
            f"a frame of {size[0]}x{size[1]} after frames of {kind.size[0]}x{kind.size[1]}",
            hint="call frames() once for each size",
        )
    if frame.interlaced_frame:
        raise BadInput(
            "the frame is interlaced, and upscaling would weave its two moments together",
            hint="deinterlace first: a bwdif filter in av.filter.Graph",
        )
    color = color_after(kind.color, frame, kind.format)
    lent = None if device is None else planes_on(device, frame, kind.format)
    if lent is None:
        host = on_host(frame)
        if pixel_format(samples_name(host)) != kind.format:
            host = convert_frame(reformatter, host, ffmpeg_name(kind.format), kind.color, given=color)
            color = kind.color
        return _Taken(frame, planes_of(host, kind.format), color)
    return _Taken(frame, lent, color)


def _finish(source: av.VideoFrame, fmt: PixelFormat, planes: Planes, reformatter: VideoReformatter) -> av.VideoFrame:
    if source.side_data:
        # PyAV copies side data only while it scales: the samples of that are replaced
        width, height = fmt.check(planes)
        large = reformatter.reformat(
            on_host(source), width, height, ffmpeg_name(fmt), interpolation=Interpolation.POINT, threads=1
        )
        copy_into(large, planes, fmt)
    else:
        large = frame_of(planes, fmt)
    large.color_range, large.colorspace = source.color_range, source.colorspace
    large.color_primaries, large.color_trc = source.color_primaries, source.color_trc
    large.chroma_location = source.chroma_location
    large.pts, large.dts, large.duration = source.pts, source.dts, source.duration
    if source.time_base is not None:
        large.time_base = source.time_base
    return large
