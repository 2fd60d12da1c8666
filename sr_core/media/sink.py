"""The output while it is made: OUT.part with all its streams, tags and chapters.

The file is written under a temporary name beside the final one. `finish` completes it, `publish`
gives it its name, `discard` removes it; a stale .part of a killed run is simply overwritten.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from sr_core.errors import BadInput, DamagedMedia, VerificationError
from sr_core.media.containers import lasting_tags
from sr_core.media.copied_times import CopiedTimes
from sr_core.media.damage import SALVAGE_HINT, Damage
from sr_core.media.encoder import VideoEncoder, open_error
from sr_core.media.gaps import Gaps
from sr_core.media.native import STDOUT, exact, logged, native_path, scheduled_as_before, writing
from sr_core.media.plan import Plan
from sr_core.media.sound import SoundConverter
from sr_core.media.source import Source
from sr_core.media.streams import StreamPlan, cover_bytes, cover_file
from sr_core.media.subtitles import SubtitleConverter
from sr_core.storage import storage_error, sync_file

if TYPE_CHECKING:
    from av.container.core import Chapter  # a name of the stubs only


class Sink:
    """One output file; one thread at a time.

    Attributes:
        ticks: the timestamp of every frame written, in `time_base`.
        packets: packets written for each copied or converted stream, by input index.
        copied_times: of each copied video, by input index: (ticks of its pictures, their time base).
        stream_tags: the input's tags of each stream, by input index.
        chapters: how many were written.
        damage: what did not decode of the sound and subtitles that are converted.
    """

    def __init__(self, target: str, source: Source, plan: Plan, *, salvage: bool = False) -> None:
        """Create OUT.part and write its header, so that every refusal comes before the long work.

        Args:
            salvage: leave out what does not decode.
        """
        self.target = target
        self.is_pipe = target == STDOUT
        self.path = Path(target)
        self.part = _part_of(self.path)
        self.plan = plan
        self.time_base = plan.encoder.time_base
        self.ticks = array("q")
        self.packets: Counter[int] = Counter()
        self.copied_times: dict[int, tuple[array[int], Fraction]] = {}
        self.stream_tags = {stream.index: dict(stream.metadata) for stream in source.container.streams}
        self.chapters = 0
        self.damage = Damage()
        self._salvage = salvage
        self._gaps = Gaps(plan.container)
        self._start_seconds = source.start_seconds
        self._shift_ticks = round(plan.shift_seconds / self.time_base)
        self._copies: dict[int, Stream] = {}
        self._converters: dict[int, SubtitleConverter | SoundConverter] = {}
        self._covers: list[tuple[Stream, bytes]] = []
        self._times: dict[int, CopiedTimes] = {}
        self.container = self._create(source)
        try:
            self._add_streams(source)
            self._start()
        except BaseException:
            self.discard()
            raise

    # the header ---------------------------------------------------------------------------

    def _create(self, source: Source) -> OutputContainer:
        where = native_path(self.target if self.is_pipe else str(self.part))
        if not self.is_pipe:
            try:
                self.part.write_bytes(b"")  # a folder that cannot be written says so here
            except OSError as error:
                raise storage_error(error, self.part, "cannot write") from error
        with writing(self.path):
            container = av.open(
                where,
                "w",
                format=self.plan.container.muxer,
                container_options=self.plan.muxer_options,
            )
        container.metadata.update(self.plan.tags)
        if source.container.chapters():
            chapters = _cut_chapters(source.container.chapters(), self.plan)
            container.set_chapters(chapters)
            self.chapters = len(chapters)
        return container

    def _add_streams(self, source: Source) -> None:
        for stream_plan in self.plan.streams:
            stream = source.container.streams[stream_plan.index]
            target = self._add_stream(source, stream, stream_plan)
            if target is None:
                continue
            target.metadata.update(self._tags_of(stream))
            target.disposition = stream.disposition
            if stream_plan.action == "cover":
                target.disposition = Disposition.attached_pic  # with any other, MP4 has no place for it
            if stream_plan.action in ("copy", "convert"):
                self._copies[stream.index] = target
                self._times[stream.index] = CopiedTimes(
                    is_video=stream.type == "video",
                    is_strict=self.plan.container.tick_seconds is None,  # Matroska allows equal ones
                    begins_at_key=self.plan.start_seconds is not None,
                )

    def _tags_of(self, stream: Stream) -> dict[str, str]:
        moved = self.plan.timecodes.get(stream.index)
        tags = lasting_tags(stream.metadata, is_stream=True)
        if moved is None:
            return tags
        kept = {key: value for key, value in tags.items() if key.lower() != "timecode"}
        return kept | ({"timecode": moved} if moved else {})

    def _add_stream(self, source: Source, stream: Stream, plan: StreamPlan) -> Stream | None:
        if plan.action == "video":
            self.encoder = VideoEncoder(self.container, self.plan.encoder)
            return self.encoder.stream
        if plan.action == "convert":
            kind = SoundConverter if plan.kind == "audio" else SubtitleConverter
            converter = kind(self.container, stream, plan.codec, self._lose)
            self._converters[stream.index] = converter
            return converter.stream
        if plan.action == "cover":
            return self._add_cover(source, stream)
        return self.container.add_stream_from_template(stream, opaque=True)

    def _add_cover(self, source: Source, stream: Stream) -> Stream | None:
        picture = cover_bytes(source, stream.index)
        if self.plan.container.takes_attachments:
            self.container.add_attachment(*cover_file(stream), picture)
            return None
        target = self.container.add_stream_from_template(stream, opaque=True)
        self._covers.append((target, picture))
        return target

    def _start(self) -> None:
        with logged(), scheduled_as_before():
            try:
                self.container.start_encoding()
            except av.FFmpegError as error:
                if self.encoder.stream.codec_context.is_open:
                    with writing(self.path):
                        raise
                raise open_error(error, self.plan.encoder) from error
        self.encoder.check_options()
        for target, picture in self._covers:
            packet: Packet[Stream] = Packet(picture)
            packet.stream, packet.time_base = target, target.time_base
            packet.pts = packet.dts = 0
            packet.is_keyframe = True
            with writing(self.path):
                self.container.mux_one(packet)

    # the body -----------------------------------------------------------------------------

    def copy(self, packets: Iterable[Packet[Stream]]) -> None:
        """Write packets of the input's other streams."""
        for packet in packets:
            index = packet.stream.index
            target = self._copies.get(index)
            if target is None:
                continue
            converter = self._converters.get(index)
            for out in converter.convert(packet) if converter else (packet,):
                self._gaps.check(out, target)
                self._write_copy(out, target, index)

    def _lose(self, what: str, packet: Packet[Stream] | None) -> None:
        """Note what does not decode, or let it end the work."""
        if not self._salvage:
            raise DamagedMedia(what, hint=SALVAGE_HINT)
        stamp = None if packet is None else packet.pts
        at = None if packet is None or stamp is None else stamp * exact(packet.time_base) - self._start_seconds
        self.damage += Damage(undecodable_packets=1, first_at_seconds=at, details=[] if self.damage else [what])

    def _write_copy(self, packet: Packet[Stream], target: Stream, index: int) -> None:
        if packet.pts is None and packet.dts is None:
            packet.pts = packet.dts = 0  # a cover picture has no time
        elif self.plan.shift_seconds:
            shift = round(self.plan.shift_seconds / exact(packet.time_base))
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = target
        packet.rescale_ts(target.time_base)
        self._mux_copies(self._times[index].timed(packet), index)

    def _mux_copies(self, packets: Iterable[Packet[Stream]], index: int) -> None:
        for packet in packets:
            is_frame = packet.size > 0  # FLAC ends with an empty packet that completes its header
            with writing(self.path):
                self.container.mux_one(packet)
            self.packets[index] += is_frame

    def write(self, packets: Iterable[Packet[VideoStream]]) -> None:
        """Write packets of the encoder."""
        with writing(self.path):
            for packet in packets:
                self._gaps.check(packet, self.encoder.stream)
                self.container.mux_one(packet)

    def shifted(self, ticks: int) -> int:
        """The output's timestamp for the source's `ticks`; remembers it for the verification."""
        shifted = ticks - self._shift_ticks
        self.ticks.append(shifted)
        return shifted

    # the end ------------------------------------------------------------------------------

    def finish(self) -> None:
        """Flush the encoder, complete the file, force it to the disk.

        Raises:
            BadInput: not one frame was written.
        """
        if not self.ticks:
            raise BadInput("no frame lies between --start and --end", hint="how long is the video?")
        self.write(self.encoder.flush())
        self.complete()

    def complete(self) -> None:
        """Complete the file and force it to the disk; the encoder gave all it had, or was not used."""
        for index, converter in self._converters.items():
            for packet in converter.finish():
                self._write_copy(packet, converter.stream, index)
        for index, times in self._times.items():
            self._mux_copies(times.rest(), index)
        self.copied_times = {
            index: (times.shown, exact(self._copies[index].time_base))
            for index, times in self._times.items()
            if times.is_video and len(times.shown) == self.packets[index]  # AVI knows decoding times only
        }
        with writing(self.path):
            self.container.close()
            if not self.is_pipe:
                sync_file(self.part)

    def publish(self) -> None:
        """Give the finished file its name."""
        if self.is_pipe:
            return
        try:
            os.replace(self.part, self.path)
        except OSError as error:
            raise storage_error(error, self.path, "cannot rename the finished file to") from error

    def discard(self) -> None:
        """Close and remove what was written; nothing is left behind."""
        with suppress(av.FFmpegError, OSError, RuntimeError):  # the first error is what counts
            self.container.close()
        if not self.is_pipe:
            self.part.unlink(missing_ok=True)


@contextmanager
def part_removed_on_failure(target: str) -> Iterator[None]:
    """Remove OUT.part where Ctrl-C falls between its creation and the code that looks after it."""
    try:
        yield
    except VerificationError:
        raise
    except BaseException:
        if target != STDOUT:
            _part_of(Path(target)).unlink(missing_ok=True)
        raise


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _cut_chapters(chapters: list[Chapter], plan: Plan) -> list[Chapter]:
    """Chapters within the cut, moved as everything is."""
    if plan.start_seconds is None and plan.end_seconds is None and not plan.shift_seconds:
        return chapters
    kept: list[Chapter] = []
    for chapter in chapters:
        base = exact(chapter["time_base"])
        begin, end = chapter["start"] * base, chapter["end"] * base
        begin = max(begin, plan.start_seconds) if plan.start_seconds is not None else begin
        end = min(end, plan.end_seconds) if plan.end_seconds is not None else end
        if begin < end:
            moved = chapter.copy()
            moved["start"] = round((begin - plan.shift_seconds) / base)
            moved["end"] = round((end - plan.shift_seconds) / base)
            kept.append(moved)
    return kept
