"""One segment, made by itself: the one function that every kind of pool runs.

Its file begins at 0 and holds the encoder's packets as they are. NUT stores every codec's bytes
and clock unchanged, and plays; ProRes, which it lacks, goes into MOV.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from sr_core.errors import BadInput, DamagedMedia
from sr_core.file_stamp import refuse_changed
from sr_core.storage import claim, drop, publish, published, storage_error, sync_file
from sr_core.wording import option
from sr_video.decide.encoding import EncoderSettings
from sr_video.decide.plan import Plan
from sr_video.native import keep_scheduling, logged, native_path, writing
from sr_video.read.facts import VideoFacts
from sr_video.read.source import Source
from sr_video.read.source_frame import Unit
from sr_video.segments.cut import Segment
from sr_video.segments.job import Manifest, Record, WorkFolder
from sr_video.segments.remote_file import RemoteFile
from sr_video.timing import reordering
from sr_video.transcode import FrameEngine, Run
from sr_video.write.encoder import VideoEncoder

_SEGMENT_FORMATS = {"prores": "mov"}
_X265_FRAME_THREADS = ((32, 6), (16, 5), (8, 3), (4, 2), (0, 1))  # CPUs → x265's own choice, with WPP
_MAX_ENCODER_THREADS = 16  # where x264 stops gaining


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a maker of segments must know; travels to other processes.

    Attributes:
        plan: the encoder's threads already pinned.
        source: the input's path.
        folder: where segment and record are put.
        remote: the input, for a maker that does not see the file itself.
    """

    manifest: Manifest
    plan: Plan
    facts: VideoFacts
    source: str
    folder: Path
    salvage: bool
    hwaccel: str | None
    remote: RemoteFile | None = None


def segment_format(codec: str) -> str:
    """FFmpeg's muxer for segments of `codec`."""
    return _SEGMENT_FORMATS.get(codec, "nut")


def encoder_threads(encoder: str, cpus: int) -> int:
    """The number of threads that a job pins: encoders decide differently with another."""
    if encoder == "libx265":
        return next(threads for least, threads in _X265_FRAME_THREADS if cpus >= least)
    return min(cpus, _MAX_ENCODER_THREADS)


def pin_threads(plan: Plan, threads: int) -> Plan:
    """`plan` with the encoder's number of threads written into its options."""
    settings = plan.encoder
    if any(key == "threads" for key, _ in settings.options):
        return plan
    return replace(plan, encoder=replace(settings, options=(*settings.options, ("threads", str(threads)))))


def make_segment(
    task: Task,
    segment: Segment,
    engine: FrameEngine,
    *,
    report: Callable[[int], None],
    fed: Callable[[], None] = lambda: None,
    tile_now: Callable[[], str] = lambda: "",
) -> Record | None:
    """Decode, upscale and encode `segment`; its file and record lie in the task's folder afterwards.

    Args:
        report: called a few times a second with the frames done; what it raises stops the work.
        fed: called once the engine has been given the last frame.
        tile_now: what a tile of the engine reads.

    Returns:
        The record; None, and no segment, where tiles became smaller in the middle of it: one segment is made with
        one size of tiles, so that whoever makes it again makes the same bytes.

    Raises:
        SrError: as decoding, upscaling and encoding do; nothing half-written is left.
    """
    _refuse_changed_input(task)
    seeks, tile = segment.seek_ticks, tile_now()
    with Source(task.source, salvage=task.salvage, hwaccel=task.hwaccel, file=task.remote) as source:
        sink = _SegmentSink(task, segment)
        try:
            run = Run(source, sink, engine, read=lambda: _frames(source, task, segment, seeks), fed=fed)
            run.wait(lambda: report(len(sink.ticks)))
            _refuse_changed_input(task)
            if source.damage and not task.salvage:
                raise DamagedMedia(f"{source.name} is damaged: {source.damage}")
            if source.retimed.changed and len(sink.ticks) < segment.frames and not task.salvage:
                made = f"{len(sink.ticks)} of {segment.frames} frames of segment {segment.number}"
                raise DamagedMedia(
                    f"{source.name} is damaged: {made} decode, {source.retimed.changed} of them out of order",
                    hint=f"{option('no_segments', True)} takes what a player shows of it",
                )
        except BaseException:
            sink.discard()
            raise
    report(len(sink.ticks))
    if tile_now() != tile:
        sink.discard()
        return None
    damage = str(source.damage) if source.damage else ""
    record = replace(sink.publish(damage=damage, retimed=source.retimed.changed), tile=tile)
    WorkFolder(task.folder).write_record(record)
    return record


