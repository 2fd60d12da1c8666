"""The finished file against what went in. A difference is an error, never a warning."""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import IO

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from sr_core.errors import SrError, VerificationError
from sr_video.decide.containers import lasting_tags
from sr_video.decide.encoding import stored_tags
from sr_video.decide.plan import Plan
from sr_video.decide.streams import StreamPlan
from sr_video.hdr import hdr10_from_side_data
from sr_video.native import exact, last_words, native_path, reading
from sr_video.timing import is_same_instant, text_from_seconds

_HINT = "please report this with the command; the file is kept as .part, nothing was replaced"
_TAGS_ALL_STORE = {"title", "artist", "album", "comment", "genre", "copyright"}
_CHAPTER_TICK = Fraction(1, 1000)  # the grain of MP4's chapters
_MOVIE_TICK = Fraction(1, 1000)  # MP4 says where a track begins on the clock of the movie
_MAX_SHOWN = 40  # characters
EMPTY_CUE = 2  # bytes: the text that MP4 stores between two cues
_UNSPECIFIED = {"range": 0, "primaries": 2, "transfer": 2, "matrix": 2, "siting": 0}


@dataclass(frozen=True, kw_only=True)
class Written:
    """What went into the output.

    Attributes:
        ticks: timestamps of all frames, in the encoder's time base.
        packets: packets copied or converted, by the input's stream index; `payload` is their bytes.
        times: (ticks, time base) of the pictures, sounds and subtitles of each such stream, as they were given.
        stream_tags: tags of the input's streams, by index.
    """

    ticks: array[int]
    packets: Counter[int]
    payload: Counter[int]
    times: dict[int, tuple[array[int], Fraction]]
    stream_tags: dict[int, dict[str, str]]


def verify_output(where: Path | IO[bytes], plan: Plan, written: Written) -> None:
    """Reopen the file and compare it with the plan and with what was written.

    Raises:
        VerificationError: frames, timestamps, streams, packets, chapters or tags differ.
    """
    with reopen(where, plan, "cannot be read") as container:
        _check_tags(container.metadata, plan)
        tracks = expect_tracks(plan, written.packets)
        video = _check_streams(container, plan, tracks, written.stream_tags)
        video_index = video.index
        _check_chapters(container, plan)
        read = _read_all(container, plan)
        _check_times(read.times[video.index], exact(video.time_base), written.ticks, plan)
        _check_packets(read.counts, container, tracks, written.packets)
        _check_samples(read.sizes, container, tracks, written.payload)
        _check_data(read, container, plan, written)
        for stream, entry in zip(drop_data(container), tracks, strict=False):
            if entry.index in written.times and not _is_pcm(entry):
                check = _check_pictures if entry.kind == "video" else _check_begins
                check(read.times[stream.index], stream, *written.times[entry.index], plan)
    if written.ticks:
        with reopen(where, plan, "does not decode") as container:
            _check_picture(container, video_index, plan)


@contextmanager
def reopen(where: Path | IO[bytes], plan: Plan, failing: str) -> Iterator[InputContainer]:
    """The finished output, to be read."""
    name = where.name if isinstance(where, Path) else "output"
    file = native_path(str(where)) if isinstance(where, Path) else where
    if not isinstance(where, Path):
        where.seek(0)
    with (
        reading(f"the finished {name} {failing}", kind=VerificationError, hint=_HINT),
        av.open(file, "r", format=plan.container.muxer) as container,
    ):
        yield container


_TRIAL = "cannot write rehearsal: "
_PREFIX = "the output is not what it must be: "


def reason_of(error: Exception) -> str:
    """What a verification, or a muxer, has against an output, in words that fit into a sentence."""
    return error.message.removeprefix(_PREFIX).removeprefix(_TRIAL) if isinstance(error, SrError) else last_words(error)


def _fail(what: str) -> VerificationError:
    return VerificationError(_PREFIX + what, hint=_HINT)


def _check_tags(found: dict[str, str], plan: Plan) -> None:
    folded = {key.lower(): value for key, value in found.items()}
    for key in _TAGS_ALL_STORE & {key.lower() for key in plan.tags}:
        wanted = next(value for name, value in plan.tags.items() if name.lower() == key)
        if folded.get(key) != wanted:
            raise _fail(f"its tag {key} is {_short(folded.get(key, ''))}, expected {_short(wanted)}")


def expect_tracks(plan: Plan, packets: Counter[int]) -> list[StreamPlan]:
    """The tracks in order, data left out: muxers add timecode and chapter tracks of their own.

    MP4 has no place for a track without packets: an empty one disappears. Only its text tracks end with
    an empty event of the muxer's own, so that they stay.
    """
    kept = [entry for entry in plan.streams if entry.action in ("video", "copy", "convert")]
    tracks = [entry for entry in kept if entry.kind != "data"]
    if plan.container.is_mp4_like:
        tracks = [e for e in tracks if e.action == "video" or packets[e.index] or e.codec == "mov_text"]
    return tracks


def drop_data(container: InputContainer) -> list[Stream]:
    """The streams of `container` but its data."""
    return [stream for stream in container.streams if stream.type != "data"]


