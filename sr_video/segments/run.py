"""The coordinator: begin or go on, have made what is missing, join, clean up."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sr_core.errors import BadInput, Cancelled, SrError, StorageError, VerificationError
from sr_core.file_stamp import FileStamp, refuse_changed, stamp_of
from sr_core.wording import count_of, option, text_from_bytes
from sr_video.decide.paths import check_source, check_target
from sr_video.decide.plan import Plan, Request, plan_output
from sr_video.native import STDOUT, is_local
from sr_video.read.damage import SALVAGE_HINT, Damage
from sr_video.read.source import Source
from sr_video.segments.job import Manifest, Record, WorkFolder, was_joined_into
from sr_video.segments.join import write_joined
from sr_video.segments.maker import SegmentRecipe, make_segments, work_of
from sr_video.segments.segment import Task, pin_threads
from sr_video.segments.speed import is_short
from sr_video.segments.terms import Segmenting, SegmentListener, Terms
from sr_video.segments.verdict import Verdict, verdict_on
from sr_video.transcode import Progress, Summary, in_thread, upscale_video
from sr_video.write.rehearsal import rehearse
from sr_video.write.sink import Sink
from sr_work.here import Here
from sr_work.scheduler import TRIES, Workers
from sr_work.work import Report, Work

_REPORT_SECONDS = 0.25
_UNVERIFIED_HINT = (
    "please report this with the command; nothing was replaced, and finished segments are kept: "
    f"the same command joins them again, {option('restart', True)} drops them, {option('no_segments', True)} does "
    "without"
)


def upscale(request: Request, recipe: SegmentRecipe, listener: SegmentListener, segmenting: Segmenting) -> Summary:
    """Upscale one file, in segments where it is longer than one; pipes always as one stream.

    A run that ends early, however it ends, goes on where it was when it is called again with the
    same arguments, and gives the bytes it would have given.

    Raises:
        SrError: as the parts say; BadInput where an unfinished job of this output differs.
    """
    check_source(request)
    if request.target == STDOUT:
        return _straight(request, recipe, listener, segmenting)
    target = Path(request.target)
    folder = WorkFolder.of(target)
    if not target.absolute().parent.is_dir():
        check_target(request)  # says so
    with folder.locked(target=target):
        if segmenting.restart:
            folder.clear()
        if not _is_finished(folder, target):
            check_target(request)
        if not is_local(request.source) or segmenting.seconds is None:
            _refuse_unfinished(folder)
            return _straight(request, recipe, listener, segmenting)
        return _Job(request, recipe, listener, segmenting, folder).run()


def _straight(request: Request, recipe: SegmentRecipe, listener: SegmentListener, segmenting: Segmenting) -> Summary:
    if not isinstance(segmenting.pool, Here):
        listener.noted("there is only one segment, so this process makes it alone: no other worker is used")
    return upscale_video(request, recipe.open, listener)


def _is_finished(folder: WorkFolder, target: Path) -> bool:
    manifest = folder.read_manifest()
    return manifest is not None and was_joined_into(manifest, target)


def _refuse_unfinished(folder: WorkFolder) -> None:
    if folder.manifest_path.exists():
        raise BadInput(
            f"{folder.path.name} holds an unfinished job",
            hint=f"leave {option('no_segments', True)} out to go on, or add {option('restart', True)}",
        )


@dataclass
class _Job:
    """One locked output."""

    request: Request
    recipe: SegmentRecipe
    listener: SegmentListener
    segmenting: Segmenting
    folder: WorkFolder
    began: float = field(default_factory=time.monotonic)
    reported: float = 0.0
    frames: dict[int, int] = field(default_factory=dict)
    stamp: FileStamp = field(init=False)
    verdict: Verdict | None = None

    def run(self) -> Summary:
        request, folder = self.request, self.folder
        self.stamp = stamp_of(request.source)
        unfinished = folder.read_manifest()
        source = in_thread(lambda: Source(request.source, salvage=request.salvage, hwaccel=request.hwaccel))
        with source:
            # a segment's room is checked as it is written; half of the estimate is asked of new jobs only
            plan = plan_output(source, request)
            if unfinished is None and self._is_short(source, plan):
                return _straight(request, self.recipe, self.listener, self.segmenting)
            plan = self._rehearsed(source, plan, unfinished)
            if unfinished is not None and was_joined_into(unfinished, Path(request.target)):
                return self._already_joined(unfinished, source, plan)
            with self._workers(source, plan, unfinished) as workers:
                terms = self._terms(source, plan, workers)
                if unfinished is not None:
                    terms.check(unfinished)
                manifest = unfinished or terms.begin()
                if manifest is not None:
                    workers.bind(self._work(source, plan, manifest))
                    plan = replace(pin_threads(plan, manifest.encoder_threads), frames_expected=manifest.frames)
                    self.listener.planned(source, plan)
                    return self._finish(manifest, source, plan, workers)
        return _straight(request, self.recipe, self.listener, self.segmenting)

    def _rehearsed(self, source: Source, plan: Plan, unfinished: Manifest | None) -> Plan:
        """`plan` as its container keeps it; where a job goes on, as was found when it began."""
        if unfinished is not None and unfinished.stamp == stamp_of(self.request.source):
            self.verdict = unfinished.verdict
        if self.verdict is not None and self.verdict.is_on(plan):
            return self.verdict.applied_to(plan)
        folder = self.folder.path.parent
        kept = in_thread(partial(rehearse, source, plan, folder, on_reading=self.listener.reading))
        self.verdict = verdict_on(plan, kept)
        return kept

    def _workers(self, source: Source, plan: Plan, manifest: Manifest | None) -> AbstractContextManager[Workers]:
        return self.segmenting.pool.open(self._work(source, plan, manifest))

    def _work(self, source: Source, plan: Plan, manifest: Manifest | None) -> Work:
        """What a worker opens; the engine of a job that was begun is the one its manifest names."""
        recipe = self.recipe
        if manifest is not None:
            tile = self._least_tile(manifest)
            recipe = recipe.like(manifest.engine | ({"tile now": tile} if tile else {}))
        return work_of(recipe, plan.engine_scale, source.facts, self.segmenting.pool)

    def _least_tile(self, manifest: Manifest) -> str:
        """The smallest tile that a segment so far was made with: memory ran out once, and may again. '' for none."""
        records = [self.folder.read_record(segment.number, manifest) for segment in manifest.segments]
        return min((record.tile for record in records if record and record.tile), key=_area, default="")

    def _terms(self, source: Source, plan: Plan, workers: Workers) -> Terms:
        return Terms(
            request=self.request,
            recipe=self.recipe,
            listener=self.listener,
            segmenting=self.segmenting,
            folder=self.folder,
            source=source,
            plan=plan,
            workers=workers,
            verdict=self.verdict,
        )

    def _is_short(self, source: Source, plan: Plan) -> bool:
        assert self.segmenting.seconds is not None
        return is_short(source, plan, self.segmenting.seconds, adapts=self.segmenting.adapts)

    # going on -------------------------------------------------------------------------------

    def _already_joined(self, manifest: Manifest, source: Source, plan: Plan) -> Summary:
        """The last run was cut off after naming its output, while cleaning up."""
        target = Path(self.request.target)
        try:
            with self._workers(source, plan, manifest) as workers:
                self._terms(source, plan, workers).check(manifest)
        except BadInput:  # the next job of that name: nothing of the finished one concerns it
            self.folder.clear()
            check_target(self.request)
            return self.run()
        self.folder.remove()
        return self._summary(manifest.frames, target.stat().st_size, source.damage, retimed=0, packets_copied=0)

    def _finish(self, manifest: Manifest, source: Source, plan: Plan, workers: Workers) -> Summary:
        """Make what is missing and join; a segment that is found faulty then is made again."""
        for _ in range(TRIES - 1):
            records = self._make(manifest, source, plan, workers)
            try:
                return self._join(manifest, source, plan, records)
            except (StorageError, VerificationError) as error:
                if all(self.folder.read_record(record.number, manifest) for record in records):
                    raise
                self.listener.noted(f"{error.message}: it is made again")
        return self._join(manifest, source, plan, self._make(manifest, source, plan, workers))

    # making -----------------------------------------------------------------------------------

    def _make(self, manifest: Manifest, source: Source, plan: Plan, workers: Workers) -> list[Record]:
        folder = self.folder
        folder.sweep()
        folder.take_pause()  # meant for a run before this one
        records: dict[int, Record] = {}
        for segment in manifest.segments:
            record = folder.read_record(segment.number, manifest)
            if record is not None and (self.request.salvage or not record.damage):
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
            try:
                tile = manifest.engine.get("tile", "")
                for record in make_segments(workers, task, missing, self._report(manifest)):
                    records[record.number] = record
                    if record.tile and tile and _area(record.tile) < _area(tile):
                        tile = record.tile
                        workers.bind(self._work(source, plan, manifest))
                    if folder.take_pause() and len(records) < len(manifest.segments):
                        raise Cancelled("paused after a segment", hint=_say_what_is_kept(len(records), manifest))
            except KeyboardInterrupt:
                self.listener.progressed(self._progress(manifest))  # what it tells of the loss is true
                raise
            except SrError as error:
                _resumable(error, len(records), manifest)
                raise
        return [records[segment.number] for segment in manifest.segments]

    def _report(self, manifest: Manifest) -> Report:
        def report(number: int, frames: int) -> None:
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
        is_complete = False
        try:
            self.listener.verifying(self._progress(manifest))
            in_thread(lambda: write_joined(sink, source, folder, manifest, records))
            hint = f"restore it, or begin anew with {option('restart', True)}"
            refuse_changed(request.source, self.stamp, hint=hint)  # sound and subtitles are read until here
            is_complete = True
            in_thread(sink.verify)
            output_bytes = sink.part.stat().st_size
            folder.write_joined(manifest, sink.part)
            sink.publish()
        except BaseException as error:
            if is_complete and sink.refused and isinstance(error, VerificationError):
                error.hint = f"{error.unspelled_hint}; rename it to keep it, and delete {folder.path.name}"
                raise
            sink.discard()
            _resumable(error, len(records), manifest)
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
                f"{text_from_bytes(free)} free, but joining the segments needs {text_from_bytes(needed)}",
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


def _area(tile: str) -> int:
    """Of '512x288'."""
    width, _, height = tile.partition("x")
    return int(width) * int(height)


def _damage_of(records: Iterable[Record]) -> Damage:
    found = [f"segment {record.number}: {record.damage}" for record in records if record.damage]
    return Damage(ends_early="; ".join(found))


def _say_what_is_kept(done: int, manifest: Manifest, then: str = "the same command goes on") -> str:
    """The hint of a run that ends early."""
    return f"{done} of {count_of(len(manifest.segments), 'segment', verb='is/are')} kept: {then}"


def _resumable(error: BaseException, done: int, manifest: Manifest) -> None:
    """Let the hint of `error` say that nothing finished is lost."""
    if isinstance(error, VerificationError):
        error.hint = _UNVERIFIED_HINT
    elif isinstance(error, SrError) and not isinstance(error, Cancelled):
        then = "with it, they are used" if error.unspelled_hint == SALVAGE_HINT else "the same command goes on"
        kept = _say_what_is_kept(done, manifest, then)
        error.hint = f"{error.unspelled_hint}; {kept}" if error.hint else kept
