"""The output on trial: whatever its verification could reject is known before the first frame is upscaled.

The side streams of the input's first 48 MB and two gray frames are muxed for real into memory, read back
and compared as the finished file will be. What the container does not keep is converted, or left out and said:

    the whole plan ─► kept? done
                 └─► the video alone ─► each tag ─► chapters ─► each stream by itself ─► the whole again

A longer input is then read to its end (or to `--end`), and all its side streams are tried so; what is beyond
memory's share goes to a file without a name beside OUT. Reading is what it costs: MP4's other streams are read
alone; of Matroska and transport streams, everything.

Pipes and URLs are not read for it: there, header, video and tags are tried, and the plan says so. What the
container refuses later there costs that stream its rest, never the work.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import chain, combinations, pairwise
from pathlib import Path
from tempfile import SpooledTemporaryFile

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream

from sr_core.errors import BadInput, Cancelled, NotAvailable, SrError, StorageError, VerificationError
from sr_core.wording import printable
from sr_video.decide.plan import Plan, no_frame_between
from sr_video.decide.streams import StreamPlan, alternatives
from sr_video.native import is_local, native_path
from sr_video.read.facts import MICROSECOND, VideoFacts
from sr_video.read.held_packets import begins_after
from sr_video.read.source import APART_SECONDS, Source
from sr_video.write.gaps import Gaps
from sr_video.write.kept_tags import LostTags, find_lost_tags
from sr_video.write.sink import Sink
from sr_video.write.verify import reason_of

_PACKETS = 12  # of sound that is encoded anew
_FRAMES = 2
_MAX_BYTES = 48 << 20  # read of the input for it: a subtitle may come late
_MAX_PACKETS = 20_000


@dataclass
class _Stage:
    """Where it is performed.

    Attributes:
        folder: for what does not fit into memory.
        most_bytes: read of the input; None: all of it.
        is_whole: all of it has been read.
        is_wanted: asked at every packet.
    """

    source: Source
    folder: Path | None
    most_bytes: int | None
    is_whole: bool = False
    is_wanted: Callable[[], bool] = lambda: True


def rehearse(
    source: Source,
    plan: Plan,
    folder: Path | None = None,
    *,
    is_wanted: Callable[[], bool] = lambda: True,
    on_reading: Callable[[], None] = lambda: None,
) -> Plan:
    """`plan` as its container keeps it, with notes on what is converted or lost for it.

    Args:
        folder: of the output.
        is_wanted: asked at every packet: a large file takes minutes to read.
        on_reading: called before a longer input is read to its end.

    Raises:
        Cancelled: it is not wanted any more.
        BadInput: the container cannot hold the video itself, or not all of it together.
        NotAvailable: the encoder does not work here.
        StorageError: `folder` has no room for the other streams.
    """
    stage = _Stage(source, folder, _MAX_BYTES, is_wanted=is_wanted)
    try:
        plan = _settled(stage, _noted_as_unread(source, plan))
        has_more = is_local(source.path) and not stage.is_whole
        if has_more and (plan.container.is_mp4_like or _copied(plan)):
            on_reading()
            plan = _settled(replace(stage, most_bytes=None), plan)
    except StorageError as error:
        where = folder or "the folder for temporary files"
        raise StorageError(
            f"cannot try the other streams in {where}: {reason_of(error)}", hint=error.unspelled_hint
        ) from error
    return plan


def _copied(plan: Plan) -> frozenset[int]:
    return frozenset(entry.index for entry in plan.streams if entry.action in ("copy", "convert"))


def _settled(stage: _Stage, plan: Plan) -> Plan:
    """`plan` less what is not kept of the part of the input that this stage reads."""
    kept = _outcome(stage, plan)
    if not isinstance(kept, str):
        return _without_tags(plan, kept)
    bare = replace(plan, streams=_only_video(plan), tags={}, chapters=())
    fitting = _with_video(stage, bare)
    plan = replace(plan, encoder=fitting.encoder, notes=fitting.notes)
    short = replace(stage, most_bytes=_MAX_BYTES)  # the input has no part in these
    plan = _with_tags(short, bare=fitting, plan=plan)
    if plan.chapters and (lost := _failure(short, replace(fitting, chapters=plan.chapters))):
        plan = _add_notes(replace(plan, chapters=()), f"the chapters are lost: {_container(plan)} ({lost})")
    plan = _with_streams(stage, bare=fitting, plan=plan)
    kept = _outcome(stage, plan)
    if isinstance(kept, str):
        raise BadInput(
            f"{plan.container.muxer} does not keep all of this input: {kept}",
            hint=".mkv takes more than any other; leave streams out with ffmpeg first where it does not either",
        )
    return _without_tags(plan, kept)


def _noted_as_unread(source: Source, plan: Plan) -> Plan:
    others = [str(entry.index) for entry in plan.streams if entry.action in ("copy", "convert")]
    if is_local(source.path) or not others:
        return plan
    return _add_notes(
        plan,
        f"{source.name} is read only once: whether {plan.container.muxer} takes all of stream {', '.join(others)} "
        "shows as it comes; if not, the output is kept without the rest of it, and that is an error at the end",
    )


def _only_video(plan: Plan) -> tuple[StreamPlan, ...]:
    return tuple(entry for entry in plan.streams if entry.action == "video")


def _container(plan: Plan) -> str:
    return f"{plan.container.muxer} does not keep them as they are"


def _add_notes(plan: Plan, note: str) -> Plan:
    return replace(plan, notes=(*plan.notes, note))


# what is given up, from the video to the last stream ----------------------------------------


def _with_video(stage: _Stage, bare: Plan) -> Plan:
    """`bare` with as much of the video's own description as its container keeps."""
    try:
        _play(stage, bare, is_logged=True)
    except (BadInput, NotAvailable):
        raise  # an encoder that refuses: nothing to give up would help
    except VerificationError as error:
        for given_up in _subsets(_CONCESSIONS):
            tried = bare
            for concede, what in given_up:
                tried = _add_notes(concede(tried), f"{what} is lost: {bare.container.muxer} does not keep it as it is")
            if tried.encoder != bare.encoder and _failure(stage, tried) is None:
                return tried
        why = reason_of(error)
        raise BadInput(f"{bare.container.muxer} does not keep this video as it is: {why}", hint="") from error
    return bare


