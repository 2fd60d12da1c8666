"""One encoder stream: planes in, packets out. It knows nothing of files, so a segment can use it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from sr_core.color import ColorSpec
from sr_core.errors import BadInput, NotAvailable
from sr_core.frame import PixelFormat, Planes
from sr_core.media.codecs import VideoCodec, stored_format
from sr_core.media.convert import convert_frame
from sr_core.media.facts import ColourTags, Matrix9
from sr_core.media.hdr import Crop, Hdr10, encoder_parameters, pour_into
from sr_core.media.native import last_words
from sr_core.media.pixels import copy_into, ffmpeg_name, frame_of

_UNKNOWN_RATE = Fraction(25)  # rate control wants one; timestamps never come from it


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """Everything an encoder is told. `options` are the final FFmpeg options, HDR not yet included."""

    codec: VideoCodec
    pix_fmt: str
    width: int
    height: int
    options: tuple[tuple[str, str], ...]
    time_base: Fraction
    frame_rate: Fraction | None
    sample_aspect: Fraction
    color: ColorSpec
    tags: ColourTags
    display_matrix: Matrix9 | None
    crop: Crop
    hdr: Hdr10
    keeps_captions: bool
    is_rgb_source: bool


class VideoEncoder:
    """Adds its stream to `container`; `encode` returns packets for that stream.

    The container's header must be written (`start_encoding`) before the first frame, and
    `check_options` called after that.
    """

    def __init__(self, container: OutputContainer, settings: EncoderSettings) -> None:
        self.settings = settings
        self._reformatter = VideoReformatter()
        self._carrier = VideoReformatter()
        options = _with_hdr(settings)
        try:
            stream = container.add_stream(settings.codec.encoder, options=options)
        except ValueError as error:
            raise BadInput(
                f"a {container.format.name} file cannot hold {settings.codec.codec} video",
                hint="write .mkv (.mov for ProRes), or choose another --codec",
            ) from error
        assert isinstance(stream, VideoStream)  # every row of VIDEO_CODECS is video
        self.stream = stream
        self._configure(container)

    def _configure(self, container: OutputContainer) -> None:
        settings, stream = self.settings, self.stream
        context = stream.codec_context
        context.thread_type = "AUTO"  # PyAV's default makes x264 slice its frames
        context.width, context.height = settings.width, settings.height
        context.pix_fmt = settings.pix_fmt
        stream.time_base = settings.time_base
        context.time_base = settings.time_base
        rate = settings.frame_rate or _UNKNOWN_RATE
        context.framerate = min(rate, settings.codec.fastest_rate or rate)
        context.sample_aspect_ratio = settings.sample_aspect
        tags = stored_tags(settings)
        context.color_range = tags.range
        context.color_primaries = tags.primaries
        context.color_trc = tags.transfer
        context.colorspace = tags.matrix
        context.chroma_sample_location = tags.siting
        context.flags |= Flags.frame_duration  # otherwise Matroska gets constant durations
        if settings.codec.codec == "hevc" and container.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # Apple's players know no other
        if settings.hdr or any(settings.crop):
            pour_into(
                stream,
                settings.hdr,
                codec=settings.codec.codec,
                width=settings.width,
                height=settings.height,
                crop=settings.crop,
            )
        if settings.display_matrix is not None:
            stream.set_display_matrix(settings.display_matrix)

    def check_options(self) -> None:
        """Refuse options the opened encoder did not know; FFmpeg ignores them silently."""
        unknown = sorted(set(self.stream.codec_context.options) - {"threads"})
        if unknown:
            raise BadInput(
                f"{self.settings.codec.encoder} knows no option {unknown[0]!r}",
                hint=f"ffmpeg -h encoder={self.settings.codec.encoder} lists them",
            )

    def encode(
        self,
        planes: Planes,
        fmt: PixelFormat,
        *,
        ticks: int,
        duration_ticks: int,
        source: av.VideoFrame | None = None,
    ) -> list[Packet[VideoStream]]:
        """Encode one frame; `source` lends its captions where these are kept."""
        settings = self.settings
        frame = self._with_captions(planes, fmt, source) or frame_of(planes, fmt)
        frame.colorspace = settings.tags.matrix if fmt.family == "yuv" else 0
        size = (settings.width, settings.height)
        tags = stored_tags(settings)
        to_limited = becomes_limited(settings)
        if to_limited or frame.format.name != settings.pix_fmt or (frame.width, frame.height) != size:
            frame = convert_frame(
                self._reformatter,
                frame,
                settings.pix_fmt,
                settings.color,
                width=size[0],
                height=size[1],
                to_limited=to_limited,
            )
        frame.color_range, frame.colorspace = tags.range, tags.matrix
        frame.color_primaries, frame.color_trc = tags.primaries, tags.transfer
        frame.chroma_location = tags.siting
        frame.pict_type = 0  # the source's would be forced on the encoder
        frame.time_base = settings.time_base
        frame.pts, frame.duration = ticks, duration_ticks
        # encode() would silently rescale anything else
        assert (frame.width, frame.height, frame.format.name) == (*size, settings.pix_fmt)
        return self.stream.encode(frame)

    def flush(self) -> list[Packet[VideoStream]]:
        """The packets the encoder still holds. Call it once."""
        return self.stream.encode(None)

    def _with_captions(self, planes: Planes, fmt: PixelFormat, source: av.VideoFrame | None) -> av.VideoFrame | None:
        """A frame of ours that carries the source's side data: PyAV copies it only when scaling."""
        if source is None or not self.settings.keeps_captions or source.side_data.get("A53_CC") is None:
            return None
        width, height = fmt.check(planes)
        frame = self._carrier.reformat(
            source, width, height, ffmpeg_name(fmt), interpolation=Interpolation.POINT, threads=1
        )
        copy_into(frame, planes, fmt)
        return frame


