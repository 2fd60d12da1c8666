"""One encoder stream: planes in, packets out. It knows nothing of files, so a segment can use it."""

from __future__ import annotations

from fractions import Fraction
from importlib import import_module
from typing import cast

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from sr_core.errors import BadInput, NotAvailable
from sr_core.frame import Device, GivenPlanes, PixelFormat, Planes
from sr_core.wording import option
from sr_video.convert import convert_frame
from sr_video.decide.card_frames import accel_on, take_card_frames
from sr_video.decide.encoding import EncoderSettings, becomes_limited, stored_tags
from sr_video.hdr import encoder_parameters, pour_into
from sr_video.native import last_words
from sr_video.pixels import copy_into, ffmpeg_name, frame_of
from sr_video.read.device_frames import samples_name
from sr_video.timing import decoding_ticks, reordering
from sr_video.write.on_card import device_of_encoder, frame_on_card

_UNKNOWN_RATE = Fraction(25)  # rate control wants one; timestamps never come from it


class VideoEncoder:
    """Adds its stream to `container`; `encode` returns packets for that stream.

    `start` must be called before the first frame.
    """

    def __init__(self, container: OutputContainer, settings: EncoderSettings) -> None:
        self.settings = settings
        self._reformatter = VideoReformatter()
        self._carrier = VideoReformatter()
        self._has_given = False
        options = _with_hdr(settings)
        try:
            accel = None if settings.card is None else accel_on(settings.card)
            stream = container.add_stream(settings.codec.encoder, options=options, hwaccel=accel)
        except ValueError as error:
            raise BadInput(
                f"a {container.format.name} file cannot hold {settings.codec.codec} video",
                hint=f"write .mkv (.mov for ProRes), or choose another {option('codec')}",
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
        if settings.card is not None:
            take_card_frames(context, settings.pix_fmt)
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

    @property
    def device(self) -> Device | None:
        """Where it also takes frames as they lie; None: arrays only."""
        return device_of_encoder(self.settings)

    def start(self, container: OutputContainer) -> None:
        """Open the encoder and write the header of its container; what writing raises is left as it is.

        Raises:
            BadInput, NotAvailable: the encoder refuses.
        """
        try:
            container.start_encoding()
        except av.FFmpegError as error:
            if self.stream.codec_context.is_open:
                raise
            raise open_error(error, self.settings) from error
        self._check_options()

    def _check_options(self) -> None:
        """Refuse options the opened encoder did not know; FFmpeg ignores them silently."""
        unknown = sorted(set(self.stream.codec_context.options) - {"threads"})
        if unknown:
            raise BadInput(
                f"{self.settings.codec.encoder} knows no option {unknown[0]!r}",
                hint=f"ffmpeg -h encoder={self.settings.codec.encoder} lists them",
            )

    def encode(
        self,
        planes: GivenPlanes,
        fmt: PixelFormat,
        *,
        ticks: int,
        duration_ticks: int,
        source: av.VideoFrame | None = None,
    ) -> list[Packet[VideoStream]]:
        """Encode one frame; `source` lends its captions where these are kept."""
        settings = self.settings
        frame = frame_on_card(planes, fmt) or self._in_memory(cast(Planes, planes), fmt, source)
        frame.colorspace = settings.tags.matrix if fmt.family == "yuv" else 0
        size = (settings.width, settings.height)
        tags = stored_tags(settings)
        to_limited = becomes_limited(settings)
        if to_limited or samples_name(frame) != settings.pix_fmt or (frame.width, frame.height) != size:
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
        assert (frame.width, frame.height, samples_name(frame)) == (*size, settings.pix_fmt)
        packets = self.stream.encode(frame)
        self._has_given = self._has_given or bool(packets)
        return packets

    def flush(self) -> list[Packet[VideoStream]]:
        """The packets the encoder still holds. Call it once."""
        packets = self.stream.encode(None)
        if self.settings.codec.encoder == "libx265" and not self._has_given:
            _decode_in_order(packets)
        return packets

    def _in_memory(self, planes: Planes, fmt: PixelFormat, source: av.VideoFrame | None) -> av.VideoFrame:
        return self._with_captions(planes, fmt, source) or frame_of(planes, fmt)

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


def _decode_in_order(packets: list[Packet[VideoStream]]) -> None:
    """Decoding times for all packets of a short video.

    x265 4.3 learns how late it decodes from the frame that follows its B-frames; of two frames it gives
    whatever its memory held before: 9187201950435737472, or -94805160785488, which muxers refuse or store.
    """
    shown = [packet.pts for packet in packets if packet.pts is not None]
    if len(shown) == len(packets) > 0:
        for packet, ticks in zip(packets, decoding_ticks(sorted(shown), reordering(shown)), strict=True):
            packet.dts = ticks


def has_avx512() -> bool:
    """This CPU makes x264 give other bytes every time: its macroblock tree with B-frames does under AVX-512.

    75 frames of 192x144, encoded 40 times with one thread: 40 different streams, and one with asm=avx2, at the
    same CPU time; machines with AVX2 then give the same. It is a matter of this machine, not of the job.
    """
    features = import_module("numpy._core._multiarray_umath").__cpu_features__  # what numpy.show_runtime prints
    return bool(features.get("AVX512F"))


def _with_hdr(settings: EncoderSettings) -> dict[str, str]:
    """The options, with what this machine and the video's HDR add to them."""
    options = dict(settings.options)
    if settings.codec.encoder == "libx264" and has_avx512():
        options["x264-params"] = ":".join(filter(None, ("asm=avx2", options.get("x264-params", ""))))
    if settings.device is not None and settings.codec.device_option:
        options.setdefault(settings.codec.device_option, str(settings.device))
    if settings.hdr:
        key, value = encoder_parameters(settings.codec.encoder, settings.hdr)
        if value:
            options[key] = f"{options[key]}:{value}" if key in options else value
    return options


def open_error(error: Exception, settings: EncoderSettings) -> BadInput | NotAvailable:
    """What an encoder that does not open means, in words."""
    name = settings.codec.encoder
    if settings.codec.needs:
        return NotAvailable(
            f"{name} cannot be used here: {last_words(error)}",
            hint=f"it needs {settings.codec.needs}; {option('codec', 'libx264')} works anywhere",
        )
    options = " ".join(f"{key}={value}" for key, value in settings.options)
    return BadInput(
        f"{name} refuses {settings.width}x{settings.height} {settings.pix_fmt} with {options}: {last_words(error)}",
        hint=f"check {option('crf')}, {option('preset')} and {option('options')}",
    )