_Concession = tuple[Callable[[Plan], Plan], str]
_CONCESSIONS: tuple[_Concession, ...] = (
    (lambda plan: replace(plan, encoder=replace(plan.encoder, display_matrix=None)), "the rotation tag"),
    (
        lambda plan: replace(plan, encoder=replace(plan.encoder, sample_aspect=Fraction(0))),
        "the aspect ratio of the samples",
    ),
    (lambda plan: replace(plan, encoder=replace(plan.encoder, crop=(0, 0, 0, 0))), "the crop"),
)


def _subsets(concessions: tuple[_Concession, ...]) -> Iterator[tuple[_Concession, ...]]:
    """The smallest first."""
    return chain.from_iterable(combinations(concessions, size) for size in range(1, len(concessions) + 1))


def _with_tags(stage: _Stage, *, bare: Plan, plan: Plan) -> Plan:
    if not plan.tags or _failure(stage, replace(bare, tags=plan.tags)) is None:
        return plan
    kept = {key: text for key, text in plan.tags.items() if not _failure(stage, replace(bare, tags={key: text}))}
    lost = printable(", ".join(key for key in plan.tags if key not in kept))
    return _add_notes(replace(plan, tags=kept), f"tags lost: {lost}: {_container(plan)}")


def _with_streams(stage: _Stage, *, bare: Plan, plan: Plan) -> Plan:
    video = bare.streams
    entries: list[StreamPlan] = []
    for entry in plan.streams:
        chosen: StreamPlan | None = entry
        if entry.action != "video" and (why := _failure(stage, replace(bare, streams=_in_order(*video, entry)))):
            stream = stage.source.container.streams[entry.index]
            for other, note in alternatives(stream, entry, plan.container, why):
                if other is None or _failure(stage, replace(bare, streams=_in_order(*video, other))) is None:
                    chosen, plan = other, _add_notes(_forget_change(plan, entry.index), note)
                    break
        entries += [chosen] if chosen else []
    return replace(plan, streams=tuple(entries))


