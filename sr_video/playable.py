"""A clip that every browser plays: H.264 in MP4, 8 bits, 4:2:0. For looking at, never an output.

What is such H.264 already is copied, in no time; everything else is encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from sr_core.errors import BadInput, Cancelled
from sr_core.frame import Planes
from sr_core.storage import storage_error
from sr_video.convert import convert_frame
from sr_video.native import native_path
from sr_video.pixels import frame_of
from sr_video.read.facts import VideoFacts
from sr_video.read.source import Source
from sr_video.read.source_frame import SourceFrame
from sr_video.still import to_rgb8

_MUXER = {"movflags": "+faststart"}
_PLAYED_TIME_BASE = Fraction(1, 90_000)
_MAX_SIDE = 4096  # what decoders of H.264 up to level 5.2 take
_CRF = "16"  # nearly as the frames were; made once, looked at, dropped


def make_playable(
    source_path: str,
    target: Path,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> int:
    """Write the pictures of `source_path` between two moments, from 0:00 on, and return their number.

    Pictures stand upright; sound is left out. The file gets its name when it is complete.

    Args:
        is_wanted: asked at every frame.

    Raises:
        SrError: as `Source` does; StorageError where `target` cannot be written; Cancelled: it is not wanted any more.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        count = _copy(source_path, part) if start is end is None else 0
        if not count:
            with Source(source_path) as source:
                count = _encode(source, part, start, end, is_wanted)
        part.replace(target)
    except OSError as error:
        raise storage_error(error, target, "cannot write") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _copy(source_path: str, part: Path) -> int:
    """Put what browsers play into MP4 as it is; returns the number of pictures, 0 where it must be encoded."""
    with suppress(av.FFmpegError), av.open(native_path(source_path)) as source:
        stream = source.streams.video[0]
        context = stream.codec_context
        is_played = (context.name, context.pix_fmt) == ("h264", "yuv420p")
        if not is_played or max(stream.width, stream.height) > _MAX_SIDE:
            return 0
        with av.open(str(part.absolute()), "w", format="mp4", options=_MUXER) as container:
            copy = container.add_stream_from_template(stream)
            packets = [packet for packet in source.demux(stream) if packet.size]
            first = min((packet.pts for packet in packets if packet.pts is not None), default=0)
            for packet, decoded in zip(packets, _decoding_times(packets), strict=True):
                if packet.pts is None:
                    return 0
                packet.pts, packet.dts, packet.stream = packet.pts - first, decoded - first, copy
                container.mux(packet)
            return len(packets)
    return 0


def _decoding_times(packets: list[Packet[VideoStream]]) -> list[int]:
    """Of all packets; Matroska has none of the pictures at the beginning that others are made of."""
    known = next((number for number, packet in enumerate(packets) if packet.dts is not None), 0)
    begin = packets[known].dts if packets else None
    return [
        (begin or 0) - (known - number) if packet.dts is None else packet.dts for number, packet in enumerate(packets)
    ]


def _encode(
    source: Source, part: Path, start: Fraction | None, end: Fraction | None, is_wanted: Callable[[], bool]
) -> int:
    facts, origin = source.facts, source.start_seconds
    reformatter = VideoReformatter()
    count, first, stream = 0, Fraction(0), None
    units = source.units(
        copied=frozenset(),
        start=None if start is None else origin + start,
        end=None if end is None else origin + end,
    )
    with av.open(str(part.absolute()), "w", format="mp4", options=_MUXER) as container:
        for frame in (unit.frame for unit in units if unit.frame is not None):
            if not is_wanted():
                raise Cancelled("the clip is not wanted any more")
            picture = _turn(frame, facts)
            seconds = frame.ticks * facts.time_base
            if stream is None:
                first, stream = seconds, _stream(container, picture, facts)
            width, height = stream.width, stream.height
            small = convert_frame(reformatter, picture, "yuv420p", frame.color, width=width, height=height)
            small.pts, small.time_base = round((seconds - first) / _PLAYED_TIME_BASE), _PLAYED_TIME_BASE
            small.pict_type = 0  # the source's would be forced on the encoder
            container.mux(stream.encode(small))
            count += 1
        if stream is None:
            raise BadInput(f"no frame of {source.name} lies there", hint="how long is the video?")
        container.mux(stream.encode(None))
    return count


def _turn(frame: SourceFrame, facts: VideoFacts) -> av.VideoFrame:
    planes = cast(Planes, frame.planes())  # in ordinary memory: no device was asked for
    if facts.display_matrix is None:
        return frame_of(planes, facts.format)
    picture = to_rgb8(planes, facts.format, frame.color, facts.display_matrix)
    return av.VideoFrame.from_ndarray(picture, format="rgb24")


def _stream(container: OutputContainer, picture: av.VideoFrame, facts: VideoFacts) -> VideoStream:
    shrink = max(1, picture.width / _MAX_SIDE, picture.height / _MAX_SIDE)
    stream = container.add_stream("libx264", options={"crf": _CRF, "preset": "veryfast"})
    stream.width, stream.height = (max(2, int(side / shrink) & ~1) for side in (picture.width, picture.height))
    stream.pix_fmt = "yuv420p"
    context, tags = stream.codec_context, facts.tags
    context.time_base = stream.time_base = _PLAYED_TIME_BASE
    context.color_primaries, context.color_trc, context.colorspace = tags.primaries, tags.transfer, tags.matrix
    context.color_range = 2 if facts.color.full_range and picture.format.name != "rgb24" else 1
    if facts.sample_aspect and facts.display_matrix is None:
        context.sample_aspect_ratio = facts.sample_aspect
    return stream
