"""The finished file against what went in. A difference is an error, never a warning."""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from sr_core.errors import VerificationError
from sr_core.media.containers import lasting_tags
from sr_core.media.encoder import stored_tags
from sr_core.media.hdr import hdr10_from_side_data
from sr_core.media.native import exact, native_path, reading
from sr_core.media.plan import Plan
from sr_core.media.streams import StreamPlan
from sr_core.timing import is_same_instant, text_from_seconds

_HINT = "please report this with the command; the file is kept as .part, nothing was replaced"
_TAGS_ALL_STORE = {"title", "artist", "album", "comment", "genre", "copyright"}
_UNSPECIFIED = {"range": 0, "primaries": 2, "transfer": 2, "matrix": 2, "siting": 0}


def verify_output(
    path: Path,
    plan: Plan,
    *,
    ticks: array[int],
    packets: Counter[int],
    copied_times: dict[int, tuple[array[int], Fraction]],
    stream_tags: dict[int, dict[str, str]],
    chapters: int,
) -> None:
    """Reopen `path` and compare it with the plan and with what was written.

    Args:
        ticks: timestamps of all frames, in the encoder's time base.
        packets: packets copied or converted, by the input's stream index.
        copied_times: (ticks, time base) of the pictures of each copied video, by the input's index.
        stream_tags: tags of the input's streams, by index.
        chapters: how many there must be.

    Raises:
        VerificationError: frames, timestamps, streams, packets or tags differ.
    """
    with (
        reading(f"the finished {path.name} cannot be read", kind=VerificationError, hint=_HINT),
        av.open(native_path(str(path)), "r", format=plan.container.muxer) as container,
    ):
        _check_tags(container.metadata, plan)
        tracks = _expected_tracks(plan, packets)
        video = _check_streams(container, plan, tracks, stream_tags)
        video_index = video.index
        if len(container.chapters()) != chapters:
            raise _fail(f"it has {len(container.chapters())} chapters, expected {chapters}")
        found, counts = _read_all(container)
        _check_times(found[video.index], exact(video.time_base), ticks, plan)
        _check_packets(counts, container, tracks, packets)
        for stream, entry in zip(_without_data(container), tracks, strict=False):
            if entry.index in copied_times:
                _check_copied_times(found[stream.index], stream, *copied_times[entry.index], plan)
    if ticks:
        with (
            reading(f"the finished {path.name} does not decode", kind=VerificationError, hint=_HINT),
            av.open(native_path(str(path)), "r", format=plan.container.muxer) as container,
        ):
            _check_picture(container, video_index, plan)


def _fail(what: str) -> VerificationError:
    return VerificationError(f"the output is not what it must be: {what}", hint=_HINT)


def _check_tags(found: dict[str, str], plan: Plan) -> None:
    folded = {key.lower(): value for key, value in found.items()}
    for key in _TAGS_ALL_STORE & {key.lower() for key in plan.tags}:
        wanted = next(value for name, value in plan.tags.items() if name.lower() == key)
        if folded.get(key) != wanted:
            raise _fail(f"its tag {key} is {folded.get(key)!r}, expected {wanted!r}")


def _expected_tracks(plan: Plan, packets: Counter[int]) -> list[StreamPlan]:
    """The tracks in order, data left out: muxers add timecode and chapter tracks of their own.

    MP4 has no place for a track without packets: an empty one disappears. Only its text tracks end with
    an empty event of the muxer's own, so that they stay.
    """
    kept = [entry for entry in plan.streams if entry.action in ("video", "copy", "convert")]
    tracks = [entry for entry in kept if entry.kind != "data"]
    if plan.container.is_mp4_like:
        tracks = [e for e in tracks if e.action == "video" or packets[e.index] or e.codec == "mov_text"]
    return tracks


def _without_data(container: InputContainer) -> list[Stream]:
    return [stream for stream in container.streams if stream.type != "data"]


def _check_streams(
    container: InputContainer,
    plan: Plan,
    tracks: list[StreamPlan],
    stream_tags: dict[int, dict[str, str]],
) -> VideoStream:
    """Tracks come in the plan's order; attachments and covers follow them."""
    attached = sum(entry.action in ("attach", "cover") for entry in plan.streams)
    streams = _without_data(container)
    kinds = [stream.type for stream in streams]
    rest = kinds[len(tracks) :]
    if kinds[: len(tracks)] != [entry.kind for entry in tracks] or len(rest) != attached:
        wanted = [entry.kind for entry in tracks]
        raise _fail(f"it has the streams {kinds}, expected {wanted} and {attached} attachments")
    for stream, entry in zip(streams, tracks, strict=False):
        wanted_tags = lasting_tags(stream_tags[entry.index], is_stream=True)
        language = wanted_tags.get("language", wanted_tags.get("LANGUAGE", "und"))
        found = stream.metadata.get("language", "und")
        if found != language:
            raise _fail(f"stream {stream.index} has the language {found!r}, expected {language!r}")
    video = streams[next(i for i, entry in enumerate(tracks) if entry.action == "video")]
    assert isinstance(video, VideoStream)
    return video


def _read_all(container: InputContainer) -> tuple[dict[int, array[int]], Counter[int]]:
    """(times of each video's packets, ascending; number of packets), by output index"""
    found = {stream.index: array("q") for stream in container.streams.video}
    counts: Counter[int] = Counter()
    tracks = [stream for stream in container.streams if stream.type != "attachment"]
    for packet in container.demux(tracks):
        if not packet.size:
            continue
        index = packet.stream.index
        counts[index] += 1
        if index in found and packet.pts is not None:
            found[index].append(packet.pts)
    return {index: array("q", sorted(times)) for index, times in found.items()}, counts


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


def _check_copied_times(found: array[int], stream: Stream, ticks: array[int], wanted: Fraction, plan: Plan) -> None:
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


def _check_packets(
    counts: Counter[int], container: InputContainer, tracks: list[StreamPlan], packets: Counter[int]
) -> None:
    for stream, entry in zip(_without_data(container), tracks, strict=False):
        found, wanted = counts[stream.index], packets[entry.index]
        # MP4 stores the gap between two subtitles as an empty one
        is_fine = found == wanted or (entry.kind == "subtitle" and found > wanted)
        if entry.action != "video" and not is_fine:
            raise _fail(f"stream {stream.index} ({entry.kind}) has {found} packets, expected {wanted}")


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