def store_segment(folder: WorkFolder, manifest: Manifest, record: Record, put: Callable[[Path], None]) -> None:
    """Give a segment that was made elsewhere its place; `put` writes it to a path."""
    path = folder.segment_path(record.number, manifest)
    part = path.with_name(f"{record.number:05}.{os.getpid()}.part")
    with published(path, part=part):
        put(part)
    folder.write_record(record)


def _frames(source: Source, task: Task, segment: Segment, seeks: tuple[int, ...]) -> Iterator[Unit]:
    base = task.manifest.time_base
    return source.units(
        copied=frozenset(),
        start=None if segment.first_ticks is None else segment.first_ticks * base,
        end=None if segment.end_ticks is None else segment.end_ticks * base,
        seek_ticks=seeks,
        beside=task.plan.steady,
    )


class _SegmentSink:
    """NNNNN.PID.part with one encoder's packets, counted from 0."""

    def __init__(self, task: Task, segment: Segment) -> None:
        self.plan = task.plan
        self.encoder: VideoEncoder
        self.ticks = array("q")
        self._durations: dict[int, int] = {}
        self._order: list[int] = []  # ticks in the order of decoding
        self._manifest, self._segment, self._salvage = task.manifest, segment, task.salvage
        self._shift_ticks = round(task.plan.shift_seconds / task.manifest.time_base)
        self._path = WorkFolder(task.folder).segment_path(segment.number, task.manifest)
        # a process whose coordinator died may still be at work: never two on one file
        self._part = self._path.with_name(f"{segment.number:05}.{os.getpid()}.part")
        claim(self._part)
        with writing(self._part):
            self._container = av.open(native_path(str(self._part)), "w", format=task.manifest.segment_format)
        try:
            with writing(self._part):
                self.encoder = open_encoder(self._container, task.plan.encoder)
        except BaseException:
            self.discard()
            raise

    def copy(self, packets: Iterable[Packet[Stream]]) -> None:
        """Other streams are copied when segments are joined."""

    def record_ticks(self, ticks: int) -> int:
        shifted = ticks - self._shift_ticks
        self.ticks.append(shifted)
        return shifted - self.ticks[0]

    def write(self, packets: Iterable[Packet[VideoStream]]) -> None:
        with writing(self._part):
            for packet in packets:
                assert packet.pts is not None
                self._order.append(packet.pts)
                self._durations[packet.pts] = packet.duration or 0
                self._container.mux_one(packet)

    def finish(self) -> None:
        if self.ticks:
            self.write(self.encoder.flush())
        elif not self._salvage:
            raise BadInput(f"no frame of segment {self._segment.number} can be decoded", hint="is the input damaged?")
        with writing(self._part):
            self._container.close()
            sync_file(self._part)

    def publish(self, *, damage: str, retimed: int) -> Record:
        """Give the segment its name; the record of it."""
        ticks = list(self.ticks)
        if len(self._order) != len(ticks):
            raise AssertionError(f"{len(ticks)} frames went into the encoder, {len(self._order)} came out")
        try:
            with self._part.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = self._part.stat().st_size
        except OSError as error:
            raise storage_error(error, self._path, "cannot write") from error
        publish(self._part, self._path)
        return Record(
            number=self._segment.number,
            key=self._manifest.key,
            ticks=tuple(ticks),
            durations=tuple(self._durations[tick - ticks[0]] for tick in ticks),
            reorder=reordering(self._order),
            bytes=size,
            digest=digest,
            damage=damage,
            retimed=retimed,
        )

    def discard(self) -> None:
        with suppress(av.FFmpegError, OSError, RuntimeError):  # the first error is what counts
            self._container.close()
        drop(self._part)


def _refuse_changed_input(task: Task) -> None:
    if task.remote is None:
        hint = f"restore it, or begin anew with {option('restart', True)}"
        refuse_changed(task.source, task.manifest.stamp, hint=hint)


def open_encoder(container: av.container.OutputContainer, settings: EncoderSettings) -> VideoEncoder:
    """An encoder as the only stream of `container`, its header written."""
    encoder = VideoEncoder(container, settings)
    with logged(), keep_scheduling():
        encoder.start(container)
    return encoder
