"""The output while it is made: OUT.part with all its streams, tags and chapters.

The file is written under a temporary name beside the final one. `finish` completes it, `publish`
gives it its name, `discard` removes it; a stale .part of a killed run is simply overwritten.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from sr_core.errors import BadInput, OutputExists, SrError, StorageError
from sr_core.media.containers import lasting_tags, muxer_options
from sr_core.media.encoder import VideoEncoder, open_error
from sr_core.media.native import STDOUT, logged, native_path, writing
from sr_core.media.plan import Plan
from sr_core.media.source import Source
from sr_core.media.streams import StreamPlan, cover_file
from sr_core.media.subtitles import SubtitleConverter
from sr_core.storage import storage_error, sync_file

if TYPE_CHECKING:
    from av.container.core import Chapter  # a name of the stubs only


class Sink:
    """One output file; one thread at a time.

    Attributes:
        ticks: the timestamp of every frame written, in `time_base`.
        packets: packets written for each copied or converted stream, by input index.
        stream_tags: the input's tags of each stream, by input index.
        chapters: how many were written.
    """

    def __init__(self, target: str, source: Source, plan: Plan, *, overwrite: bool) -> None:
        """Create OUT.part and write its header, so that every refusal comes before the long work."""
        self.target = target
        self.is_pipe = target == STDOUT
        self.path = Path(target)
        self.part = self.path.with_name(self.path.name + ".part")
        self.plan = plan
        self.time_base = plan.encoder.time_base
        self.ticks = array("q")
        self.packets: Counter[int] = Counter()
        self.stream_tags = {stream.index: dict(stream.metadata) for stream in source.container.streams}
        self.chapters = 0
        self._shift_ticks = round(plan.shift_seconds / self.time_base)
        self._copies: dict[int, Stream] = {}
        self._converters: dict[int, SubtitleConverter] = {}
        self._last_dts: dict[int, int] = {}
        if not self.is_pipe:
            check_target(self.path, Path(source.path), overwrite=overwrite)
        self.container = self._create(source)
        try:
            self._add_streams(source)
            self._start()
        except BaseException:
            self.discard()
            raise

    # the header ---------------------------------------------------------------------------

    def _create(self, source: Source) -> OutputContainer:
        tags = lasting_tags(source.container.metadata, is_stream=False)
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
                container_options=muxer_options(self.plan.container, tags),
            )
        container.metadata.update(tags)
        if self.plan.container.takes_chapters and source.container.chapters():
            chapters = _cut_chapters(source.container.chapters(), self.plan)
            container.set_chapters(chapters)
            self.chapters = len(chapters)
        return container

    def _add_streams(self, source: Source) -> None:
        for stream_plan in self.plan.streams:
            stream = source.container.streams[stream_plan.index]
            target = self._add_stream(stream, stream_plan)
            if target is None:
                continue
            target.metadata.update(lasting_tags(stream.metadata, is_stream=True))
            target.disposition = stream.disposition
            if stream_plan.action in ("copy", "convert"):
                self._copies[stream.index] = target

    def _add_stream(self, stream: Stream, plan: StreamPlan) -> Stream | None:
        if plan.action == "video":
            self.encoder = VideoEncoder(self.container, self.plan.encoder)
            return self.encoder.stream
        if plan.action == "convert":
            converter = SubtitleConverter(self.container, stream, plan.codec)
            self._converters[stream.index] = converter
            return converter.stream
        if plan.action == "cover":
            name, mime = cover_file(stream)
            self.container.add_attachment(name, mime, _cover_bytes(stream))
            return None
        return self.container.add_stream_from_template(stream, opaque=True)

    def _start(self) -> None:
        with logged():
            try:
                self.container.start_encoding()
            except av.FFmpegError as error:
                if self.encoder.stream.codec_context.is_open:
                    with writing(self.path):
                        raise
                raise open_error(error, self.plan.encoder) from error
        self.encoder.check_options()

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
                self._write_copy(out, target, index)

    def _write_copy(self, packet: Packet[Stream], target: Stream, index: int) -> None:
        if packet.pts is None and packet.dts is None:
            packet.pts = packet.dts = 0  # a cover picture has no time
        elif self.plan.shift_seconds:
            shift = round(self.plan.shift_seconds / Fraction(packet.time_base))
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = target
        packet.rescale_ts(target.time_base)
        self._keep_order(packet, index)
        with writing(self.path):
            self.container.mux_one(packet)
        self.packets[index] += 1

    def _keep_order(self, packet: Packet[Stream], index: int) -> None:
        """Containers refuse a DTS that does not rise; broken inputs have them."""
        if packet.dts is None:
            packet.dts = packet.pts
        last = self._last_dts.get(index)
        if last is not None and packet.dts is not None and packet.dts <= last:
            strict = self.plan.container.tick_seconds is None  # Matroska allows equal ones
            packet.dts = last + 1 if strict else last
            if packet.pts is not None:
                packet.pts = max(packet.pts, packet.dts)
        if packet.dts is not None:
            self._last_dts[index] = packet.dts

    def write(self, packets: Iterable[Packet[Stream]]) -> None:
        """Write packets of the encoder."""
        with writing(self.path):
            for packet in packets:
                self.container.mux_one(packet)

    def shifted(self, ticks: int) -> int:
        """The output's timestamp for the source's `ticks`; remembers it for the verification."""
        shifted = ticks - self._shift_ticks
        self.ticks.append(shifted)
        return shifted

    # the end ------------------------------------------------------------------------------

    def finish(self) -> None:
        """Flush the encoder, complete the file, force it to the disk."""
        self.write(self.encoder.flush())
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


def check_target(path: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse an output that would hurt something, before anything is done.

    Raises:
        BadInput, OutputExists, StorageError: a folder, the input itself, there already, no folder.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder", hint=f"name a file in it: {path / 'out.mp4'}")
    if not path.absolute().parent.is_dir():
        raise StorageError(f"no folder {path.absolute().parent}", hint="create it first")
    if not path.exists():
        return
    if source.exists() and path.samefile(source):
        raise BadInput("input and output are the same file", hint="write under another name")
    if not path.is_file():
        raise BadInput(f"{path} is not a regular file", hint="write to a file, or to - for a pipe")
    if not overwrite:
        raise OutputExists(f"{path} exists already", hint="--overwrite replaces it once the new one is done")


def _cut_chapters(chapters: list[Chapter], plan: Plan) -> list[Chapter]:
    """Chapters within the cut, moved with it."""
    if plan.start_seconds is None and plan.end_seconds is None:
        return chapters
    kept: list[Chapter] = []
    for chapter in chapters:
        base = Fraction(chapter["time_base"])
        begin, end = chapter["start"] * base, chapter["end"] * base
        begin = max(begin, plan.start_seconds) if plan.start_seconds is not None else begin
        end = min(end, plan.end_seconds) if plan.end_seconds is not None else end
        if begin < end:
            moved = chapter.copy()
            moved["start"] = round((begin - plan.shift_seconds) / base)
            moved["end"] = round((end - plan.shift_seconds) / base)
            kept.append(moved)
    return kept


def _cover_bytes(stream: Stream) -> bytes:
    """The picture, read through a container of its own: the source's stands at its first frame."""
    with av.open(native_path(stream.container.name), "r") as again:
        for packet in again.demux(again.streams[stream.index]):
            if packet.size:
                return bytes(packet)
    raise SrError(f"stream {stream.index} is marked as a cover but holds no picture")
