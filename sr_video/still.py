"""Single frames of a video: as the engine gets them, and as people see them.

    Source ─► Still (planes, as in a run) ─► engine ─► planes ─► seen() ─► RGB, turned upright

`to_rgb8` tells swscale matrix, range and siting, so a still shows the colors that a run would write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from sr_core.color import ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import Array, PixelFormat, Planes
from sr_video.convert import convert_frame
from sr_video.native import native_path
from sr_video.pixels import frame_of
from sr_video.read.facts import Matrix9, VideoFacts
from sr_video.read.source import Source

_BEFORE_END = (Fraction(1), Fraction(10), None)  # seconds to go back for the last frame; None: to the beginning
_TRANSFERS_HDR = (16, 18)  # PQ and HLG in ITU-T H.273, table 3
_UNSPECIFIED = 2
_SHORT_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Still:
    """One decoded frame.

    Attributes:
        seconds: when it is shown, from the beginning of the video as players count.
        ticks: its timestamp in the file.
        planes: copies, in `facts.format`.
    """

    seconds: float
    ticks: int
    planes: Planes
    facts: VideoFacts


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A small picture out of a video.

    Attributes:
        picture: H x W x 3, uint8, upright.
        detail: mean absolute step between neighbors of the gray picture, in codes; larger is busier.
    """

    seconds: float
    picture: Array
    detail: float


def still_at(path: str, seconds: Fraction) -> Still:
    """The first frame shown at `seconds` or later; the last one where there is none.

    Raises:
        SrError: as `Source` does.
    """
    with Source(path) as source:
        found = next(_stills(source, seconds), None)
        for back in () if found else _BEFORE_END:
            begin = None if back is None else max(Fraction(0), _length(source) - back)
            with Source(path) as again:
                last = deque(_stills(again, begin), maxlen=1)
                found = last[0] if last else None
            if found is not None:
                break
        if found is None:
            raise BadInput(f"no frame of {source.name} can be decoded", hint="does it play elsewhere?")
        return found


def _length(source: Source) -> Fraction:
    return source.facts.duration_seconds or Fraction(0)


def _stills(source: Source, seconds: Fraction | None) -> Iterator[Still]:
    begin = None if not seconds else source.start_seconds + seconds
    for unit in source.units(copied=frozenset(), start=begin):
        if (frame := unit.frame) is not None:
            shown = frame.ticks * source.facts.time_base - source.start_seconds
            planes = tuple(np.array(plane) for plane in frame.planes())
            yield Still(seconds=float(shown), ticks=frame.ticks, planes=planes, facts=source.facts)


def to_rgb8(
    planes: Planes,
    fmt: PixelFormat,
    color: ColorSpec,
    matrix: Matrix9 | None = None,
    *,
    size: tuple[int, int] | None = None,
) -> Array:
    """Planes as 8-bit RGB (H, W, 3), turned and mirrored as the display matrix says.

    HDR keeps its transfer: see `display_code_points`.

    Args:
        size: (width, height) before it is turned, by Lanczos as a run does; None: that of the planes.
    """
    width, height = size or (None, None)
    frame = convert_frame(VideoReformatter(), frame_of(planes, fmt), "rgb24", color, width=width, height=height)
    return upright(frame.to_ndarray(), matrix)


def upright(picture: Array, matrix: Matrix9 | None) -> Array:
    """Turn a picture (H, W, …) as the display matrix [a b u, c d v, x y w] says; other angles than right ones stay.

    A pixel at (x, y) is shown at (a x + c y, b x + d y).
    """
    if matrix is None:
        return picture
    a, b, c, d = (int(np.sign(matrix[index])) for index in (0, 1, 3, 4))
    if b and c and not a and not d:
        picture = picture.swapaxes(0, 1)
        a, d = c, b  # the picture's columns were rows
    elif b or c or not a or not d:
        return picture
    return np.ascontiguousarray(picture[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1])


def display_code_points(facts: VideoFacts) -> tuple[int, int] | None:
    """(primaries, transfer) of ITU-T H.273 that a picture of `to_rgb8` must carry; None where it is plain video."""
    tags = facts.tags
    if tags.transfer in _TRANSFERS_HDR:
        return (9 if tags.primaries == _UNSPECIFIED else tags.primaries), tags.transfer
    return None


def sample_video(path: str, *, count: int, width: int) -> list[Sample]:
    """At most `count` frames, evenly spread, `width` pixels wide, in order.

    Keyframes, which are quick to reach; a short video with few of them is decoded from end to end.

    Raises:
        SrError: as `Source` does.
    """
    with Source(path) as source:
        facts, start, length = source.facts, source.start_seconds, _length(source)
    wanted = [start + length * number / count for number in range(count)]
    with av.open(native_path(path)) as container:
        stream = container.streams[facts.index]
        assert isinstance(stream, VideoStream)
        stream.codec_context.skip_frame = "NONKEY"
        frames = [_keyframe(container, stream, seconds) for seconds in wanted]
    times = {frame.time for frame in frames if frame is not None}
    if len(times) <= count // 2 and length <= _SHORT_SECONDS:
        with av.open(native_path(path)) as container:
            frames = list(_nearest_frames(container.decode(video=0), wanted))
    reformatter, samples = VideoReformatter(), dict[float, Sample]()
    for frame in frames:
        if frame is not None and frame.time is not None and frame.time not in samples:
            samples[frame.time] = _sample(reformatter, frame, facts, frame.time - float(start), width)
    return [samples[time] for time in sorted(samples)]


def _keyframe(container: InputContainer, stream: VideoStream, seconds: Fraction) -> av.VideoFrame | None:
    with suppress(av.FFmpegError):  # a raw stream cannot seek, a damaged place does not decode: the others are enough
        container.seek(int(seconds / (stream.time_base or Fraction(1))), stream=stream, backward=True)
        return next(container.decode(stream), None)
    return None


def _nearest_frames(frames: Iterator[av.VideoFrame], wanted: list[Fraction]) -> Iterator[av.VideoFrame]:
    """The first frame at or after each of the `wanted` seconds."""
    left = list(wanted)
    with suppress(av.FFmpegError):
        for frame in frames:
            if left and frame.time is not None and frame.time >= left[0]:
                yield frame
                left = [seconds for seconds in left if seconds > frame.time]


def _sample(
    reformatter: VideoReformatter, frame: av.VideoFrame, facts: VideoFacts, seconds: float, width: int
) -> Sample:
    height = max(2, round(frame.height * width / frame.width)) & ~1
    small = convert_frame(reformatter, frame, "rgb24", facts.color, width=width & ~1, height=height)
    picture = small.to_ndarray()
    return Sample(seconds=max(0.0, seconds), picture=upright(picture, facts.display_matrix), detail=_detail(picture))


def _detail(picture: Array) -> float:
    gray = picture.astype(np.float32).mean(axis=2)
    return float(np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean())
