"""Segments made by the machines of a Ray cluster.

    this machine                          a node
    coordinator ──Segment──► actor: one engine, a folder of its own ──(record, bytes)──► OUT.srvid
    input file  ◄──read(offset, size)── only where the node does not see the same file

One actor per node, or per GPU where the engine needs one. Before any work it must find the same
versions and the same model as the coordinator. Nodes may come and go: a lost segment is made again.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sr_core.errors import BadInput, EngineError, NotAvailable, SrError
from sr_core.media.facts import VideoFacts
from sr_core.segments.crew import CERTAIN, TRIES, EngineChoice, Report, differences, versions_of
from sr_core.segments.cut import Segment
from sr_core.segments.index import stamp_of
from sr_core.segments.job import Record, WorkFolder
from sr_core.segments.remote_file import RemoteFile
from sr_core.segments.segment import Task, make_segment, store_segment

_POLL_SECONDS = 0.5
_CONNECT_SECONDS = 5.0
_NO_NODE_SECONDS = 60.0  # so long it waits for a node to come back


@dataclass(frozen=True, kw_only=True)
class RayCluster:
    """The cluster at `address`: 'auto' for the one this machine belongs to, or HOST:PORT."""

    address: str

    def identity(self, choice: EngineChoice, scale: int, facts: VideoFacts) -> dict[str, str]:
        """What an engine on a node says of itself: this machine may have no GPU."""
        ray = self._connected()
        gpus = int(choice.takes_gpu and ray.cluster_resources().get("GPU", 0) >= 1)
        probe = ray.remote(num_gpus=gpus or choice.gpus, num_cpus=1, max_retries=TRIES)(_identity)
        return dict(_got(ray, probe.remote(choice, scale, facts)))

    def make(self, task: Task, segments: Sequence[Segment], choice: EngineChoice, report: Report) -> Iterator[Record]:
        """See `Crew`."""
        ray = self._connected()
        team = _Team(ray, task, choice)
        try:
            yield from team.make(segments, report)
        finally:
            team.dismiss()

    def _connected(self) -> Any:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise NotAvailable("--ray needs the package 'ray'", hint="pip install 'srvid[ray]'") from error
        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
            try:
                _check_reachable(self.address)
                ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
            except (OSError, RuntimeError, ValueError) as error:
                reason = str(error).strip().splitlines()[0]
                raise NotAvailable(
                    f"no Ray cluster at {self.address!r}: {reason}",
                    hint="ray start --head on one machine, ray start --address=… on the others",
                ) from error
        return ray


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()


@dataclass
class _Seat:
    """A place for one actor: a node, or a GPU of it."""

    node: str
    name: str  # of the node, for people
    actor: Any = None
    work: dict[Any, Segment] = field(default_factory=dict)  # answer → segment, in order; the first is under way
    progress: Any = None


@dataclass
class _Team:
    """The actors of one run."""

    ray: Any
    task: Task
    choice: EngineChoice
    seats: list[_Seat] = field(default_factory=list)
    file_server: Any = None

    def make(self, segments: Sequence[Segment], report: Report) -> Iterator[Record]:
        todo, tries = deque(segments), Counter[int]()
        left = len(segments)
        last_seat_at = time.monotonic()
        while left:
            self._seat_everybody(todo)
            if self.seats:
                last_seat_at = time.monotonic()
            elif time.monotonic() - last_seat_at > _NO_NODE_SECONDS:
                need = "a GPU" if self.choice.gpus else "a CPU"
                raise NotAvailable(f"no node of the Ray cluster has {need} for srvid", hint="ray status shows them")
            waiting = {answer: seat for seat in self.seats for answer in seat.work}
            if not waiting:
                time.sleep(_POLL_SECONDS)
                continue
            done, _ = self.ray.wait(list(waiting), timeout=_POLL_SECONDS)
            for answer in done:
                record = self._finished(waiting[answer], answer, todo, tries)
                if record is not None:
                    left -= 1
                    report(record.number, len(record.ticks))
                    yield record
            self._ask_progress(report)

    # seats --------------------------------------------------------------------------------

    def _seat_everybody(self, todo: deque[Segment]) -> None:
        """An actor on every free node (or GPU), a segment for every actor."""
        alive = [node for node in self.ray.nodes() if node["Alive"]]
        ids = {node["NodeID"] for node in alive}
        for seat in [seat for seat in self.seats if seat.node not in ids and not seat.work]:
            self.seats.remove(seat)
        for node in alive:
            taken = sum(seat.node == node["NodeID"] for seat in self.seats)
            for _ in range(_places(node, self.choice) - taken):
                self.seats.append(_Seat(node["NodeID"], node["NodeManagerHostname"]))
        for seat in self.seats:
            if not seat.work and todo:
                self._give(seat, todo, alive)
        for seat in self.seats:
            if len(seat.work) == 1 and len(todo) >= len(self.seats):
                self._give(seat, todo, alive)  # so that it need not wait for us; not near the end

    def _give(self, seat: _Seat, todo: deque[Segment], alive: list[dict[str, Any]]) -> None:
        if seat.actor is None:
            seat.actor = self._hired(seat, alive)
        segment = todo.popleft()
        seat.work[seat.actor.make.options(concurrency_group="work").remote(segment)] = segment

    def _hired(self, seat: _Seat, alive: list[dict[str, Any]]) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = next(node for node in alive if node["NodeID"] == seat.node)
        cpus = 0 if self.choice.gpus else int(node["Resources"].get("CPU", 1))
        hired = self.ray.remote(
            num_cpus=cpus,
            num_gpus=self.choice.gpus,
            concurrency_groups={"work": 1, "ask": 1},  # one makes segments, the other tells how far it is
            scheduling_strategy=NodeAffinitySchedulingStrategy(seat.node, soft=False),
        )(_Maker)
        return hired.remote(self.task, self.choice, self._file_server())

    def _file_server(self) -> Any:
        """An actor beside the input, which reads it for nodes that do not see it."""
        if self.file_server is None:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            here = self.ray.get_runtime_context().get_node_id()
            server = self.ray.remote(
                num_cpus=0, max_concurrency=8, scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False)
            )(_FileServer)
            self.file_server = server.remote(self.task.source)
        return self.file_server

    # answers --------------------------------------------------------------------------------

    def _finished(self, seat: _Seat, answer: Any, todo: deque[Segment], tries: Counter[int]) -> Record | None:
        """The record of the segment it made; None where the segment went back into the list."""
        if answer not in seat.work:
            return None  # the actor was lost a moment ago, with all it had
        segment = seat.work.pop(answer)
        try:
            record, content = _got(self.ray, answer)
        except CERTAIN:
            raise
        except (EngineError, self.ray.exceptions.RayError) as error:
            todo.extendleft(reversed([segment, *seat.work.values()]))
            seat.work.clear()
            self._leave(seat)
            tries[segment.number] += 1
            if tries[segment.number] >= TRIES:
                reason = str(error).strip().splitlines()[0]
                raise EngineError(
                    f"segment {segment.number} failed {TRIES} times, last on {seat.name}: {reason}",
                    hint="ray logs on that node say more",
                ) from error
            return None
        store_segment(WorkFolder(self.task.folder), self.task.manifest, record, content)
        assert isinstance(record, Record)
        return record

    def _ask_progress(self, report: Report) -> None:
        for seat in self.seats:
            if not seat.work:
                continue
            if seat.progress is None:
                seat.progress = seat.actor.progress.options(concurrency_group="ask").remote()
            done, _ = self.ray.wait([seat.progress], timeout=0)
            if not done:
                continue
            try:
                number, frames = self.ray.get(seat.progress)
            except self.ray.exceptions.RayError:
                continue  # it died: its answer says so
            seat.progress = None
            if number in [segment.number for segment in seat.work.values()]:
                report(number, frames)

    def _leave(self, seat: _Seat) -> None:
        self.ray.kill(seat.actor)
        self.seats.remove(seat)

    def dismiss(self) -> None:
        """Stop all work on all nodes."""
        for actor in [seat.actor for seat in self.seats] + [self.file_server]:
            if actor is not None:
                self.ray.kill(actor)
        self.ray.shutdown()


def _places(node: dict[str, Any], choice: EngineChoice) -> int:
    """How many engines fit on a node: one per GPU, or one that uses all its CPUs."""
    resources = node["Resources"]
    if choice.gpus:
        return int(resources.get("GPU", 0) // choice.gpus)
    return 1 if resources.get("CPU", 0) >= 1 else 0


def _got(ray: Any, answer: Any) -> Any:
    """The value, or our own error as it was raised on the node."""
    try:
        return ray.get(answer)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SrError):
            raise error.cause from None
        raise


def _identity(choice: EngineChoice, scale: int, facts: VideoFacts) -> dict[str, str]:
    return choice.identity(scale, facts)


class _FileServer:
    """Reads the input for others. The operating system caches."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)


