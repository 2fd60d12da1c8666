"""What becomes of every stream beside the video: copied, converted, attached, or said to be lost.

Whether a container takes a stream is not looked up in a table but tried: a header with that one
stream is written to nowhere. One refused stream would otherwise fail the whole real header.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from sr_core.errors import DamagedMedia
from sr_core.media.containers import OutputFormat, lasting_tags
from sr_core.media.sound import rounding
from sr_core.media.source import Source

Action = Literal["video", "copy", "convert", "attach", "cover"]
_TEXT_SUBTITLES = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
_COVER_FILES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """One stream of the output. `index` is its number in the input, `codec` what it is in the output."""

    index: int
    kind: str
    action: Action
    codec: str = ""


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
    return tuple(plans), tuple(notes)


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
    refusal = "covers are JPEG or PNG, in MP4 and MKV" if is_cover else why_not_muxable(stream, target.muxer)
    if not refusal:
        is_second_video = f"{name} is copied at its own size: one video stream is upscaled"
        action: Action = "attach" if kind == "attachment" else "copy"
        plan = StreamPlan(index=stream.index, kind=kind, action=action, codec=_codec_name(stream))
        return plan, is_second_video if kind == "video" else ""
    if kind == "subtitle" and _codec_name(stream) in _TEXT_SUBTITLES:
        plan = StreamPlan(index=stream.index, kind=kind, action="convert", codec=target.text_subtitles)
        return plan, f"{name} becomes {target.text_subtitles}: {target.muxer} takes no other text"
    if kind == "audio" and stream.codec_context is not None:
        plan = StreamPlan(index=stream.index, kind=kind, action="convert", codec=target.sound)
        becomes = f"{name} becomes {target.sound}{rounding(stream, target.sound)}"
        return plan, f"{becomes}: {target.muxer} does not take it as it is"
    return None, f"{name} is lost: {target.muxer} does not take it ({refusal}); .mkv takes more"


def _is_recreated(stream: Stream) -> bool:
    """Timecode and chapter tracks: the muxer writes its own from tags and chapters."""
    if stream.type != "data":
        return False
    has_chapters = stream.name == "bin_data" and bool(stream.container.chapters())
    return "timecode" in stream.metadata or has_chapters


def _codec_name(stream: Stream) -> str:
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else str(stream.name or "")


def _describe(stream: Stream) -> str:
    tags = stream.metadata
    words = [word for word in (tags.get("language"), tags.get("title") or tags.get("filename")) if word]
    inside = ", ".join([_codec_name(stream) or "unknown kind", *words])
    cover = " (cover picture)" if stream.disposition & Disposition.attached_pic else ""
    return f"stream {stream.index}, {stream.type}{cover}: {inside},"


def why_not_muxable(stream: Stream, muxer: str) -> str:
    """Empty if a `muxer` file can hold `stream` as it is, else FFmpeg's reason."""
    try:
        with av.open(Nowhere(), "w", format=muxer) as trial:
            copy = trial.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(lasting_tags(stream.metadata, is_stream=True))
            trial.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def cover_file(stream: Stream) -> tuple[str, str]:
    """(file name, MIME type) for a cover picture that becomes an attachment."""
    name, mime = _COVER_FILES[_codec_name(stream)]
    tags = stream.metadata
    return tags.get("filename", name), tags.get("mimetype", mime)


def cover_bytes(source: Source, index: int) -> bytes:
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
