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

from sr_core.media.containers import OutputFormat, lasting_tags

Action = Literal["video", "copy", "convert", "attach", "cover"]
_TEXT_SUBTITLES = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
_MIME = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """One stream of the output. `index` is its number in the input; `codec` only for 'convert'."""

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
    if stream.disposition & Disposition.attached_pic and target.takes_attachments:
        if _codec_name(stream) in _MIME:
            return StreamPlan(index=stream.index, kind=kind, action="cover"), ""
        return None, f"{name} is lost: {target.muxer} takes covers as JPEG or PNG only"
    refusal = why_not_muxable(stream, target.muxer)
    if not refusal:
        extra = (
            ""
            if kind != "video" or stream.disposition & Disposition.attached_pic
            else (f"{name} is copied at its own size: one video stream is upscaled")
        )
        action: Action = "attach" if kind == "attachment" else "copy"
        return StreamPlan(index=stream.index, kind=kind, action=action), extra
    if kind == "subtitle" and _codec_name(stream) in _TEXT_SUBTITLES:
        plan = StreamPlan(index=stream.index, kind=kind, action="convert", codec=target.text_subtitles)
        return plan, f"{name} becomes {target.text_subtitles}: {target.muxer} takes no other text"
    return None, f"{name} is lost: {target.muxer} does not take it ({refusal}); .mkv takes more"


def _is_recreated(stream: Stream) -> bool:
    """Timecode and chapter tracks: the muxer writes its own from tags and chapters."""
    if stream.type != "data":
        return False
    tag = _tag(stream)
    return tag == "tmcd" or (tag == "text" and bool(stream.container.chapters()))


def _tag(stream: Stream) -> str:
    # a data stream without decoder has no codec_tag in PyAV; its name then tells
    if stream.codec_context is not None:
        return str(stream.codec_context.codec_tag)
    return "tmcd" if "timecode" in stream.metadata else "text" if stream.name == "bin_data" else ""


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
    name, mime = _MIME[_codec_name(stream)]
    tags = stream.metadata
    return tags.get("filename", name), tags.get("mimetype", mime)