def stored_tags(settings: EncoderSettings) -> ColourTags:
    """The tags of the output: the source's, except where RGB becomes YUV, YUV RGB, or full range limited.

    RGB sources are often tagged full range, or not at all; `convert_frame` makes limited YUV of them.
    """
    tags = settings.tags
    target = stored_format(settings.pix_fmt)
    is_rgb_out = target is not None and target.family == "rgb"
    if is_rgb_out:
        return ColourTags(range=2, primaries=tags.primaries, transfer=tags.transfer, matrix=0, siting=0)
    if settings.is_rgb_source:
        matrix = {"bt709": 1, "fcc": 4, "bt601": 6, "smpte240m": 7, "bt2020": 9}[settings.color.matrix]
        return ColourTags(range=1, primaries=tags.primaries, transfer=tags.transfer, matrix=matrix, siting=1)
    return replace(tags, range=1) if becomes_limited(settings) else tags


def becomes_limited(settings: EncoderSettings) -> bool:
    """True where full-range YUV must be squeezed, because the codec knows limited range only."""
    return settings.codec.limited_only and settings.color.full_range and not settings.is_rgb_source


def _with_hdr(settings: EncoderSettings) -> dict[str, str]:
    options = dict(settings.options)
    if settings.hdr:
        key, value = encoder_parameters(settings.codec.encoder, settings.hdr)
        if value:
            options[key] = f"{options[key]}:{value}" if key in options else value
    return options


def open_error(error: Exception, settings: EncoderSettings) -> BadInput | NotAvailable:
    """What an encoder that does not open means, in words."""
    name = settings.codec.encoder
    if name.endswith("_nvenc"):
        return NotAvailable(
            f"{name} cannot be used here: {last_words(error)}",
            hint="it needs an NVIDIA GPU and its driver; --codec libx264 works anywhere",
        )
    options = " ".join(f"{key}={value}" for key, value in settings.options)
    return BadInput(
        f"{name} refuses {settings.width}x{settings.height} {settings.pix_fmt} with {options}: {last_words(error)}",
        hint="check --crf, --preset and -o",
    )