def _forget_change(plan: Plan, index: int) -> Plan:
    """`plan` without the note that stream `index` becomes something: it comes to something else."""
    begin = f"stream {index}, "
    return replace(
        plan, notes=tuple(note for note in plan.notes if not (note.startswith(begin) and " becomes " in note))
    )


def _without_tags(plan: Plan, lost: LostTags) -> Plan:
    """Less what the streams' own tags lose; said once for each stream."""
    known = {entry.index: entry.lost_tags for entry in plan.streams}
    for index, all_keys in lost.items():
        keys = [key for key in all_keys if key not in known[index]]
        if not keys:
            continue
        names = printable(", ".join(keys))
        plan = _add_notes(plan, f"tags of stream {index} lost: {names}: {plan.container.muxer} does not keep them")
    streams = tuple(replace(entry, lost_tags=lost.get(entry.index, ())) for entry in plan.streams)
    return replace(plan, streams=streams)


def _in_order(*entries: StreamPlan) -> tuple[StreamPlan, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.index))


# one performance ------------------------------------------------------------------------------


def _failure(stage: _Stage, plan: Plan) -> str | None:
    """Why the output of `plan` would be refused; None where it is kept."""
    outcome = _outcome(stage, plan)
    return outcome if isinstance(outcome, str) else None


def _outcome(stage: _Stage, plan: Plan) -> str | LostTags:
    """Why the output of `plan` would be refused; where it is kept, the tags of streams that it lacks."""
    try:
        return _play(stage, plan)
    except (StorageError, Cancelled):
        raise  # no fault of the container's
    except (SrError, av.FFmpegError, ValueError, OverflowError) as error:  # muxers reject values in all these ways
        return reason_of(error)


def _play(stage: _Stage, plan: Plan, *, is_logged: bool = False) -> LostTags:
    """Mux the output's other streams and verify them; the tags of streams that did not come back.

    Args:
        is_logged: FFmpeg's words are wanted. They are not as long as nothing is refused: threads of the source's
            decoder may be at work, and log.
    """
    source = stage.source
    folder = None if stage.folder is None else str(stage.folder)
    is_read = is_local(source.path)
    container = av.open(native_path(source.path), "r") if is_read else source.container
    try:
        script = _Script(container, source, stage.most_bytes, stage.is_wanted)
        with SpooledTemporaryFile(max_size=_MAX_BYTES, dir=folder) as memory:
            sink = Sink("rehearsal", script, plan, salvage=True, memory=memory, is_logged=is_logged)
            try:
                ticks = script.play(plan, sink) if is_read else []
                stage.is_whole |= script.is_whole
                Gaps(plan.container).refuse(script.longest_gap, sink.encoder.stream)
                _encode(sink, plan, source.facts, ticks or [round(plan.shift_seconds / plan.encoder.time_base)])
                sink.complete()
                sink.verify()
                return find_lost_tags(memory, plan, sink.packets, sink.stream_tags)
            finally:
                sink.discard()
    finally:
        if is_read:
            container.close()