class _Maker:
    """The actor: opens the engine once, makes segments in a folder of its own."""

    def __init__(self, task: Task, choice: EngineChoice, file_server: Any) -> None:
        self._exit = ExitStack()
        self._refusal: SrError | None = None
        self._now = (-1, 0)
        try:
            folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="srvid-")))
            self._task = replace(task, folder=folder, remote=_remote_input(task, file_server))
            _check_like_coordinator(task, choice)
            self._engine = self._exit.enter_context(choice(task.plan.engine_scale))
        except SrError as error:
            self._refusal = error  # Ray would wrap it beyond recognition if it left a constructor

    def make(self, segment: Segment) -> tuple[Record, bytes]:
        """The segment's record and file."""
        if self._refusal is not None:
            raise self._refusal

        def report(frames: int) -> None:
            self._now = (segment.number, frames)

        record = make_segment(self._task, segment, self._engine, report=report)
        path = WorkFolder(self._task.folder).segment_path(segment.number, self._task.manifest)
        content = path.read_bytes()
        path.unlink()
        return record, content

    def progress(self) -> tuple[int, int]:
        """(the segment under way, frames of it that are done)"""
        return self._now


def _remote_input(task: Task, file_server: Any) -> RemoteFile | None:
    """None where this node sees the same file; else a file that reads over Ray."""
    try:
        if stamp_of(task.source) == task.manifest.stamp:
            return None
    except BadInput:
        pass  # no such file here: it comes over Ray
    import ray

    def read(offset: int, size: int) -> bytes:
        return bytes(ray.get(file_server.read.remote(offset, size)))

    return RemoteFile(read, size=task.manifest.stamp.bytes)


def _check_like_coordinator(task: Task, choice: EngineChoice) -> None:
    """Refuse to make segments that would not fit to the others."""
    manifest = task.manifest
    found = choice.identity(task.plan.engine_scale, task.facts)
    differing = differences(manifest.versions, versions_of(choice)) + differences(manifest.engine, found)
    if differing:
        raise NotAvailable(
            f"node {os.uname().nodename} would make other segments: {'; '.join(differing)}",
            hint="install the same srvid, packages and models on every node",
        )
