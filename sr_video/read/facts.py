"""What a video is, read from its first decoded frame rather than from what its header claims."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from sr_core.color import MATRIX_FROM_H273, ColorSpec, color_from_tags
from sr_core.errors import BadInput
from sr_core.frame import PixelFormat
from sr_video.hdr import Hdr10, hdr10_from_side_data
from sr_video.native import exact
from sr_video.pixels import has_alpha, nearest_format
from sr_video.read.device_frames import hidden_edges, samples_name
from sr_video.timing import seconds_from_text

MICROSECOND = Fraction(1, 1_000_000)  # AV_TIME_BASE
_LEAST_BIT_RATE = 500  # bits a second; nobody's video is so small, so its length is not believed
_INTERLACED_ORDERS = (2, 3, 4, 5)  # AVFieldOrder: TT, BB, TB, BT
_DYNAMIC_METADATA = {  # frame side data that changes from frame to frame
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_METADATA": "Dolby Vision",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
}
Matrix9 = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ColorTags:
    """The five tags as FFmpeg counts them; 2 (0 for range and siting) means unspecified."""

    range: int
    primaries: int
    transfer: int
    matrix: int
    siting: int


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """The video stream that will be upscaled.

    Attributes:
        pix_fmt: FFmpeg's name of the decoded format.
        format: ours, in which the planes are handed out.
        color: what the samples mean; `tags` is what the file says of it.
        sample_aspect: width over height of a sample, 0 where unspecified.
        frame_rate_from_header: for ETA and rate control only, never for timestamps.
        frames_from_header: 0 where the container does not say.
        display_matrix: nine 16.16 and 2.30 numbers; frames are not rotated by the decoder.
        dynamic_metadata: names of per-frame HDR metadata found on the first frame.
        has_captions: CEA-608/708 captions ride on the frames.
    """

    index: int
    codec: str
    width: int
    height: int
    pix_fmt: str
    format: PixelFormat
    color: ColorSpec
    tags: ColorTags
    time_base: Fraction
    sample_aspect: Fraction
    frame_rate_from_header: Fraction | None
    frames_from_header: int
    duration_seconds: Fraction | None
    display_matrix: Matrix9 | None
    hdr: Hdr10
    is_interlaced: bool
    drops_alpha: bool
    dynamic_metadata: tuple[str, ...]
    has_captions: bool


def facts_of(stream: VideoStream, frame: av.VideoFrame, *, duration_seconds: Fraction | None) -> VideoFacts:
    """Gather the facts from `stream` and its first decoded frame.

    Raises:
        BadInput: colours that cannot be converted.
    """
    context = stream.codec_context
    _refuse_dolby_vision_5(context.coded_side_data.get("dovi_conf"))
    side = {kind.name: bytes(data) for kind, data in frame.side_data.items()}
    coded = context.coded_side_data
    matrix = coded.get("display_matrix") or side.get("DISPLAYMATRIX")  # the latter from an SEI
    pix_fmt = samples_name(frame)
    left, top = hidden_edges(frame, context)
    fmt = nearest_format(pix_fmt)
    rate = exact(stream.average_rate) if stream.average_rate else None
    if rate is None and stream.guessed_rate:
        rate = exact(stream.guessed_rate)
    return VideoFacts(
        index=stream.index,
        codec=context.codec.canonical_name,
        width=frame.width - left,
        height=frame.height - top,
        pix_fmt=pix_fmt,
        format=fmt,
        color=color_of(frame, fmt),
        tags=ColorTags(
            range={None: 0, False: 1, True: 2}[_stated_range(frame)],
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
            matrix=int(frame.colorspace),
            siting=int(frame.chroma_location),
        ),
        time_base=exact(stream.time_base),
        sample_aspect=exact(stream.sample_aspect_ratio) if stream.sample_aspect_ratio else Fraction(0),
        frame_rate_from_header=rate,
        frames_from_header=stream.frames,
        duration_seconds=duration_seconds,
        display_matrix=struct.unpack("<9i", matrix) if matrix and len(matrix) == 36 else None,
        hdr=hdr10_from_side_data(
            side.get("MASTERING_DISPLAY_METADATA") or coded.get("mastering_display_metadata"),
            side.get("CONTENT_LIGHT_LEVEL") or coded.get("content_light_level"),
        ),
        is_interlaced=frame.interlaced_frame or context.field_order in _INTERLACED_ORDERS,
        drops_alpha=has_alpha(pix_fmt) or stream.metadata.get("alpha_mode") == "1",
        dynamic_metadata=tuple(name for kind, name in _DYNAMIC_METADATA.items() if kind in side),
        has_captions="A53_CC" in side,
    )


def choose_video(container: InputContainer, name: str) -> VideoStream:
    """The video that is upscaled: the default one, else the first; covers are none.

    Raises:
        BadInput: none, or none that can be decoded; the container is closed then.
    """
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    videos = [s for s in pictures if s.codec_context is not None]
    if not videos:
        has_audio = bool(container.streams.audio)
        container.close()
        if pictures:
            raise BadInput(f"no decoder for the video in {name}", hint="convert it with ffmpeg first")
        kinds = "only sound" if has_audio else "no video stream"
        raise BadInput(f"{name} has {kinds}, nothing to upscale", hint="is it the right file?")
    return next((s for s in videos if s.disposition & Disposition.default), videos[0])


def duration_of(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Seconds that the file claims, where they can be believed."""
    if stream.duration:
        return stream.duration * exact(stream.time_base)
    if not container.duration:
        return None
    claimed, size = container.duration * MICROSECOND, container.size or 0
    if size <= 0 or size * 8 / claimed >= _LEAST_BIT_RATE:
        return claimed
    with suppress(BadInput):  # one subtitle makes a file a thousand hours long; Matroska also says how long each is
        return min(claimed, seconds_from_text(stream.metadata.get("DURATION", "")))
    return None


def _refuse_dolby_vision_5(configuration: bytes | None) -> None:
    """Profile 5 stores IPT, not YCbCr, and says so nowhere else; other profiles hold HDR10, HLG or SDR."""
    if configuration is not None and len(configuration) > 2 and configuration[2] == 5:
        raise BadInput(
            "the video is Dolby Vision profile 5, whose colours only a Dolby decoder understands",
            hint="convert it to HDR10 first, or use another edition of the video",
        )


def color_of(frame: av.VideoFrame, fmt: PixelFormat) -> ColorSpec:
    """What the samples of a decoded frame mean.

    Raises:
        BadInput: a matrix that is not linear in RGB.
    """
    return color_from_tags(
        matrix=int(frame.colorspace),
        is_full_range=_stated_range(frame),
        chroma_location=int(frame.chroma_location),
        width=frame.width,
        height=frame.height,
        family=fmt.family,
    )


def color_after(first: ColorSpec, frame: av.VideoFrame, fmt: PixelFormat) -> ColorSpec:
    """What the samples of a later frame mean: matrix and range as it states them, the rest as in the `first`.

    Raises:
        BadInput: a matrix that is not linear in RGB.
    """
    if fmt.family != "yuv":
        return first
    now = color_of(frame, fmt)
    return replace(
        first,
        matrix=now.matrix if int(frame.colorspace) in MATRIX_FROM_H273 else first.matrix,
        full_range=first.full_range if _stated_range(frame) is None else now.full_range,
    )


def _stated_range(frame: av.VideoFrame) -> bool | None:
    """Whether the samples use the full range; None where nothing says so."""
    # the tag first: H.264 that turns limited on the way keeps the format it began with
    implied = True if samples_name(frame).startswith("yuvj") else None
    return {1: False, 2: True}.get(int(frame.color_range), implied)