@dataclass
class _Script:
    """The input, opened once more; see `Input`.

    Attributes:
        most_bytes: to be read of it; None: all.
        is_wanted: asked at every packet.
        is_whole: it was read to its end, or to the plan's, without an error.
        times: of the video's pictures, in ticks.
    """

    container: InputContainer
    source: Source
    most_bytes: int | None
    is_wanted: Callable[[], bool]
    is_whole: bool = False
    times: array[int] = field(default_factory=partial(array, "q"))

    @property
    def facts(self) -> VideoFacts:
        return self.source.facts

    @property
    def start_seconds(self) -> Fraction:
        return self.source.start_seconds

    def early_packet(self, index: int) -> bytes | None:
        return self.source.early_packet(index)

    def play(self, plan: Plan, sink: Sink) -> list[int]:
        """Give `sink` packets of all it copies; the first times of the video."""
        copied = _copied(plan)
        encoded = {entry.index for entry in plan.streams if entry.action == "convert" and entry.kind == "audio"}
        left = Counter(dict.fromkeys(encoded, _PACKETS))
        video, has_pictures = self.facts.index, False
        is_cut = plan.start_seconds is not None or plan.end_seconds is not None
        has_all_times = self._skip_video() if self.most_bytes is None and not is_cut else False
        for packet in self._packets(plan, [*copied, video]):
            index = packet.stream_index
            if index == video:
                has_pictures |= not packet.is_discard
                if packet.pts is not None and not packet.is_discard:
                    self.times.append(packet.pts)
            elif index not in encoded or left[index] > 0:
                left[index] -= 1
                sink.copy((packet,))
            has_times = has_all_times or self.most_bytes is not None or not plan.container.is_mp4_like
            if not +left and copied == encoded and len(self.times) >= _PACKETS and has_times:
                break
        if is_cut and not has_pictures and self.is_whole:  # raw streams have pictures without times
            raise no_frame_between(self.facts.duration_seconds)
        return [] if has_all_times else sorted(set(self.times[:_PACKETS]))[:_FRAMES]

    def _skip_video(self) -> bool:
        """Let only the other streams be read, where the file has a list of all its pictures."""
        stream = self.container.streams[self.facts.index]
        if not self.container.format.name.startswith("mov"):
            return False
        self.times.extend(entry.timestamp for entry in stream.index_entries)  # when decoded: they jump alike
        stream.discard = Discard.all
        return True

    @property
    def longest_gap(self) -> Fraction:
        """Seconds between two pictures of the video."""
        return (
            max((later - earlier for earlier, later in pairwise(sorted(self.times))), default=0) * self.facts.time_base
        )

    def _packets(self, plan: Plan, indexes: Iterable[int]) -> Iterator[Packet[Stream]]:
        """What lies between start and end, from the beginning on; what cannot be read is for the real run to say."""
        wanted = [self.container.streams[index] for index in sorted(set(indexes))]
        read, most = 0, self.most_bytes
        with suppress(av.FFmpegError):
            if plan.start_seconds is not None:
                self.container.seek(int(plan.start_seconds / MICROSECOND))
            late = None if plan.end_seconds is None else plan.end_seconds + APART_SECONDS
            for number, packet in enumerate(self.container.demux(wanted)):
                if not self.is_wanted():
                    raise Cancelled("the trial of the output is not wanted any more")
                read += packet.size
                if most is not None and (read > most or number > _MAX_PACKETS):
                    return
                if packet.stream_index == self.facts.index and begins_after(packet, late):
                    break
                is_before = not begins_after(packet, plan.start_seconds, default=True)
                if packet.size and not is_before and not begins_after(packet, plan.end_seconds):
                    yield packet
            self.is_whole = True


def _encode(sink: Sink, plan: Plan, facts: VideoFacts, ticks: list[int]) -> None:
    settings = plan.encoder
    shapes = facts.format.plane_shapes(settings.width, settings.height)
    planes = tuple(np.zeros(shape, facts.format.dtype) for shape in shapes)
    steps = [later - earlier for earlier, later in pairwise(ticks)]
    for stamp in ticks:
        packets = sink.encoder.encode(
            planes, facts.format, ticks=sink.record_ticks(stamp), duration_ticks=min(steps, default=1)
        )
        sink.write(packets)
    sink.write(sink.encoder.flush())
