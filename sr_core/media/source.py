"""A video being decoded: frames as planes, with the packets to copy in file order between them.

    with Source(path) as source:
        source.facts                    from the first frame, decoded on opening
        for unit in source.units(...):  Unit(frame | None, packets to copy that came before it)

A damaged input raises DamagedMedia, unless it is to be salvaged: then everything that decodes is
handed out and `source.damage` says what was wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
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
from av.video.stream import VideoStream

from sr_core.errors import BadInput, DamagedMedia
from sr_core.media.convert import convert_frame
from sr_core.media.damage import Damage, missing_bytes
from sr_core.media.deinterlace import Deinterlacer
from sr_core.media.device_frames import device_of, hidden_edges, on_host, planes_on, samples_name
from sr_core.media.facts import VideoFacts, color_after, facts_of
from sr_core.media.held_packets import HeldPackets, begins_after
from sr_core.media.hwaccel import Decoder, decoder_on
from sr_core.media.matroska_chain import MatroskaChain
from sr_core.media.native import STDIN, check_path, exact, last_words, logged, native_path, reading
from sr_core.media.pixels import ffmpeg_name, pixel_format
from sr_core.media.source_frame import SourceFrame, Unit
from sr_core.media.timestamps import FrameTimes
from sr_core.timing import IncreasingTicks, ticks_from_seconds

MICROSECOND = Fraction(1, 1_000_000)  # AV_TIME_BASE
_MAX_READ_ERRORS = 50  # in a row
_MAX_DETAILS = 5
_APART_SECONDS = 30  # how far files store what belongs together: fragments of MP4 last 10 s and more
_SALVAGE_HINT = "--salvage keeps what can be decoded"


class Source:
    """An opened input; one thread at a time. Close it, or use it in a `with` block."""

    def __init__(
        self, path: str, *, salvage: bool = False, hwaccel: str | None = None, file: RawIOBase | None = None
    ) -> None:
        """Open `path` ('pipe:0' for stdin), choose the video stream, decode its first frame.

        Args:
            salvage: keep what decodes of a damaged input.
            hwaccel: 'cuda' or 'cuda:1' decodes on that card's NVDEC and leaves the frames there; `notes`
                says where that is not possible.
            file: read instead of `path`, which is then only a name.

        Raises:
            BadInput: missing, not a video, no frame in it.
            DamagedMedia: it cannot even be opened or its first frame not decoded.
        """
        self.path = path
        self.name = "standard input" if path == STDIN else Path(path).name
        self.damage = Damage()
        self.frames = 0
        self.is_stuck = False  # a thread is blocked inside FFmpeg, on a pipe that gives nothing
        self.retimed = IncreasingTicks()
        self._salvage = salvage
        self._file = file
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
        """Free the decoder, unless `is_stuck`. Frames handed out stay valid."""
        if not self.is_stuck:
            self.container.close()

    # opening ------------------------------------------------------------------------------

    def _open(self) -> None:
        hint = "is it a video file? a file whose copying was cut short may lack its index"
        with logged(), reading(f"cannot open {self.name}", kind=DamagedMedia, hint=hint):
            if self._file is not None:
                self._file.seek(0)
            where = self._file or native_path(self.path)
            hwaccel = None if self._decoder is None else self._decoder.hwaccel()
            self.container: InputContainer = av.open(where, "r", hwaccel=hwaccel)
        self.stream = self._choose_stream()
        self.stream.codec_context.thread_type = "AUTO"  # PyAV's own default is slices only
        # otherwise FFmpeg keeps hidden columns at the left so that rows stay aligned
        self.stream.codec_context.flags |= Flags.unaligned
        self._times = FrameTimes(self.container.format.name, self.stream)
        is_matroska = self.container.format.name.startswith("matroska") and self.path != STDIN and self._file is None
        self._chain = MatroskaChain(Path(self.path)) if is_matroska else None
        self._packets = self._demuxed()
        self._ready: deque[av.VideoFrame] = deque()

    def _choose_stream(self) -> VideoStream:
        pictures = [s for s in self.container.streams.video if not s.disposition & Disposition.attached_pic]
        videos = [s for s in pictures if s.codec_context is not None]
        if not videos:
            has_audio = bool(self.container.streams.audio)
            self.container.close()
            if pictures:
                raise BadInput(f"no decoder for the video in {self.name}", hint="convert it with ffmpeg first")
            kinds = "only sound" if has_audio else "no video stream"
            raise BadInput(f"{self.name} has {kinds}, nothing to upscale", hint="is it the right file?")
        return next((s for s in videos if s.disposition & Disposition.default), videos[0])

    def _begin(self) -> None:
        first = self._first_frame()
        if first is None:
            kind = DamagedMedia if self.damage else BadInput
            detail = f": {self.damage}" if self.damage else ""
            raise kind(f"no frame of {self.name} can be decoded{detail}", hint="does it play elsewhere?")
        self._ready.appendleft(first)
        self.facts: VideoFacts = facts_of(self.stream, first, duration_seconds=self._duration_seconds())
        if self._decoder is not None:
            self.notes += self._decoder_notes(self._decoder, first)

    def _decoder_notes(self, decoder: Decoder, first: av.VideoFrame) -> list[str]:
        """What does not happen on the card although it was asked for."""
        facts = self.facts
        if not self.stream.codec_context.is_hwaccel or (decoder.shares_frames and first.sw_format is None):
            return [f"the card does not decode this {facts.codec}: decoding on the CPU"]
        if not decoder.shares_frames:
            return []
        if facts.is_interlaced:
            return ["frames are downloaded from the card to be deinterlaced"]
        if planes_on(device_of(first), first, facts.format) is None:
            return [f"{facts.pix_fmt} of {facts.width}x{facts.height} cannot stay on the card: frames are downloaded"]
        return []

    def _first_frame(self) -> av.VideoFrame | None:
        return next((frame for frame in self._decoded() if frame is not None), None)

    def _duration_seconds(self) -> Fraction | None:
        if self.stream.duration:
            return self.stream.duration * exact(self.stream.time_base)
        return self.container.duration * MICROSECOND if self.container.duration else None

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
    ) -> Iterator[Unit]:
        """Yield everything in file order, once.

        Args:
            copied: indexes of the streams whose packets are wanted.
            start, end: seconds of the file's clock between which frames and packets are wanted.
            seek_ticks: keyframes to begin decoding at, best first; `start` itself by default.

        Raises:
            DamagedMedia: see the class; raised where the damage is met.
            BadInput: the picture size changes on the way.
        """
        self._held.want(copied, start, end)
        first_ticks = None if start is None else ticks_from_seconds(start, self.facts.time_base)
        if first_ticks is not None:
            self._seek(seek_ticks or (first_ticks, first_ticks - 1), first_ticks)
        for native in Deinterlacer(self.stream).run(self._decoded()):
            if native is None:
                yield Unit(frame=None, packets=self._held.take())
                continue
            ticks = self._times.pop(native)
            if end is not None and ticks * self.facts.time_base >= end:
                yield from self._late_packets(copied, end)
                break
            if first_ticks is not None and ticks < first_ticks:
                continue
            yield Unit(frame=self._source_frame(native, ticks), packets=self._held.take())
            self.frames += 1
        else:
            self._check_end()
        if packets := self._held.take():
            yield Unit(frame=None, packets=packets)

    def _late_packets(self, copied: frozenset[int], end: Fraction) -> Iterator[Unit]:
        """Packets from before `end` that the file stores behind the frame that is shown then.

        A stream is done at its first packet from `end` on, or when the video is _APART_SECONDS further.
        """
        timed = [s for s in self.container.streams if not s.disposition & Disposition.attached_pic]
        missing = {s.index for s in timed if s.index in copied and s.type != "attachment"}
        while missing:
            packet = next(self._packets, None)
            if packet is None:
                return self._check_end()
            index = packet.stream.index
            if index == self.stream.index:
                if begins_after(packet, end + _APART_SECONDS):
                    return
                continue
            self._held.add(packet)
            if begins_after(packet, end):
                missing.discard(index)
            if self._held.is_full:
                yield Unit(frame=None, packets=self._held.take())

    def _source_frame(self, native: av.VideoFrame, ticks: int) -> SourceFrame:
        facts = self.facts
        hidden = hidden_edges(native, self.stream.codec_context)
        width, height = native.width - hidden[0], native.height - hidden[1]
        if (width, height) != (facts.width, facts.height):
            seconds = ticks * facts.time_base - self.start_seconds
            at = f"{(seconds * 1000).__floor__() / 1000:.3f}"  # rounded down: the hint must cut before it
            raise BadInput(
                f"the picture changes from {facts.width}x{facts.height} to {width}x{height} at {at}",
                hint=f"--end {at} upscales the part before; what follows must be a file of its own",
            )
        color = color_after(facts.color, native, facts.format)
        if pixel_format(samples_name(native)) != facts.format or color != facts.color:
            target = ffmpeg_name(facts.format)
            native = convert_frame(self._reformatter, on_host(native), target, facts.color, given=color)
        return SourceFrame(
            format=facts.format,
            color=facts.color,
            ticks=self.retimed.next(ticks),
            duration_ticks=native.duration,
            native=native,
            hidden=hidden,
        )

    def _seek(self, targets: tuple[int, ...], first_ticks: int) -> None:
        """Go where decoding brings the frame at `first_ticks`; else decode from the beginning.

        A container may land behind the target (MPEG-TS and PS do), and after a keyframe that is
        none (intra refresh) the decoder holds frames back: an earlier target then helps.
        """
        if self.path == STDIN:
            return
        for target in targets:
            self._reset()
            first = None
            try:
                self.container.seek(target, stream=self.stream, backward=True)
            except av.FFmpegError:
                break  # raw streams cannot
            with suppress(DamagedMedia):  # it may land amid packets; what is damaged in truth is met again
                first = self._first_frame()
            if first is None or first.pts is None or self.damage:
                continue
            # the deinterlacer wants to have seen the frame before
            is_interlaced = first.interlaced_frame or self.facts.is_interlaced
            if first.pts < first_ticks or (first.pts == first_ticks and not is_interlaced):
                self._ready.appendleft(first)
                return
        self.container.close()
        self._open()
        self._reset()

    def _reset(self) -> None:
        self._ready.clear()
        self._held.take()
        self._times.clear()
        if self._chain is not None:
            self._chain.restart()
        self._packets = self._demuxed()
        self.damage = Damage()

    def _demuxed(self) -> Iterator[Packet[Stream]]:
        """Packets of all streams; read errors are counted and survived where possible."""
        wanted = [s for s in self.container.streams if s.type not in ("attachment",)]
        errors = 0
        while errors < _MAX_READ_ERRORS:
            try:
                for packet in self.container.demux(wanted):
                    errors = 0
                    if self._chain is not None and self._chain.is_broken_before(packet):
                        self._note_hole(packet)
                    yield packet
                if self._chain is not None and self._chain.is_broken_at_end():
                    self._note_hole(None)
                return
            except av.FFmpegError as error:
                errors += 1
                self._note_damage(f"the file cannot be read further: {last_words(error)}", packets=0)
                self.damage.ends_early = "the file ends early"
        yield from self._flush_packet()

    def _flush_packet(self) -> Iterator[Packet[Stream]]:
        """What `demux` yields at a clean end: it makes the decoder give back what it holds."""
        packet: Packet[Stream] = Packet()
        packet.stream = self.stream
        yield packet

    def _decoded(self) -> Iterator[av.VideoFrame | None]:
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
            if packet.size and not packet.is_discard:
                self._times.push(packet)
            frames: Sequence[object]
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                if isinstance(error, av.error.EOFError):
                    return
                self._note_damage(last_words(error), packets=1, packet=packet)
                frames = [] if packet.size else self._drained()
            for frame in frames:
                assert isinstance(frame, av.VideoFrame)
                if frame.is_corrupt:
                    self.damage.corrupt_frames += 1
                    self._note_damage("a frame is marked as damaged", packets=0, packet=packet)
                self._ready.append(frame)

    def _drained(self) -> list[av.VideoFrame]:
        """What the decoder still gives after an error at the very end."""
        frames: list[av.VideoFrame] = []
        for _ in range(_MAX_READ_ERRORS):
            try:
                frames += self.stream.codec_context.decode(None)
            except av.error.EOFError:
                break
            except av.FFmpegError:
                self.damage.undecodable_packets += 1
        return frames

    def _note_hole(self, packet: Packet[Stream] | None) -> None:
        self.damage.holes += 1
        self._note_damage("packets are missing", packets=0, packet=packet)

    def _note_damage(self, detail: str, *, packets: int, packet: Packet[Stream] | None = None) -> None:
        damage = self.damage
        damage.undecodable_packets += packets
        if len(damage.details) < _MAX_DETAILS:
            damage.details.append(detail)
        stamp = None if packet is None else packet.pts if packet.pts is not None else packet.dts
        if damage.first_at_seconds is None and packet is not None and stamp is not None:
            damage.first_at_seconds = stamp * exact(packet.time_base) - self.start_seconds
        if not self._salvage:
            raise DamagedMedia(f"{self.name} is damaged: {damage or detail}", hint=_SALVAGE_HINT)

    def _check_end(self) -> None:
        """Notice a file that was cut off, which no read error tells."""
        file = Path(self.path)
        missing = missing_bytes(file) if self.path != STDIN and self._file is None and file.is_file() else 0
        if missing and not self.damage.ends_early:
            expected = self.facts.frames_from_header
            of = f" of {expected}" if expected > self.frames else ""
            self.damage.ends_early = f"the file ends {missing} bytes early, after {self.frames}{of} frames"
            self._note_damage(self.damage.ends_early, packets=0)
