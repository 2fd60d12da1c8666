"""Segments made by the machines of a Ray cluster.

    this machine                          a node
    coordinator ──Segment──► actor: one engine, a folder of its own ──(record, file)──► OUT.srvid

Before any work an actor must find the same versions and the same model as the coordinator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from sr_core.cluster.connect import connected, identity_on_a_node, refuse_other
from sr_core.cluster.files import Parcel, packed, remote_reader, unpacked, worker_folder
from sr_core.cluster.team import Team
from sr_core.errors import SrError
from sr_core.media.facts import VideoFacts
from sr_core.segments.crew import EngineChoice, Report, differences, versions_of
from sr_core.segments.cut import Segment
from sr_core.segments.job import Record, WorkFolder
from sr_core.segments.remote_file import RemoteFile
from sr_core.segments.segment import Task, make_segment, store_segment


@dataclass(frozen=True, kw_only=True)
class RayCluster:
    """The cluster at `address`: 'auto' for the one this machine belongs to, or HOST:PORT."""

    address: str

    def identity(self, choice: EngineChoice, scale: int, facts: VideoFacts) -> dict[str, str]:
        """See `Crew`."""
        return identity_on_a_node(connected(self.address), choice, scale, facts)

    def make(self, task: Task, segments: Sequence[Segment], choice: EngineChoice, report: Report) -> Iterator[Record]:
        """See `Crew`."""
        ray = connected(self.address)

        def keep(segment: Segment, made: tuple[Record, Parcel]) -> Record:
            record, parcel = made
            store_segment(WorkFolder(task.folder), task.manifest, record, unpacked(ray, parcel))
            report(record.number, len(record.ticks))
            return record

        yield from Team(ray, _Maker, (task, choice), choice.gpus).results(segments, report, keep=keep)


class _Maker:
    """The actor: opens the engine once, makes segments in a folder of its own."""

    def __init__(self, task: Task, choice: EngineChoice, file_server: Any) -> None:
        self._folder, self._opened = ExitStack(), ExitStack()
        self._refusal: SrError | None = None
        self._now = (-1, 0)
        try:
            read = remote_reader(task.source, task.manifest.stamp, file_server)
            remote = None if read is None else RemoteFile(read, size=task.manifest.stamp.bytes)
            self._task = replace(task, folder=worker_folder(self._folder), remote=remote)
            _check_like_coordinator(task, choice)
            self._engine = self._opened.enter_context(choice(task.plan.engine_scale))
        except SrError as error:
            self._refusal = error  # Ray would wrap it beyond recognition if it left a constructor

    def make(self, segment: Segment) -> tuple[Record, Parcel]:
        """The segment's record and file."""
        if self._refusal is not None:
            raise self._refusal

        def report(frames: int) -> None:
            self._now = (segment.number, frames)

        record = make_segment(self._task, segment, self._engine, report=report)
        return record, packed(WorkFolder(self._task.folder).segment_path(segment.number, self._task.manifest))

    def progress(self) -> dict[int, int]:
        """The segment under way → frames of it that are done."""
        number, frames = self._now
        return {number: frames}

    def leave(self) -> None:
        """Remove what lies on the node; the engine goes with the process."""
        self._folder.close()


def _check_like_coordinator(task: Task, choice: EngineChoice) -> None:
    """Refuse to make segments that would not fit to the others."""
    manifest = task.manifest
    found = choice.identity(task.plan.engine_scale, task.facts)
    differing = differences(manifest.versions, versions_of(choice)) + differences(manifest.engine, found)
    refuse_other(differing, makes="segments")