def _check_streams(
    container: InputContainer,
    plan: Plan,
    tracks: list[StreamPlan],
    stream_tags: dict[int, dict[str, str]],
) -> VideoStream:
    """Tracks come in the plan's order; attachments and covers follow them."""
    attached = sum(entry.action in ("attach", "cover") for entry in plan.streams)
    streams = drop_data(container)
    kinds = [stream.type for stream in streams]
    rest = kinds[len(tracks) :]
    if kinds[: len(tracks)] != [entry.kind for entry in tracks] or len(rest) != attached:
        wanted = [entry.kind for entry in tracks]
        raise _fail(f"it has the streams {kinds}, expected {wanted} and {attached} attachments")
    for stream, entry in zip(streams, tracks, strict=False):
        wanted_tags = lasting_tags(stream_tags[entry.index], is_stream=True)
        language = entry.language or wanted_tags.get("language", wanted_tags.get("LANGUAGE", "und"))
        found = stream.metadata.get("language", "und")
        if found != language:
            raise _fail(f"stream {stream.index} has the language {found!r}, expected {language!r}")
    video = streams[next(i for i, entry in enumerate(tracks) if entry.action == "video")]
    assert isinstance(video, VideoStream)
    return video


def _check_chapters(container: InputContainer, plan: Plan) -> None:
    """Where chapters begin, and what they are called; MP4 ends each where the next begins."""
    found = container.chapters()
    if len(found) != len(plan.chapters):
        raise _fail(f"it has {len(found)} chapters, expected {len(plan.chapters)}")
    for number, (chapter, wanted) in enumerate(zip(found, plan.chapters, strict=True), 1):
        begin = chapter["start"] * exact(chapter["time_base"])
        if abs(begin - wanted.start_seconds) > _CHAPTER_TICK:
            raise _fail(
                f"chapter {number} begins at {float(begin):.3f} s, expected {float(wanted.start_seconds):.3f} s"
            )
        title, expected = chapter["metadata"].get("title", ""), wanted.tags.get("title", "")
        if title != expected:
            raise _fail(f"chapter {number} is called {_short(title)}, expected {_short(expected)}")


def _short(text: str) -> str:
    """A text from a file that fits into a message."""
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")


@dataclass(frozen=True)
class _Read:
    """By output index: times of the packets that show or sound, ascending; number of all packets; their bytes."""

    times: dict[int, array[int]]
    counts: Counter[int]
    sizes: Counter[int]


def _read_all(container: InputContainer, plan: Plan) -> _Read:
    tracks = [stream for stream in container.streams if stream.type != "attachment"]
    found = _Read({stream.index: array("q") for stream in tracks}, Counter(), Counter())
    for packet in container.demux(tracks):
        if not packet.size:
            continue
        index = packet.stream.index
        found.counts[index] += 1
        found.sizes[index] += packet.size
        is_gap = packet.stream.type == "subtitle" and packet.size <= EMPTY_CUE and plan.container.is_mp4_like
        if packet.pts is not None and not is_gap:
            found.times[index].append(packet.pts)
    return _Read({index: array("q", sorted(times)) for index, times in found.times.items()}, found.counts, found.sizes)


def _check_times(found: array[int], base: Fraction, ticks: array[int], plan: Plan) -> None:
    if len(found) != len(ticks):
        raise _fail(f"{len(ticks)} frames went in, {len(found)} came out")
    tick = max(base, plan.container.tick_seconds or Fraction(0))
    source_base = plan.encoder.time_base
    if base == source_base and ticks == found:
        return
    for index, (wanted, stored) in enumerate(zip(ticks, found, strict=True)):
        if not is_same_instant(wanted * source_base, stored * base, tick_seconds=tick):
            at = text_from_seconds(wanted * source_base)
            raise _fail(
                f"frame {index} at {at} has the timestamp {float(stored * base):.6f} s, "
                f"expected {float(wanted * source_base):.6f} s"
            )


def _check_pictures(found: array[int], stream: Stream, ticks: array[int], wanted: Fraction, plan: Plan) -> None:
    base = exact(stream.time_base)
    tick = max(base, plan.container.tick_seconds or Fraction(0))
    if len(found) != len(ticks):
        raise _fail(f"{len(ticks)} pictures of stream {stream.index} have a time, {len(found)} kept one")
    for given, stored in zip(sorted(ticks), found, strict=True):
        if not is_same_instant(given * wanted, stored * base, tick_seconds=tick):
            raise _fail(
                f"a picture of stream {stream.index} has the timestamp {float(stored * base):.6f} s, "
                f"expected {float(given * wanted):.6f} s"
            )


def _check_begins(found: array[int], stream: Stream, ticks: array[int], wanted: Fraction, plan: Plan) -> None:
    """When each sound and each subtitle begins: as given, but for the grain of the container's clocks."""
    base = exact(stream.time_base)
    tick = max(base, wanted, plan.container.tick_seconds or _MOVIE_TICK)
    if len(found) != len(ticks):
        raise _fail(f"{len(ticks)} packets of stream {stream.index} have a time, {len(found)} kept one")
    for given, stored in zip(_rising(ticks, plan), found, strict=True):
        if abs(given * wanted - stored * base) > tick:
            raise _fail(
                f"stream {stream.index} ({stream.type}) has a packet at {float(stored * base):.6f} s, "
                f"expected {float(given * wanted):.6f} s"
            )


