"""The maker of segments: an engine, opened once where they are made.

In this process two slots share the engine, so that it has frames to work on while the encoder of
the segment before still empties itself:

    slot 0   decode+engine 0 ──►│ encode rest of 0 ──►│ wait │ decode+engine 2 ──►
    slot 1   wait               │ decode+engine 1 ──────────►│ encode rest of 1 ──►

Elsewhere a worker makes one at a time. One that does not see this machine's files must find the
same versions and the same engine as the coordinator before it makes anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Protocol, Self

import av

from sr_video.read.facts import VideoFacts
from sr_video.segments.cut import Segment
from sr_video.segments.job import Record, WorkFolder
from sr_video.segments.remote_file import RemoteFile
from sr_video.segments.segment import Task, make_segment, store_segment
from sr_video.segments.speed import SpeedItem, seconds_per_frame
from sr_video.transcode import FrameEngine
from sr_work.here import Here
from sr_work.likeness import Likeness
from sr_work.scheduler import Workers
from sr_work.work import Pool, Recipe, Report, Site, Work

_SLOTS_HERE = 2


class SegmentEngine(FrameEngine, Protocol):
    """Upscales frames, and says what decides their bytes."""

    def identity(self, frames: Any) -> dict[str, str]: ...

    def tile_now(self, frames: Any) -> str:
        """What a tile reads, which becomes less where a device's memory runs out; '' where there is none."""


SegmentRecipe = Recipe[SegmentEngine]


@dataclass(frozen=True)
class SegmentItem:
    """One segment to make; travels to its worker."""

    segment: Segment
    task: Task

    @property
    def number(self) -> int:
        """The segment's."""
        return self.segment.number


def work_of(recipe: SegmentRecipe, scale: int, facts: VideoFacts, pool: Pool) -> Work:
    """What a worker must know to open its engine."""
    return Work(
        open_maker=partial(SegmentMaker.opened, recipe, scale, facts),
        slots=_SLOTS_HERE if isinstance(pool, Here) else 1,
        gpus=recipe.gpus,
        takes_gpu=recipe.takes_gpu,
    )


def make_segments(workers: Workers, task: Task, segments: Sequence[Segment], report: Report) -> Iterator[Record]:
    """Make `segments` and yield their records, in any order.

    Files and records lie in `task.folder` when a record is yielded.
    """
    folder = WorkFolder(task.folder)

    def keep(item: SegmentItem, made: tuple[Record, Any]) -> Record:
        record, sent = made
        if sent is not None:
            store_segment(folder, task.manifest, record, partial(workers.take, sent))
        report(record.number, len(record.ticks))
        return record

    yield from workers.results([SegmentItem(segment, task) for segment in segments], report, keep=keep)


def measure_speed(workers: Workers, item: SpeedItem) -> float | None:
    """Seconds a frame takes on one worker; None where it does not see this machine's files."""
    (answer,) = workers.results([item], lambda number, amount: None, keep=lambda item, made: made[0])
    return None if answer is None else float(answer)


def versions_of(recipe: SegmentRecipe) -> dict[str, str]:
    """Of everything here that decides the output's bytes."""
    libraries = {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}
    return {"PyAV": av.__version__, **libraries, **recipe.versions()}


class SegmentMaker:
    """See `sr_work.work.Maker`."""

    def __init__(self, recipe: SegmentRecipe, engine: SegmentEngine, facts: VideoFacts, site: Site) -> None:
        self._engine, self._facts, self._site = engine, facts, site
        self._likeness = Likeness(lambda: versions_of(recipe), self.identity, makes="segments")
        self._turn = threading.Lock()  # held by the segment that the engine is fed from

    @classmethod
    @contextmanager
    def opened(cls, recipe: SegmentRecipe, scale: int, facts: VideoFacts, site: Site) -> Iterator[Self]:
        """A maker at `site`, its engine open."""
        with recipe.open(scale) as engine:
            yield cls(recipe, engine, facts, site)

    def identity(self) -> dict[str, str]:
        """Of the engine, for frames of this video."""
        return self._engine.identity(self._facts)

    def make(self, item: SegmentItem | SpeedItem, report: Callable[[int], None]) -> tuple[Any, Any]:
        """The segment's record, or the speed; and the segment's file, where that is not yet in the task's folder."""
        if isinstance(item, SpeedItem):
            return seconds_per_frame(item, self._engine, report) if self._site.is_here else None, None
        task = item.task if self._site.is_here else self._task_here(item.task)
        record = None
        while record is None:  # memory runs out a few times at most: tiles are halved each time
            with _released_once(self._turn) as let_go:
                report(0)
                record = make_segment(
                    task, item.segment, self._engine, report=report, fed=let_go, tile_now=self._tile_now
                )
        if self._site.is_here:
            return record, None
        return record, self._site.send(WorkFolder(task.folder).segment_path(record.number, task.manifest))

    def _tile_now(self) -> str:
        return self._engine.tile_now(self._facts)

    def _task_here(self, task: Task) -> Task:
        """`task` for a node of its own, which must be like the coordinator's machine."""
        manifest = task.manifest
        self._likeness.check(manifest.versions, manifest.engine)
        read = self._site.reader(task.source, manifest.stamp)
        remote = None if read is None else RemoteFile(read, size=manifest.stamp.bytes)
        return replace(task, folder=self._folder, remote=remote)

    @cached_property
    def _folder(self) -> Any:
        return self._site.folder()


@contextmanager
def _released_once(lock: threading.Lock) -> Iterator[Callable[[], None]]:
    """Hold `lock`; it is released by the function given, or at the end, whichever comes first."""
    lock.acquire()
    holding, guard = [lock], threading.Lock()

    def let_go() -> None:
        with guard:
            if holding:
                holding.pop().release()

    try:
        yield let_go
    finally:
        let_go()
