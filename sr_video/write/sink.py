"""The output while it is made: OUT.part with all its streams, tags and chapters.

The file is written under a temporary name beside the final one. `finish` completes it, `publish`
gives it its name, `discard` removes it; a stale .part of a killed run is replaced, never written through.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from sr_core.errors import BadInput, DamagedMedia, VerificationError
from sr_core.storage import claim, drop, publish, sync_file
from sr_video.decide.chapters import native_chapters
from sr_video.decide.containers import lasting_tags
from sr_video.decide.paths import part_of
from sr_video.decide.plan import Plan, no_frame_between
from sr_video.decide.streams import Input, StreamPlan, add_copy, cover_bytes, cover_file
from sr_video.native import STDOUT, exact, keep_scheduling, logged, native_path, writing
from sr_video.read.damage import SALVAGE_HINT, Damage
from sr_video.write.copied_times import CopiedTimes
from sr_video.write.encoder import VideoEncoder
from sr_video.write.gaps import Gaps
from sr_video.write.sound import SoundConverter
from sr_video.write.subtitles import SubtitleConverter
from sr_video.write.verify import EMPTY_CUE, Written, reason_of, verify_output

_SUBTITLE_SECONDS = 5  # a picture of a DVD that says no end is shown so long, or until the next


class Sink:
    """One output file; one thread at a time.

    Attributes:
        ticks: the timestamp of every frame written, in `time_base`.
        packets: packets written for each copied or converted stream, by input index; `payload` is their bytes.
        times: of each copied or converted stream, by input index: (ticks of its packets, their time base).
        stream_tags: the input's tags of each stream, by input index.
        damage: what did not decode of the sound and subtitles that are converted.
        refused: why the container did not take the rest of a copied or converted stream, by input index.
    """

    def __init__(
        self,
        target: str,
        source: Input,
        plan: Plan,
        *,
        salvage: bool = False,
        memory: IO[bytes] | None = None,
        is_logged: bool = True,
    ) -> None:
        """Create OUT.part and write its header, so that every refusal comes before the long work.

        Args:
            salvage: leave out what does not decode.
            memory: written instead of OUT.part.
            is_logged: let a refusal carry FFmpeg's own words.
        """
        self.target = target
        self.memory = memory
        self.is_pipe = target == STDOUT
        self.path = Path(target)
        self.part = part_of(self.path)
        self.plan = plan
        self.time_base = plan.encoder.time_base
        self.ticks = array("q")
        self.packets: Counter[int] = Counter()
        self.payload: Counter[int] = Counter()
        self.times: dict[int, tuple[array[int], Fraction]] = {}
        self.stream_tags = {stream.index: dict(stream.metadata) for stream in source.container.streams}
        self.damage = Damage()
        self.refused: dict[int, str] = {}
        self._salvage = salvage
        self._is_logged = is_logged
        self._gaps = Gaps(plan.container)
        self._start_seconds, self._input_seconds = source.start_seconds, source.facts.duration_seconds
        self._shift_ticks = round(plan.shift_seconds / self.time_base)
        self._copies: dict[int, Stream] = {}
        self._converters: dict[int, SubtitleConverter | SoundConverter] = {}
        self._covers: list[tuple[Stream, bytes]] = []
        self._times: dict[int, CopiedTimes] = {}
        self._given: dict[int, array[int]] = {}
        self._untimed: set[int] = set()
        self.container = self._create()
        try:
            self._add_streams(source)
            self._start()
        except BaseException:
            self.discard()
            raise

    # the header ---------------------------------------------------------------------------

    def _create(self) -> OutputContainer:
        where = self.memory or native_path(self.target if self.is_pipe else str(self.part))
        if self._is_on_disk:
            claim(self.part)  # a folder that cannot be written says so here
        with writing(self.path):
            container = av.open(
                where,
                "w",
                format=self.plan.container.muxer,
                container_options=self.plan.muxer_options,
            )
        container.metadata.update(self.plan.tags)
        if self.plan.chapters:
            container.set_chapters(native_chapters(self.plan.chapters))
        return container

    def _add_streams(self, source: Input) -> None:
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
        planned = next(plan for plan in self.plan.streams if plan.index == stream.index)
        tags = {key: value for key, value in tags.items() if key not in planned.lost_tags}
        if language := planned.language:
            tags = {key: value for key, value in tags.items() if key.lower() != "language"} | {"language": language}
        if moved is None:
            return tags
        kept = {key: value for key, value in tags.items() if key.lower() != "timecode"}
        return kept | ({"timecode": moved} if moved else {})

    def _add_stream(self, source: Input, stream: Stream, plan: StreamPlan) -> Stream | None:
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
        return add_copy(self.container, stream)

    def _add_cover(self, source: Input, stream: Stream) -> Stream | None:
        picture = cover_bytes(source, stream.index)
        if self.plan.container.takes_attachments:
            self.container.add_attachment(*cover_file(stream), picture)
            return None
        target = self.container.add_stream_from_template(stream, opaque=True)
        self._covers.append((target, picture))
        return target

    def _start(self) -> None:
        with writing(self.path), logged() if self._is_logged else nullcontext(), keep_scheduling():
            self.encoder.start(self.container)
        for target, picture in self._covers:
            packet: Packet[Stream] = Packet(picture)
            packet.stream, packet.time_base = target, target.time_base
            packet.pts = packet.dts = 0
            packet.is_keyframe = True
            with writing(self.path):
                self.container.mux_one(packet)

    # the body -----------------------------------------------------------------------------

    def copy(self, packets: Iterable[Packet[Stream]]) -> None:
        """Write packets of the input's other streams.

        One that the container does not take ends its stream, not the work: hours of it may be done.
        """
        for packet in packets:
            index = packet.stream.index
            target = self._copies.get(index)
            if target is None or index in self.refused:
                continue
            converter = self._converters.get(index)
            with self._refusing(index):
                for out in converter.convert(packet) if converter else (packet,):
                    self._gaps.check(out, target)
                    self._write_copy(out, target, index)

    @contextmanager
    def _refusing(self, index: int) -> Iterator[None]:
        """Take down that the container does not take stream `index` any further."""
        try:
            yield
        except BadInput as error:
            if self.memory is not None or isinstance(error, DamagedMedia):
                raise  # on trial, or the input's fault
            self.refused[index] = reason_of(error)

    def _lose(self, what: str, packet: Packet[Stream] | None) -> None:
        """Note what does not decode, or let it end the work."""
        if not self._salvage:
            raise DamagedMedia(what, hint=SALVAGE_HINT)
        stamp = None if packet is None else packet.pts
        at = None if packet is None or stamp is None else stamp * exact(packet.time_base) - self._start_seconds
        self.damage += Damage(undecodable_packets=1, first_at_seconds=at, details=[] if self.damage else [what])

    def _write_copy(self, packet: Packet[Stream], target: Stream, index: int) -> None:
        if packet.pts is None:
            self._untimed.add(index)
        if packet.pts is None and packet.dts is None:
            packet.pts = packet.dts = 0  # a cover picture has no time
        elif self.plan.shift_seconds:
            shift = round(self.plan.shift_seconds / exact(packet.time_base))
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = target
        packet.rescale_ts(target.time_base)
        self._note_time(packet, index)
        if target.type == "subtitle" and not packet.duration and self.plan.container.is_mp4_like:
            packet.duration = round(_SUBTITLE_SECONDS / exact(target.time_base))  # MP4 drops the last one without
        self._mux_copies(self._times[index].timed(packet), index)

    def _note_time(self, packet: Packet[Stream], index: int) -> None:
        """Remember when `packet` is shown or heard, before decoding times are put in order."""
        is_gap = packet.stream.type == "subtitle" and packet.size <= EMPTY_CUE and self.plan.container.is_mp4_like
        if packet.pts is not None and packet.size and not is_gap:
            self._given.setdefault(index, array("q")).append(packet.pts)

    def _mux_copies(self, packets: Iterable[Packet[Stream]], index: int) -> None:
        for packet in packets:
            is_frame, size = packet.size > 0, packet.size  # FLAC ends with an empty packet that completes its header
            with writing(self.path):
                self.container.mux_one(packet)
            self.packets[index] += is_frame
            self.payload[index] += size

    def write(self, packets: Iterable[Packet[VideoStream]]) -> None:
        """Write packets of the encoder."""
        with writing(self.path):
            for packet in packets:
                self._gaps.check(packet, self.encoder.stream)
                self.container.mux_one(packet)

    def record_ticks(self, ticks: int) -> int:
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
            raise no_frame_between(self._input_seconds)
        self.write(self.encoder.flush())
        self.complete()

    def complete(self) -> None:
        """Complete the file and force it to the disk; the encoder gave all it had, or was not used."""
        for index, converter in self._converters.items():
            if index not in self.refused:
                with self._refusing(index):
                    for packet in converter.finish():
                        self._gaps.check(packet, converter.stream)
                        self._write_copy(packet, converter.stream, index)
        for index, times in self._times.items():
            if index not in self.refused:
                with self._refusing(index):
                    self._mux_copies(times.rest(), index)
        for index, given in self._given.items():
            shown = self._times[index].shown if self._times[index].is_video else given
            if len(shown) == len(given) and index not in self._untimed:  # AVI knows decoding times only
                self.times[index] = shown, exact(self._copies[index].time_base)
        with writing(self.path):
            self.container.close()
            if self._is_on_disk:
                sync_file(self.part)

    def verify(self) -> None:
        """Compare the completed file with what was written. What went into a pipe cannot be read back.

        Raises:
            VerificationError: they differ, or a stream was refused on the way.
        """
        if self.refused:
            index, why = next(iter(self.refused.items()))
            where = "the output" if self.is_pipe else self.part.name
            raise VerificationError(
                f"stream {index} of the input does not reach its end in the output: {why}",
                hint=f"{where} is complete but for that and plays; .mkv takes more than any other",
            )
        if self.is_pipe:
            return
        written = Written(
            ticks=self.ticks,
            packets=self.packets,
            payload=self.payload,
            times=self.times,
            stream_tags=self.stream_tags,
        )
        verify_output(self.memory or self.part, self.plan, written)

    @property
    def _is_on_disk(self) -> bool:
        return not self.is_pipe and self.memory is None

    def publish(self) -> None:
        """Give the finished file its name."""
        if self._is_on_disk:
            publish(self.part, self.path)

    def discard(self) -> None:
        """Close and remove what was written; nothing is left behind."""
        with suppress(av.FFmpegError, OSError, RuntimeError):  # the first error is what counts
            self.container.close()
        if self._is_on_disk:
            drop(self.part)


@contextmanager
def part_removed_on_failure(target: str) -> Iterator[None]:
    """Remove OUT.part where Ctrl-C falls between its creation and the code that looks after it."""
    try:
        yield
    except VerificationError:
        raise
    except BaseException:
        if target != STDOUT:
            drop(part_of(Path(target)))
        raise
