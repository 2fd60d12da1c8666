"""What becomes of every stream beside the video: copied, converted, attached, or said to be lost.

Whether a container takes a stream is not looked up in a table but tried: a header with that one
stream is written to nowhere. One refused stream would otherwise fail the whole real header.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, Protocol

import av
from av.audio.codeccontext import AudioCodecContext
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from sr_core.errors import DamagedMedia
from sr_core.wording import printable
from sr_video.decide.containers import OutputFormat, lasting_tags
from sr_video.decide.languages import UNKNOWN, stored_language
from sr_video.decide.sound import rounding
from sr_video.read.facts import VideoFacts

Action = Literal["video", "copy", "convert", "attach", "cover"]
_TEXT_SUBTITLES = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
_PLACEHOLDERS = {"audio": "aac", "subtitle": "mov_text", "video": "h264"}  # for streams without a decoder
_COVER_FILES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """One stream of the output. `index` is its number in the input, `codec` what it is in the output.

    `language` is what the output's container calls it, '' where the input says none; `lost_tags` are keys of
    the input's tags that it does not keep.
    """

    index: int
    kind: str
    action: Action
    codec: str = ""
    language: str = ""
    lost_tags: tuple[str, ...] = ()


class Input(Protocol):
    """What an output is told of its input: a `Source`, or one that is read only to rehearse."""

    @property
    def container(self) -> InputContainer: ...

    @property
    def facts(self) -> VideoFacts: ...

    @property
    def start_seconds(self) -> Fraction: ...

    def early_packet(self, index: int) -> bytes | None: ...


class Nowhere(io.RawIOBase):
    """A seekable file that keeps nothing."""

    def __init__(self) -> None:
        self._at = 0
        self._end = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        count = len(memoryview(data))  # type: ignore[arg-type]
        self._at += count
        self._end = max(self._end, self._at)
        return count

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._end)[whence]
        return self._at

    def tell(self) -> int:
        return self._at


def plan_streams(
    source: InputContainer, video_index: int, target: OutputFormat, *, keeps_audio: bool
) -> tuple[tuple[StreamPlan, ...], tuple[str, ...]]:
    """Decide for every stream, in the input's order; the notes say what is lost or changed."""
    plans: list[StreamPlan] = []
    notes: list[str] = []
    for stream in source.streams:
        if stream.index == video_index:
            plans.append(StreamPlan(index=stream.index, kind="video", action="video"))
        elif not (stream.type == "audio" and not keeps_audio):
            plan, note = _plan_one(stream, target)
            plans += [plan] if plan else []
            notes += [note] if note else []
    named = [_with_language(plan, source.streams[plan.index], target) for plan in plans]
    return tuple(plan for plan, _ in named), (*notes, *(note for _, note in named if note))


def _with_language(plan: StreamPlan, stream: Stream, target: OutputFormat) -> tuple[StreamPlan, str]:
    """`plan` with the language as the container names it; a note where it has no name for it."""
    tags = lasting_tags(stream.metadata, is_stream=True)
    wanted = tags.get("language", tags.get("LANGUAGE", ""))
    if not wanted or plan.kind == "attachment":
        return plan, ""
    found = stored_language(wanted, target.muxer)
    note = ""
    if UNKNOWN == found != wanted:
        note = f"the language {printable(wanted)} of stream {plan.index} is lost: {target.muxer} has no name for it"
    elif found != wanted and len(wanted) > len(found):  # less its region or script
        note = f"the language {printable(wanted)} of stream {plan.index} becomes {found}: {target.muxer} names no more"
    return replace(plan, language=found), note


def _plan_one(stream: Stream, target: OutputFormat) -> tuple[StreamPlan | None, str]:
    kind = stream.type
    name = _describe(stream)
    if _is_recreated(stream):
        return None, ""
    if kind == "attachment" and not target.takes_attachments:
        return None, f"{name} is lost: {target.muxer} holds no attachments (.mkv does)"
    is_cover = bool(stream.disposition & Disposition.attached_pic)
    if is_cover and _codec_name(stream) in _COVER_FILES and target.takes_covers:
        return StreamPlan(index=stream.index, kind=kind, action="cover"), ""
    if kind == "data" and target.is_mp4_like and _codec_name(stream) in ("", "none", "unknown"):
        return None, f"{name} is lost: nobody but its maker knows what it is, and {target.muxer} cannot describe it"
    if kind in _PLACEHOLDERS and not _has_decoder(stream):
        if is_cover or why_not_muxable(stream, target.muxer):
            return None, f"{name} is lost: FFmpeg does not know what it is"
        return StreamPlan(index=stream.index, kind=kind, action="copy"), ""
    refusal = "covers are JPEG or PNG, in MP4 and MKV" if is_cover else why_not_muxable(stream, target.muxer)
    if not refusal and _lacks_layout(stream) and target.muxer == "mp4":
        refusal = "it does not say which channel is which"
    if not refusal:
        is_second_video = f"{name} is copied at its own size: one video stream is upscaled"
        action: Action = "attach" if kind == "attachment" else "copy"
        plan = StreamPlan(index=stream.index, kind=kind, action=action, codec=_codec_name(stream))
        return plan, is_second_video if kind == "video" else ""
    if kind == "subtitle" and _codec_name(stream) in _TEXT_SUBTITLES:
        plan = StreamPlan(index=stream.index, kind=kind, action="convert", codec=target.text_subtitles)
        cut = ", and shows one at a time: of two that overlap, the first ends early" if target.is_mp4_like else ""
        return plan, f"{name} becomes {target.text_subtitles}: {target.muxer} takes no other text{cut}"
    if kind == "audio" and _channels(stream):
        plan = StreamPlan(index=stream.index, kind=kind, action="convert", codec=target.sound)
        becomes = f"{name} becomes {target.sound}{rounding(stream, target.sound)}"
        return plan, f"{becomes}: {target.muxer} does not take it as it is"
    more = "" if target.muxer == "matroska" else "; .mkv takes more"
    return None, f"{name} is lost: {target.muxer} does not take it ({refusal}){more}"