def _rising(ticks: array[int], plan: Plan) -> array[int]:
    """What begins at the same time is a tick apart in MP4."""
    rising = array("q", sorted(ticks))
    if plan.container.is_mp4_like:
        for index, (before, tick) in enumerate(pairwise(rising), 1):
            rising[index] = max(tick, rising[index - 1] + 1) if tick <= before else tick
    return rising


def _check_data(read: _Read, container: InputContainer, plan: Plan, written: Written) -> None:
    """Data tracks come in the plan's order; those of the muxer itself, timecode and chapters, follow."""
    found = [
        (read.counts[stream.index], read.sizes[stream.index]) for stream in container.streams if stream.type == "data"
    ]
    planned = [entry.index for entry in plan.streams if entry.kind == "data" and written.packets[entry.index]]
    wanted = [(written.packets[index], written.payload[index]) for index in planned]
    if found[: len(wanted)] != wanted:
        raise _fail(f"its data tracks hold {found} (packets, bytes), expected {wanted}")


def _check_packets(
    counts: Counter[int], container: InputContainer, tracks: list[StreamPlan], packets: Counter[int]
) -> None:
    for stream, entry in zip(drop_data(container), tracks, strict=False):
        found, wanted = counts[stream.index], packets[entry.index]
        # MP4 stores the gap between two subtitles as an empty one
        is_fine = found == wanted or (entry.kind == "subtitle" and found > wanted) or _is_pcm(entry)
        if entry.action != "video" and not is_fine:
            raise _fail(f"stream {stream.index} ({entry.kind}) has {found} packets, expected {wanted}")


def _is_pcm(entry: StreamPlan) -> bool:
    """Its packets are cut anew by every reader; its samples count."""
    return entry.kind == "audio" and entry.codec.startswith("pcm_")


def _check_samples(
    sizes: Counter[int], container: InputContainer, tracks: list[StreamPlan], payload: Counter[int]
) -> None:
    for stream, entry in zip(drop_data(container), tracks, strict=False):
        if _is_pcm(entry) and sizes[stream.index] != payload[entry.index]:
            found, wanted = sizes[stream.index], payload[entry.index]
            raise _fail(f"stream {stream.index} (audio) has {found} bytes of samples, expected {wanted}")


def _check_picture(container: InputContainer, index: int, plan: Plan) -> None:
    """Decode the first frame and compare all it says of itself."""
    video = container.streams[index]
    assert isinstance(video, VideoStream)
    frame = next(container.decode(video), None)
    if frame is None:
        raise _fail("its first frame does not decode")
    settings = plan.encoder
    if (frame.width, frame.height) != (settings.width, settings.height):
        raise _fail(f"it is {frame.width}x{frame.height}, expected {settings.width}x{settings.height}")
    tags = stored_tags(settings)
    found = {
        "range": 2 if frame.format.name.startswith("yuvj") else int(frame.color_range),
        "primaries": int(frame.color_primaries),
        "transfer": int(frame.color_trc),
        "matrix": int(frame.colorspace),
    }
    if settings.pix_fmt.startswith("gray"):
        del found["matrix"]  # it has no meaning there, and H.264 does not store it
    for name, value in found.items():
        wanted = getattr(tags, name)
        is_default = name == "range" and (wanted, value) == (1, 0)  # not tagged means limited
        if wanted not in (_UNSPECIFIED[name], value) and not is_default:
            raise _fail(f"its colour {name} is tagged {value}, expected {wanted}")
    aspect = exact(video.sample_aspect_ratio) if video.sample_aspect_ratio else Fraction(0)
    if settings.sample_aspect not in (0, aspect) and (aspect or 1) != settings.sample_aspect:
        raise _fail(f"its sample aspect ratio is {aspect}, expected {settings.sample_aspect}")
    if settings.hdr:
        side = {kind.name: bytes(data) for kind, data in frame.side_data.items()}
        found_hdr = hdr10_from_side_data(side.get("MASTERING_DISPLAY_METADATA"), side.get("CONTENT_LIGHT_LEVEL"))
        if (found_hdr.mastering is None) != (settings.hdr.mastering is None):
            raise _fail("its HDR mastering display metadata is missing")
        if found_hdr.light != settings.hdr.light:
            raise _fail(f"its HDR light level is {found_hdr.light}, expected {settings.hdr.light}")
    if any(settings.crop):
        edges = video.codec_context.coded_side_data.get("frame_cropping")
        if edges is None or struct.unpack("<4I", edges) != settings.crop:
            raise _fail("its crop is missing or wrong")
    if settings.display_matrix is not None:
        raw = video.codec_context.coded_side_data.get("display_matrix")
        # Matroska stores the turn, but not elements 6 and 7, which move the picture back into view
        if raw is None or struct.unpack("<6i", raw[:24]) != settings.display_matrix[:6]:
            raise _fail("its rotation tag is missing or wrong")
