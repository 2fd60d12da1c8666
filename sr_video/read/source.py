"""A video being decoded: frames as planes, with the packets to copy in file order between them.

    with Source(path) as source:
        source.facts                    from the first frame, decoded on opening
        for unit in source.units(...):  Unit(frame | None, packets to copy that came before it)

A damaged input raises DamagedMedia, unless it is to be salvaged: then everything that decodes is
handed out and `source.damage` says what was wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext, suppress
from fractions import Fraction
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.reformatter import VideoReformatter

from sr_core.errors import BadInput, DamagedMedia
from sr_video.convert import convert_frame
from sr_video.native import (
    STDIN,
    check_path,
    close_input,
    is_local,
    is_remote,
    last_words,
    logged,
    name_of,
    native_path,
    open_options,
    reading,
)
from sr_video.pixels import ffmpeg_name, pixel_format
from sr_video.read.damage import REMOTE_HINT, SALVAGE_HINT, Damage
from sr_video.read.deinterlace import Deinterlacer
from sr_video.read.device_frames import hidden_edges, on_host, samples_name
from sr_video.read.facts import MICROSECOND, VideoFacts, choose_video, color_after, duration_of, facts_of
from sr_video.read.faults import Faults
from sr_video.read.held_packets import HeldPackets, begins_after
from sr_video.read.hwaccel import Decoder, card_of_frames, decoder_on, decoding_threads, find_departures
from sr_video.read.landing import land
from sr_video.read.matroska_chain import MatroskaChain
from sr_video.read.source_frame import SourceFrame, Unit, size_changes
from sr_video.read.timestamps import FrameTimes
from sr_video.timing import IncreasingTicks, ticks_from_seconds

_MAX_READ_ERRORS = 50  # in a row
APART_SECONDS = 30  # how far files store what belongs together: fragments of MP4 last 10 s and more


class Source:
    """An opened input; one thread at a time. Close it, or use it in a `with` block."""

    def __init__(
        self, path: str, *, salvage: bool = False, hwaccel: str | None = None, file: RawIOBase | None = None
    ) -> None:
        """Open `path` ('pipe:0' for stdin, or an http(s) URL), choose the video stream, decode its first frame.

        Args:
            salvage: keep what decodes of a damaged input.
            hwaccel: 'cuda' or 'cuda:1' decodes on that card's NVDEC and leaves the frames there; `notes`
                says where that is not possible.
            file: read instead of `path`, which is then only a name.

        Raises:
            BadInput: missing, not a video, no frame in it.
            DamagedMedia: it cannot even be opened or its first frame not decoded.
        """
        self.path, self.name = path, name_of(path)
        self.frames = 0
        self.is_stuck = False  # a thread is blocked inside FFmpeg, on a pipe that gives nothing
        self.retimed = IncreasingTicks()
        self._salvage = salvage
        self._file = file
        self._file_on_disk = Path(path) if file is None and is_local(path) else None
        hint = REMOTE_HINT if file is None and is_remote(path) else SALVAGE_HINT
        self._faults = Faults(self.name, salvages=salvage, hint=hint)
        self._decoder: Decoder | None
        self._decoder, note = decoder_on(hwaccel)
        self.notes = [note] if note else []  # for people: what was asked for and could not be
        self._reformatter = VideoReformatter()
        self._held = HeldPackets()
        if file is None:
            check_path(path)
        self._open()
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the decoder and its threads, unless `is_stuck`. Frames handed out stay valid."""
        if not self.is_stuck:
            self._packets.close()  # a generator holds us as we hold it: neither would end before the next collection
            self._ready.clear()
            close_input(self.container, self.stream)

    # opening ------------------------------------------------------------------------------

    def _open(self) -> None:
        hint = "is it a video file? a file whose copying was cut short may lack its index"
        if is_remote(self.path):
            hint = "is it the address of a video file, and not of a page that shows one?"
        with logged(), reading(f"cannot open {self.name}", kind=DamagedMedia, hint=hint):
            if self._file is not None:
                self._file.seek(0)
            where = self._file or native_path(self.path)
            hwaccel = None if self._decoder is None else self._decoder.hwaccel()
            options = open_options(self.path) if self._file is None else {}
            self.container: InputContainer = av.open(where, "r", hwaccel=hwaccel, options=options)
        self.stream = choose_video(self.container, self.name)
        # Frame threads are faster, but lose the last pictures before a damaged packet at the end: see `_check_tail`.
        self.stream.codec_context.thread_type = "SLICE" if self._salvage else "AUTO"
        self._faults.begin_decoding(start_seconds=self.start_seconds)
        if self._decoder is not None:
            self.stream.codec_context.thread_count = decoding_threads(self.stream.codec_context.name)
        # otherwise FFmpeg keeps hidden columns at the left so that rows stay aligned
        self.stream.codec_context.flags |= Flags.unaligned
        self._times = FrameTimes(self.container.format.name, self.stream)
        is_matroska = self.container.format.name.startswith("matroska")
        self._chain = MatroskaChain(self._file_on_disk) if is_matroska and self._file_on_disk else None
        self._packets = self._demux()
        self._ready: deque[av.VideoFrame] = deque()

    def _begin(self) -> None:
        can_reopen = self._decoder is not None and self.path != STDIN
        first = None
        with suppress(DamagedMedia) if can_reopen else nullcontext():
            first = self._first_frame()
        if first is None and can_reopen:
            first = self._first_in_software()
        if first is None:
            kind = DamagedMedia if self.damage else BadInput
            detail = f": {self.damage}" if self.damage else ""
            raise kind(f"no frame of {self.name} can be decoded{detail}", hint="does it play elsewhere?")
        self._ready.appendleft(first)
        self.facts: VideoFacts = facts_of(self.stream, first, duration_seconds=duration_of(self.container, self.stream))
        departures = find_departures(self._decoder, self.stream, first, self.facts) if self._decoder else []
        self.notes += departures
        self.card = card_of_frames(self._decoder, departures)

    def _first_in_software(self) -> av.VideoFrame | None:
        """The first frame by the CPU, of an input of which the card gave none: its own reason is kept as a note."""
        reason = self.damage.details[0] if self.damage.details else "it gave no frame, and no reason"
        self._packets.close()
        close_input(self.container, self.stream)
        self._decoder, self._held = None, HeldPackets()
        self._faults.forget()
        self._open()
        first = self._first_frame()
        if first is not None:
            self.notes.append(f"the card does not decode this ({reason}): decoding on the CPU")
        return first

    def _first_frame(self) -> av.VideoFrame | None:
        return next((frame for frame in self._decode() if frame is not None), None)

    @property
    def damage(self) -> Damage:
        """What is wrong so far."""
        return self._faults.damage

    @property
    def start_seconds(self) -> Fraction:
        """Where the file's own clock begins; players show this as 0:00."""
        return (self.container.start_time or 0) * MICROSECOND

    def early_packet(self, index: int) -> bytes | None:
        """The first packet of another stream that came before the first frame; ask before reading."""
        return self._held.first_of(index)

    # reading ------------------------------------------------------------------------------

    def units(
        self,
        *,
        copied: frozenset[int],
        start: Fraction | None = None,
        end: Fraction | None = None,
        seek_ticks: tuple[int, ...] = (),
        beside: bool = False,
    ) -> Iterator[Unit]:
        """Yield everything in file order, once.

        Args:
            copied: indexes of the streams whose packets are wanted.
            start, end: seconds of the file's clock between which frames and packets are wanted.
            seek_ticks: keyframes to begin decoding at, best first; `start` itself by default.
            beside: also the frame before `start` and the one from `end` on, where the file has them, marked as such.

        Raises:
            DamagedMedia: see the class; raised where the damage is met.
            BadInput: the picture size changes on the way.
        """
        self._held.want(copied, start, end)
        first_ticks = None if start is None else ticks_from_seconds(start, self.facts.time_base)
        if first_ticks is not None:
            self._seek(seek_ticks or (first_ticks, first_ticks - 1), first_ticks, beside=beside)
        before = None
        for native in Deinterlacer(self.stream).run(self._decode()):
            if native is None:
                yield Unit(frame=None, packets=self._held.take())
                continue
            ticks = self._times.pop(native)
            if end is not None and ticks * self.facts.time_base >= end:
                if beside:
                    yield from self._beside(native, ticks)
                yield from self._late_packets(copied, end)
                break
            if first_ticks is not None and ticks < first_ticks:
                before = (native, ticks) if beside else None
                continue
            if before is not None:
                yield from self._beside(*before)
            before = None
            yield Unit(frame=self._source_frame(native, ticks), packets=self._held.take())
            self.frames += 1
        else:
            self._check_bytes(copied)
            if self._file_on_disk is not None:
                self._faults.check_tail(self.path, self.stream.index, self.facts, is_retimed=bool(self.retimed.changed))
        if packets := self._held.take():
            yield Unit(frame=None, packets=packets)

    def _beside(self, native: av.VideoFrame, ticks: int) -> Iterator[Unit]:
        """A frame outside of what is wanted; nothing where its picture has another size."""
        with suppress(BadInput):
            yield Unit(frame=self._source_frame(native, ticks, is_beside=True), packets=(), is_beside=True)

    def _late_packets(self, copied: frozenset[int], end: Fraction) -> Iterator[Unit]:
        """Packets from before `end` that the file stores behind the frame that is shown then.

        A stream is done at its first packet from `end` on, or when the video is APART_SECONDS further.
        """
        timed = [s for s in self.container.streams if not s.disposition & Disposition.attached_pic]
        missing = {s.index for s in timed if s.index in copied and s.type != "attachment"}
        while missing:
            packet = next(self._packets, None)
            if packet is None:
                return self._check_bytes(copied)  # pictures are still in the decoder: they are not missing
            index = packet.stream.index
            if index == self.stream.index:
                if begins_after(packet, end + APART_SECONDS):
                    return
                continue
            self._held.add(packet)
            if begins_after(packet, end):
                missing.discard(index)
            if self._held.is_full:
                yield Unit(frame=None, packets=self._held.take())

    def _source_frame(self, native: av.VideoFrame, ticks: int, *, is_beside: bool = False) -> SourceFrame:
        facts = self.facts
        hidden = hidden_edges(native, self.stream.codec_context)
        width, height = native.width - hidden[0], native.height - hidden[1]
        if (width, height) != (facts.width, facts.height):
            raise size_changes(facts, width, height, seconds=ticks * facts.time_base - self.start_seconds)
        color = color_after(facts.color, native, facts.format)
        if pixel_format(samples_name(native)) != facts.format or color != facts.color:
            target = ffmpeg_name(facts.format)
            native = convert_frame(self._reformatter, on_host(native), target, facts.color, given=color)
        return SourceFrame(
            format=facts.format,
            color=facts.color,
            ticks=ticks if is_beside else self.retimed.next(ticks),
            duration_ticks=native.duration,
            native=native,
            hidden=hidden,
        )

    def _seek(self, targets: tuple[int, ...], first_ticks: int, *, beside: bool) -> None:
        """Go where decoding brings the frame at `first_ticks`; else decode from the beginning."""
        if self.path == STDIN:
            return
        combed = self.facts.is_interlaced
        first = land(self._begin_at, targets, first_ticks, is_interlaced=combed, beside=beside)
        if first is not None:
            self._ready.appendleft(first)
            return
        close_input(self.container, self.stream)
        self._open()
        self._reset()

    def _begin_at(self, target: int) -> av.VideoFrame | None:
        """The first frame from the keyframe at or before `target`, as far as the container can tell."""
        self._reset()
        self.container.seek(target, stream=self.stream, backward=True)
        first = None
        with suppress(DamagedMedia):  # it may land amid packets; what is damaged in truth is met again
            first = self._first_frame()
        return None if self.damage else first

    def _reset(self) -> None:
        self._ready.clear()
        self._held.take()
        self._times.clear()
        if self._chain is not None:
            self._chain.restart()
        self._packets = self._demux()
        self._faults.forget()
        self._faults.begin_decoding(start_seconds=self.start_seconds)

    def _demux(self) -> Generator[Packet[Stream], None, None]:
        """Packets of all streams; read errors are counted and survived where possible."""
        wanted = [s for s in self.container.streams if s.type not in ("attachment",)]
        errors = 0
        while errors < _MAX_READ_ERRORS:
            try:
                for packet in self.container.demux(wanted):
                    errors = 0
                    if packet.size:
                        self._faults.watch_end(packet)
                    if self._chain is not None and self._chain.is_broken_before(packet):
                        self._faults.note_hole(packet)
                    yield packet
                if self._chain is not None and self._chain.is_broken_at_end():
                    self._faults.note_hole(None)
                return
            except av.FFmpegError as error:
                errors += 1
                self._faults.note(f"the file cannot be read further: {last_words(error)}")
                self.damage.ends_early = "the file ends early"
        yield from self._flush_packet()

    def _flush_packet(self) -> Iterator[Packet[Stream]]:
        """What `demux` yields at a clean end: it makes the decoder give back what it holds."""
        packet: Packet[Stream] = Packet()
        packet.stream = self.stream
        yield packet

    def _decode(self) -> Iterator[av.VideoFrame | None]:
        """Frames in presentation order; packets to copy collect in `_held` on the way.

        None where many packets came without a frame among them, so that they need not be kept.
        """
        while True:
            while self._ready:
                yield self._ready.popleft()
            packet = next(self._packets, None)
            if packet is None:
                return
            if packet.stream.index != self.stream.index:  # not stream_index: 0 in flush packets
                self._held.add(packet)
                if self._held.is_full:
                    yield None
                continue
            if not packet.size and (packet.pts is not None or packet.dts is not None):
                continue  # the picture before is shown on; a decoder would take it for the end
            if packet.size and not packet.is_discard:
                self._times.push(packet)
                self._faults.count_packet(packet)
            try:
                frames: Sequence[object] = packet.decode()
            except (av.FFmpegError, ValueError) as error:  # ValueError: a header on the way names no codec
                if isinstance(error, av.error.EOFError):
                    return
                self._faults.note(last_words(error), packet, packets=1)
                frames = [] if packet.size else self._drain()
            for frame in frames:
                assert isinstance(frame, av.VideoFrame)
                self._faults.count_frame(frame, packet)
                self._ready.append(frame)

    def _drain(self) -> list[av.VideoFrame]:
        """What the decoder still gives after an error at the very end."""
        frames: list[av.VideoFrame] = []
        for _ in range(_MAX_READ_ERRORS):
            try:
                frames += self.stream.codec_context.decode(None)
            except av.error.EOFError:
                break
            except (av.FFmpegError, ValueError):  # ValueError: as in `_decode`
                self.damage.undecodable_packets += 1
        return frames

    def _check_bytes(self, copied: frozenset[int]) -> None:
        """Notice a file that was cut off, which no read error tells."""
        if self._file_on_disk is not None and self._file_on_disk.is_file():
            self._faults.check_bytes(self._file_on_disk, self.frames, self.facts.frames_from_header)
        self._faults.check_end(copied | {self.stream.index})