def alternatives(
    stream: Stream, plan: StreamPlan, target: OutputFormat, why: str
) -> Iterator[tuple[StreamPlan | None, str]]:
    """What else may become of a stream that `target` does not keep as `plan` has it, with notes; None: it is lost."""
    name = _describe(stream)
    is_text = plan.kind == "subtitle" and _codec_name(stream) in _TEXT_SUBTITLES
    is_sound = plan.kind == "audio" and _channels(stream)
    if plan.action == "copy" and (is_text or is_sound):
        codec = target.text_subtitles if is_text else target.sound
        loss = "" if is_text else rounding(stream, codec)
        note = f"{name} becomes {codec}{loss}: {target.muxer} does not keep it as it is ({why})"
        yield replace(plan, action="convert", codec=codec), note
    yield None, f"{name} is lost: {target.muxer} does not keep it ({why})"


def _is_recreated(stream: Stream) -> bool:
    """Timecode and chapter tracks: the muxer writes its own from tags and chapters."""
    if stream.type != "data":
        return False
    has_chapters = stream.name == "bin_data" and bool(stream.container.chapters())
    return "timecode" in stream.metadata or has_chapters


def _codec_name(stream: Stream) -> str:
    if _has_decoder(stream):
        return stream.codec_context.codec.canonical_name
    try:
        return str(stream.name or "")
    except AttributeError:  # PyAV asks the decoder that is not there
        return ""


def _has_decoder(stream: Stream) -> bool:
    context: object = stream.codec_context  # PyAV's stubs do not know that it may be missing
    return context is not None


def _channels(stream: Stream) -> int:
    return stream.codec_context.channels if isinstance(stream.codec_context, AudioCodecContext) else 0


def _lacks_layout(stream: Stream) -> bool:
    """PCM as AVI has it: a number of channels without their places, which MP4 needs in its `chnl` box."""
    if stream.type != "audio" or not _codec_name(stream).startswith("pcm_"):
        return False
    layout = getattr(stream.codec_context, "layout", None)
    return layout is not None and layout.name.endswith("channels")


def _describe(stream: Stream) -> str:
    tags = stream.metadata
    words = [word for word in (tags.get("language"), tags.get("title") or tags.get("filename")) if word]
    inside = printable(", ".join([_codec_name(stream) or "unknown kind", *words]))
    cover = " (cover picture)" if stream.disposition & Disposition.attached_pic else ""
    return f"stream {stream.index}, {stream.type}{cover}: {inside},"


def why_not_muxable(stream: Stream, muxer: str) -> str:
    """Empty if a `muxer` file can hold `stream` as it is, else FFmpeg's reason."""
    try:
        with av.open(Nowhere(), "w", format=muxer) as trial:
            copy = add_copy(trial, stream)
            copy.metadata.update(lasting_tags(stream.metadata, is_stream=True))
            trial.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def add_copy(container: OutputContainer, stream: Stream) -> Stream:
    """A stream of `container` for packets of `stream` as they are."""
    if _has_decoder(stream) or stream.type not in _PLACEHOLDERS:
        return container.add_stream_from_template(stream, opaque=True)
    copy = container.add_mux_stream(_PLACEHOLDERS[stream.type])  # PyAV's template asks the decoder
    BitStreamFilterContext("null", stream, copy)  # pours what the input says of the stream over it
    return copy


def cover_file(stream: Stream) -> tuple[str, str]:
    """(file name, MIME type) for a cover picture that becomes an attachment."""
    name, mime = _COVER_FILES[_codec_name(stream)]
    tags = stream.metadata
    return tags.get("filename", name), tags.get("mimetype", mime)


def cover_bytes(source: Input, index: int) -> bytes:
    """The picture of stream `index`: FFmpeg hands covers out before everything else.

    Raises:
        DamagedMedia: there is none.
    """
    picture = source.early_packet(index)
    if picture is None:
        raise DamagedMedia(
            f"stream {index} is marked as a cover but holds no picture", hint="remove that stream with ffmpeg first"
        )
    return picture
