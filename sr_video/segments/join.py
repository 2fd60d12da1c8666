"""Segments into one file: packets are copied, never encoded again.

Frames get the exact times and durations their records hold. Decoding times are computed for the
whole file by the rule encoders use (`timing.decoding_ticks`), so that they rise through every joint,
also where the frame rate varies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from sr_core.errors import DamagedMedia, StorageError, VerificationError
from sr_core.wording import option
from sr_video.decide.plan import Plan
from sr_video.native import native_path, reading
from sr_video.read.source import Source
from sr_video.segments.job import Manifest, Record, WorkFolder
from sr_video.timing import decoding_ticks
from sr_video.write.sink import Sink


def write_joined(
    sink: Sink,
    source: Source,
    folder: WorkFolder,
    manifest: Manifest,
    records: Sequence[Record],
) -> None:
    """Write all segments and every copied stream into `sink`, and complete it.

    Raises:
        StorageError, VerificationError: a segment is not as its record says; its record is dropped.
        SrError: as reading the input and writing the output do.
    """
    sink.ticks.extend(tick for record in records for tick in record.ticks)
    if any(second <= first for first, second in pairwise(sink.ticks)):
        raise DamagedMedia("segments overlap: the input's times jump back", hint=f"use {option('no_segments', True)}")
    others = _Others(source, sink)
    for packet in _video_packets(sink, folder, manifest, records):
        assert packet.dts is not None
        others.copy_until(packet.dts * sink.time_base)
        sink.write((packet,))
    others.copy_until(None)
    others.close()
    sink.complete()


def _video_packets(
    sink: Sink, folder: WorkFolder, manifest: Manifest, records: Sequence[Record]
) -> Iterator[Packet[VideoStream]]:
    """The packets of all segments, timed for the output."""
    decoding = decoding_ticks(sink.ticks, max(record.reorder for record in records))
    place = 0
    for record in records:
        if not record.ticks:
            continue  # nothing of it could be salvaged
        path = folder.segment_path(record.number, manifest)
        _check_unchanged(path, folder, record)
        shown = dict(zip(record.ticks, record.durations, strict=True))
        # read twice rather than held: a lossless segment may be larger than the memory
        try:
            ticks = _ticks_of(path, record, manifest)
            _check_header(path, manifest, sink)
        except VerificationError:
            folder.forget(record.number)
            raise
        for packet, tick in zip(_packets(path, manifest), ticks, strict=True):
            packet.time_base = sink.time_base
            packet.pts, packet.dts, packet.duration = tick, decoding[place], shown[tick]
            packet.stream = sink.encoder.stream
            place += 1
            yield packet


@contextmanager
def _open(path: Path, manifest: Manifest) -> Iterator[InputContainer]:
    with (
        reading(f"segment {path.name} cannot be read", kind=StorageError),
        av.open(native_path(str(path)), "r", format=manifest.segment_format) as container,
    ):
        yield container


def _packets(path: Path, manifest: Manifest) -> Iterator[Packet[VideoStream]]:
    """The packets of one segment."""
    with _open(path, manifest) as container:
        yield from (packet for packet in container.demux(container.streams.video[0]) if packet.size)


def _ticks_of(path: Path, record: Record, manifest: Manifest) -> list[int]:
    """The output time of each packet; a segment's clock is finer than the video's, and begins anywhere."""
    seconds = [(packet.pts or 0) * _base(packet) for packet in _packets(path, manifest)]
    if len(seconds) == len(record.ticks):
        first = min(seconds)
        found = [record.ticks[0] + _exact((time - first) / manifest.time_base) for time in seconds]
        if sorted(found) == list(record.ticks):
            return found
    raise VerificationError(
        f"segment {record.number} does not hold the frames that were put into it",
        hint="please report this with the command",
    )


def _exact(ticks: Fraction) -> int:
    return ticks.numerator if ticks.denominator == 1 else -1  # which no frame has, counted from the first


def _check_unchanged(path: Path, folder: WorkFolder, record: Record) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != record.digest:
        folder.forget(record.number)
        raise StorageError(f"{path} was changed on the disk", hint="is the disk failing?")


def _check_header(path: Path, manifest: Manifest, sink: Sink) -> None:
    """Packets of one encoder under the header of another would not decode."""
    expected = sink.encoder.stream.codec_context.extradata
    with _open(path, manifest) as container:
        found = bytes(container.streams.video[0].codec_context.extradata or b"")
    if found != bytes(expected or b""):
        raise VerificationError(
            f"the encoder of segment {path.name} wrote another header than this one",
            hint="was it made on another kind of machine?",
        )


class _Others:
    """The input's other streams, read once more beside the segments."""

    def __init__(self, source: Source, sink: Sink) -> None:
        self._sink = sink
        self._shift = sink.plan.shift_seconds
        self._next: Packet[Stream] | None = None
        self._container: InputContainer | None = None
        self._packets = self._read(source, sink.plan)

    def _read(self, source: Source, plan: Plan) -> Generator[Packet[Stream], None, None]:
        wanted = [entry.index for entry in plan.streams if entry.action in ("copy", "convert")]
        if not wanted:
            return
        with reading(f"cannot read {source.name}", kind=DamagedMedia):
            self._container = av.open(native_path(source.path), "r")
            for packet in self._container.demux([self._container.streams[index] for index in wanted]):
                if packet.size and _lies_within(packet, plan):
                    yield packet

    def copy_until(self, seconds: Fraction | None) -> None:
        """Copy what comes before `seconds` of the output; everything for None."""
        while True:
            packet = self._next or next(self._packets, None)
            self._next = packet
            if packet is None or (seconds is not None and self._time_of(packet) > seconds):
                return
            self._next = None
            self._sink.copy((packet,))

    def _time_of(self, packet: Packet[Stream]) -> Fraction:
        stamp = packet.dts if packet.dts is not None else packet.pts
        return -self._shift if stamp is None else stamp * _base(packet) - self._shift

    def close(self) -> None:
        self._packets.close()
        if self._container is not None:
            self._container.close()


def _lies_within(packet: Packet[Stream], plan: Plan) -> bool:
    stamp = packet.pts if packet.pts is not None else packet.dts
    if stamp is None:
        return True  # a cover picture
    time = stamp * _base(packet)
    return (plan.start_seconds is None or time >= plan.start_seconds) and (
        plan.end_seconds is None or time < plan.end_seconds
    )


def _base(packet: Packet[Any]) -> Fraction:
    return Fraction(packet.time_base.numerator, packet.time_base.denominator)
