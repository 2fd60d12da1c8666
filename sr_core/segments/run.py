"""The coordinator: begin or go on, have made what is missing, join, clean up."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from sr_core.backend import usable_cpus
from sr_core.errors import BadInput, Cancelled, DamagedMedia, SrError, StorageError, VerificationError
from sr_core.file_stamp import stamp_of
from sr_core.media.damage import Damage, missing_bytes
from sr_core.media.native import STDIN, STDOUT
from sr_core.media.plan import Plan, Request, check_target, plan_output
from sr_core.media.sink import Sink
from sr_core.media.source import Source
from sr_core.media.transcode import Listener, Progress, Summary, in_thread, upscale_video, verify_sink
from sr_core.retrying import TRIES
from sr_core.segments.crew import Crew, EngineChoice, Report, ThisProcess, differences, versions_of
from sr_core.segments.cut import Segment, cut_segments
from sr_core.segments.index import Index, read_index
from sr_core.segments.job import Manifest, Record, WorkFolder, was_joined_into
from sr_core.segments.join import write_joined
from sr_core.segments.segment import Task, encoder_threads, pinned, segment_format
from sr_core.timing import first_tick_at, ticks_from_seconds

DEFAULT_SECONDS = Fraction(20)
_REPORT_SECONDS = 0.25
_RESUME_HINT = "finished segments are kept: the same command goes on"
_UNVERIFIED_HINT = (
    "please report this with the command; nothing was replaced, and finished segments are kept: "
    "the same command joins them again, --restart drops them, --no-segments does without"
)


@dataclass(frozen=True, kw_only=True)
class Segmenting:
    """How the work is divided.

    Attributes:
        seconds: at least so much video in a segment; None: one straight stream.
        restart: drop an unfinished job of the same output.
        crew: who makes the segments.
    """

    seconds: Fraction | None = DEFAULT_SECONDS
    restart: bool = False
    crew: Crew = field(default_factory=ThisProcess)

    def __post_init__(self) -> None:
        if self.seconds is not None and self.seconds <= 0:
            raise BadInput(f"--segment {float(self.seconds):g} is not a length", hint="--no-segments streams instead")


class SegmentListener(Listener, Protocol):
    """A listener that is also told of segments."""

    def indexing(self, share: float) -> None: ...

    def resuming(self, *, segments_done: int, segments: int, frames_done: int) -> None: ...

    def noted(self, text: str) -> None: ...


def upscale(request: Request, choice: EngineChoice, listener: SegmentListener, segmenting: Segmenting) -> Summary:
    """Upscale one file, in segments where it is longer than one; pipes always as one stream.

    A run that ends early, however it ends, goes on where it was when it is called again with the
    same arguments, and gives the bytes it would have given.

    Raises:
        SrError: as the parts say; BadInput where an unfinished job of this output differs.
    """
    if request.target == STDOUT:
        return _straight(request, choice, listener, segmenting)
    target = Path(request.target)
    folder = WorkFolder.of(target)
    if not target.absolute().parent.is_dir():
        check_target(request)  # says so
    with folder.locked(target=target):
        if segmenting.restart:
            folder.clear()
        if not _is_finished(folder, target):
            check_target(request)
        if request.source == STDIN or segmenting.seconds is None:
            _refuse_unfinished(folder)
            return _straight(request, choice, listener, segmenting)
        return _Job(request, choice, listener, segmenting, folder).run()


def _straight(request: Request, choice: EngineChoice, listener: SegmentListener, segmenting: Segmenting) -> Summary:
    if not isinstance(segmenting.crew, ThisProcess):
        listener.noted("there is only one segment, so this process makes it alone: no other worker is used")
    return upscale_video(request, choice, listener)


def _is_finished(folder: WorkFolder, target: Path) -> bool:
    manifest = folder.read_manifest()
    return manifest is not None and was_joined_into(manifest, target)


def _refuse_unfinished(folder: WorkFolder) -> None:
    if folder.manifest_path.exists():
        raise BadInput(
            f"{folder.path.name} holds an unfinished job", hint="leave --no-segments out to go on, or add --restart"
        )


@dataclass
class _Job:
    """One locked output."""

    request: Request
    choice: EngineChoice
    listener: SegmentListener
    segmenting: Segmenting
    folder: WorkFolder
    began: float = field(default_factory=time.monotonic)
    reported: float = 0.0
    frames: dict[int, int] = field(default_factory=dict)

    def run(self) -> Summary:
        request, folder = self.request, self.folder
        unfinished = folder.read_manifest()
        source = in_thread(lambda: Source(request.source, salvage=request.salvage, hwaccel=request.hwaccel))
        with source:
            # a segment's room is checked as it is written; half of the estimate is asked of new jobs only
            plan = plan_output(source, request)
            if unfinished is None and self._is_short(source, plan):
                return _straight(request, self.choice, self.listener, self.segmenting)
            if unfinished is not None and was_joined_into(unfinished, Path(request.target)):
                return self._already_joined(unfinished, source, plan)
            manifest = unfinished or self._begin(source, plan)
            if manifest is None:
                return _straight(request, self.choice, self.listener, self.segmenting)
            if unfinished is not None:
                self._check_same(manifest, source, plan)
            plan = replace(pinned(plan, manifest.encoder_threads), frames_expected=manifest.frames)
            self.listener.planned(source, plan)
            return self._finished(manifest, source, plan)

    # beginning ----------------------------------------------------------------------------

    def _is_short(self, source: Source, plan: Plan) -> bool:
        assert self.segmenting.seconds is not None
        duration = source.facts.duration_seconds
        if duration is None:
            return False
        low = plan.start_seconds or source.start_seconds
        high = source.start_seconds + duration if plan.end_seconds is None else plan.end_seconds
        return high - low <= self.segmenting.seconds

    def _begin(self, source: Source, plan: Plan) -> Manifest | None:
        """Write the manifest of a new job; None where the video is not to be cut."""
        index = self._index(source)
        if index.why_unusable:
            self.listener.noted(f"no segments, so this run cannot be resumed: {index.why_unusable}")
            return None
        segments = self._cut(index, plan)
        if len(segments) < 2:
            return None
        self.folder.clear()
        manifest = Manifest(
            source=str(Path(self.request.source).absolute()),
            target=str(Path(self.request.target).absolute()),
            stamp=stamp_of(self.request.source),
            digest=index.digest,
            settings=self._settings(source, plan),
            versions=versions_of(self.choice),
            engine=self._identity(self.choice, source, plan),
            encoder_threads=encoder_threads(plan.encoder.codec.encoder, usable_cpus()),
            segment_format=segment_format(plan.encoder.codec.codec),
            time_base=plan.encoder.time_base,
            segments=segments,
        )
        self.folder.write_manifest(manifest)
        return manifest

    def _identity(self, choice: EngineChoice, source: Source, plan: Plan) -> dict[str, str]:
        crew = self.segmenting.crew
        found = in_thread(lambda: crew.identity(choice, plan.engine_scale, source.facts))
        if "backend" in found and not isinstance(crew, ThisProcess):  # else it says so itself, as it opens
            self.listener.noted(f"every worker's engine: {found['backend']}")
        return found

    def _index(self, source: Source) -> Index:
        self._check_length(source)
        return in_thread(lambda: read_index(source, salvage=self.request.salvage, report=self.listener.indexing))

    def _check_length(self, source: Source) -> None:
        """Notice a file that was cut off now, rather than at its end after days of work."""
        missing = missing_bytes(Path(source.path))
        if missing and not self.request.salvage:
            raise DamagedMedia(f"{source.name} ends {missing} bytes early", hint="--salvage keeps what can be decoded")

    def _cut(self, index: Index, plan: Plan) -> tuple[Segment, ...]:
        assert self.segmenting.seconds is not None
        base = plan.encoder.time_base
        return cut_segments(
            index.ticks,
            index.keys,
            segment_ticks=max(1, ticks_from_seconds(self.segmenting.seconds, base)),
            begin=None if plan.start_seconds is None else ticks_from_seconds(plan.start_seconds, base),
            end=None if plan.end_seconds is None else first_tick_at(plan.end_seconds, base),
        )

    def _settings(self, source: Source, plan: Plan) -> dict[str, str]:
        """By name, as people know them; the digest at the end covers what has none."""
        settings, request = plan.encoder, self.request
        decoder = request.hwaccel and request.hwaccel.partition(":")[0]  # on which card makes no difference
        everything = repr(
            (replace(plan, frames_expected=None, notes=()), request.keeps_audio, request.salvage, decoder)
        )
        return {
            "scale": str(plan.engine_scale),
            "size": f"{settings.width}x{settings.height}",
            "codec": settings.codec.encoder,
            "pixel format": settings.pix_fmt,
            "encoder options": " ".join(f"{key}={value}" for key, value in settings.options),
            "container": plan.container.muxer,
            "start": str(request.start or ""),
            "end": str(request.end or ""),
            "audio": "kept" if request.keeps_audio else "left out",
            "salvage": "yes" if request.salvage else "no",
            "segment": f"{float(self.segmenting.seconds or 0):g} s",
            "other details": hashlib.blake2b(everything.encode(), digest_size=8).hexdigest(),
        }

    # going on -------------------------------------------------------------------------------

    def _check_same(self, manifest: Manifest, source: Source, plan: Plan) -> None:
        """Refuse to mix: what lies there must be what this command would have made."""
        engine = self._identity(self.choice.like(manifest.engine), source, plan)
        differing = [
            *differences(manifest.settings, self._settings(source, plan)),
            *differences(manifest.versions, versions_of(self.choice)),
            *differences(manifest.engine, engine),
        ]
        if len(differing) > 1:
            differing = [text for text in differing if not text.startswith("other details")] or differing
        if differing:
            raise BadInput(
                f"{self.folder.path.name} holds an unfinished job that differs\n  " + "\n  ".join(differing),
                hint="repeat the earlier command to go on, or --restart to begin anew",
            )
        if stamp_of(self.request.source) != manifest.stamp and self._index(source).digest != manifest.digest:
            raise BadInput(
                f"{source.name} is not the file that was being upscaled",
                hint="restore it to go on, or --restart to begin anew",
            )

    def _already_joined(self, manifest: Manifest, source: Source, plan: Plan) -> Summary:
        """The last run was cut off after naming its output, while cleaning up."""
        target = Path(self.request.target)
        try:
            self._check_same(manifest, source, plan)
        except BadInput:  # the next job of that name: nothing of the finished one concerns it
            self.folder.clear()
            check_target(self.request)
            return self.run()
        self.folder.remove()
        return self._summary(manifest.frames, target.stat().st_size, source.damage, retimed=0, packets_copied=0)

    def _finished(self, manifest: Manifest, source: Source, plan: Plan) -> Summary:
        """Make what is missing and join; a segment that is found faulty then is made again."""
        for _ in range(TRIES - 1):
            records = self._make(manifest, source, plan)
            try:
                return self._join(manifest, source, plan, records)
            except (StorageError, VerificationError) as error:
                if all(self.folder.read_record(record.number, manifest) for record in records):
                    raise
                self.listener.noted(f"{error}: it is made again")
        return self._join(manifest, source, plan, self._make(manifest, source, plan))

    # making -----------------------------------------------------------------------------------

    def _make(self, manifest: Manifest, source: Source, plan: Plan) -> list[Record]:
        folder = self.folder
        folder.sweep()
        records: dict[int, Record] = {}
        for segment in manifest.segments:
            record = folder.read_record(segment.number, manifest)
            if record is not None:
                records[record.number] = record
        self.frames = {number: len(record.ticks) for number, record in records.items()}
        if records:
            self.listener.resuming(
                segments_done=len(records), segments=len(manifest.segments), frames_done=sum(self.frames.values())
            )
        missing = [segment for segment in manifest.segments if segment.number not in records]
        if missing:
            task = Task(
                manifest=replace(manifest, stamp=stamp_of(self.request.source)),
                plan=plan,
                facts=source.facts,
                source=str(Path(self.request.source).absolute()),
                folder=folder.path,
                salvage=self.request.salvage,
                hwaccel=self.request.hwaccel,
            )
            choice = self.choice.like(manifest.engine)
            try:
                for record in self.segmenting.crew.make(task, missing, choice, self._report(manifest)):
                    records[record.number] = record
            except SrError as error:
                _resumable(error)
                raise
        return [records[segment.number] for segment in manifest.segments]

    def _report(self, manifest: Manifest) -> Report:
        lock = threading.Lock()  # lanes report at the same time

        def report(number: int, frames: int) -> None:
            with lock:
                self.frames[number] = frames
                now = time.monotonic()
                if now - self.reported >= _REPORT_SECONDS:
                    self.reported = now
                    self.listener.progressed(self._progress(manifest))

        return report

    def _progress(self, manifest: Manifest) -> Progress:
        frames = sum(self.frames.values())
        first, last = manifest.segments[0], manifest.segments[-1]
        span = (last.first_ticks or 0) - (first.first_ticks or 0)
        position = float(span * manifest.time_base) * frames / max(1, manifest.frames - last.frames)
        return Progress(
            frames=frames,
            frames_expected=manifest.frames,
            position_seconds=position,
            elapsed_seconds=time.monotonic() - self.began,
        )

    # joining ----------------------------------------------------------------------------------

    def _join(self, manifest: Manifest, source: Source, plan: Plan, records: list[Record]) -> Summary:
        self._check_room(records)
        request, folder = self.request, self.folder
        check_target(request)
        sink = Sink(request.target, source, plan, salvage=request.salvage)
        try:
            self.listener.verifying(self._progress(manifest))
            in_thread(lambda: write_joined(sink, source, folder, manifest, records))
            in_thread(lambda: verify_sink(sink, plan))
            output_bytes = sink.part.stat().st_size
            folder.write_joined(manifest, sink.part)
            sink.publish()
        except BaseException as error:
            sink.discard()
            _resumable(error)
            raise
        folder.remove()
        return self._summary(
            len(sink.ticks),
            output_bytes,
            _damage_of(records) + sink.damage,
            retimed=sum(record.retimed for record in records),
            packets_copied=sink.packets.total(),
        )

    def _check_room(self, records: Iterable[Record]) -> None:
        needed = sum(record.bytes for record in records)
        free = shutil.disk_usage(self.folder.path).free
        if free < needed:
            raise StorageError(
                f"{free / 1e6:.1f} MB free, but joining the segments needs {needed / 1e6:.1f} MB",
                hint="free some space; the same command then joins them, without upscaling again",
            )

    def _summary(self, frames: int, output_bytes: int, damage: Damage, *, retimed: int, packets_copied: int) -> Summary:
        return Summary(
            frames=frames,
            elapsed_seconds=time.monotonic() - self.began,
            output_bytes=output_bytes,
            damage=damage,
            retimed_frames=retimed,
            packets_copied=packets_copied,
        )


def _damage_of(records: Iterable[Record]) -> Damage:
    found = [f"segment {record.number}: {record.damage}" for record in records if record.damage]
    return Damage(ends_early="; ".join(found))


def _resumable(error: BaseException) -> None:
    """Let the hint of `error` say that nothing finished is lost."""
    if isinstance(error, VerificationError):
        error.hint = _UNVERIFIED_HINT
    elif isinstance(error, SrError) and not isinstance(error, Cancelled):
        error.hint = f"{error.hint}; {_RESUME_HINT}" if error.hint else _RESUME_HINT
