"""Work done by the machines of a Ray cluster: a worker for each, or for each GPU where the engine needs one.

this machine                              a node
Workers ──item──► actor: opens its maker once, has a folder of its own ──answer, object refs──► here
FileServer ◄──read(path, offset, size)── only where the node does not see the same file
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sr_core.errors import EngineError, NotAvailable, SrError
from sr_core.file_stamp import FileStamp
from sr_work.connect import connect, get_result
from sr_work.files import FileServer, ObjectRefs, pack_file, remote_reader, unpack_file, worker_folder
from sr_work.scheduler import Done, Event, Lost, Progress, Worker, Workers
from sr_work.work import Item, Read, Work

_POLL_SECONDS = 0.5
_LEAVE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class RayCluster:
    """The cluster at `address`: 'auto' for the one this machine belongs to, or HOST:PORT."""

    address: str

    def open(self, work: Work) -> Workers:
        """See `Pool`.

        Raises:
            NotAvailable: Ray is not installed, or there is no cluster.
        """
        return Workers(_Actors(work, connect(self.address)))


@dataclass
class _Handle:
    actor: Any
    answers: dict[Any, int] = field(default_factory=dict)  # reference → an item's number
    progress: Any = None


@dataclass
class _Actors:
    """The transport; see `Transport`."""

    work: Work
    ray: Any
    ahead: int = 1
    tries_again: bool = True
    hint: str = "ray status shows the nodes; ray logs on that node say more"
    _file_server: Any = None

    def places(self) -> Mapping[str, str]:
        """One a GPU, or one that uses all CPUs of a node."""
        places: dict[str, str] = {}
        gpus = self._gpus()
        for node in self.ray.nodes():
            if node["Alive"]:
                resources = node["Resources"]
                count = int(resources.get("GPU", 0) // gpus) if gpus else int(resources.get("CPU", 0) >= 1)
                places |= {f"{node['NodeID']}/{slot}": f"on {node['NodeManagerHostname']}" for slot in range(count)}
        return places

    def _gpus(self) -> int:
        return self.work.gpus or int(self.work.takes_gpu and self.ray.cluster_resources().get("GPU", 0) >= 1)

    def start(self, worker: Worker) -> None:
        node, gpus = worker.place.partition("/")[0], self._gpus()
        resources = {entry["NodeID"]: entry["Resources"] for entry in self.ray.nodes()}.get(node, {})
        actor = self.ray.remote(
            num_cpus=0 if gpus else int(resources.get("CPU", 1)),
            num_gpus=gpus,
            concurrency_groups={"work": self.work.slots, "ask": 1},  # slots work, one thread tells how far they are
            scheduling_strategy=self._only_on(node),
        )(MakerActor)
        worker.handle = _Handle(actor.remote(self.work, self._serve_files()))

    def _serve_files(self) -> Any:
        """An actor beside the input, which reads it for nodes that do not see it."""
        if self._file_server is None:
            here = self.ray.get_runtime_context().get_node_id()
            server = self.ray.remote(num_cpus=0, max_concurrency=8, scheduling_strategy=self._only_on(here))
            self._file_server = server(FileServer).remote()
        return self._file_server

    def _only_on(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node, soft=False)

    def identity(self, worker: Worker) -> dict[str, str]:
        answer = worker.handle.actor.identity.options(concurrency_group="ask").remote()
        while not self.ray.wait([answer], timeout=_POLL_SECONDS)[0]:
            pass
        try:
            return dict(get_result(self.ray, answer))
        except self.ray.exceptions.RayError as error:
            raise EngineError(f"a worker died as it opened its engine: {_first_line(error)}", hint=self.hint) from error

    def give(self, worker: Worker, item: Item) -> None:
        handle: _Handle = worker.handle
        handle.answers[handle.actor.make.options(concurrency_group="work").remote(item)] = item.number

    def events(self, workers: Sequence[Worker]) -> Iterable[Event]:
        waiting = {answer: worker for worker in workers for answer in worker.handle.answers}
        if not waiting:
            time.sleep(_POLL_SECONDS)
            return
        done, _ = self.ray.wait(list(waiting), timeout=_POLL_SECONDS)
        for answer in done:
            yield self._answered(waiting[answer], answer)
        for worker in workers:
            yield from self._progress(worker)

    def _answered(self, worker: Worker, answer: Any) -> Event:
        number = worker.handle.answers.pop(answer)
        try:
            return Done(worker, number, get_result(self.ray, answer))
        except (SrError, self.ray.exceptions.RayError) as error:
            return Lost(worker, _first_line(error), error)

    def _progress(self, worker: Worker) -> Iterable[Event]:
        handle: _Handle = worker.handle
        if not handle.answers:
            return
        if handle.progress is None:
            handle.progress = handle.actor.progress.options(concurrency_group="ask").remote()
        if not self.ray.wait([handle.progress], timeout=0)[0]:
            return
        try:
            found = self.ray.get(handle.progress)
        except self.ray.exceptions.RayError:
            return  # it died: its answers say so
        handle.progress = None
        yield from (Progress(worker, number, found[number]) for number in worker.items.keys() & found.keys())

    def take(self, sent: ObjectRefs, path: Path) -> None:
        try:
            with path.open("wb") as file:
                file.writelines(unpack_file(self.ray, sent))
        except self.ray.exceptions.RayError as error:
            raise EngineError(f"what it made was lost: {_first_line(error)}", hint=self.hint) from error

    def stop(self, worker: Worker) -> None:
        self.ray.kill(worker.handle.actor)

    def close(self, workers: Sequence[Worker]) -> None:
        actors = [worker.handle.actor for worker in workers]
        if actors:
            leaving = [actor.leave.options(concurrency_group="ask").remote() for actor in actors]
            self.ray.wait(leaving, num_returns=len(leaving), timeout=_LEAVE_SECONDS)
        for actor in [*actors, self._file_server]:
            if actor is not None:
                self.ray.kill(actor)
        self.ray.shutdown()


class MakerActor:
    """One worker on a node; its engine goes with the process."""

    def __init__(self, work: Work, file_server: Any) -> None:
        self._folders, self._engine = ExitStack(), ExitStack()
        self._refusal: SrError | None = None
        self._amounts: dict[int, int] = {}
        try:
            self._maker = self._engine.enter_context(work.open_maker(_Node(self._folders, file_server)))
        except SrError as error:
            self._refusal = error  # Ray would wrap it beyond recognition if it left a constructor

    def identity(self) -> dict[str, str]:
        """See `Maker`."""
        self._refuse()
        return self._maker.identity()

    def make(self, item: Item) -> Any:
        """See `Maker`."""
        self._refuse()

        def report(amount: int) -> None:
            self._amounts[item.number] = amount

        try:
            return self._maker.make(item, report)
        finally:
            self._amounts.pop(item.number, None)

    def _refuse(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def progress(self) -> dict[int, int]:
        """Number of each item under way → how much of it is done."""
        return dict(self._amounts)

    def leave(self) -> None:
        """Remove what lies on the node."""
        self._folders.close()


@dataclass(frozen=True)
class _Node:
    """The site of a maker on a node; see `Site`."""

    folders: ExitStack
    file_server: Any
    is_here: bool = False

    def folder(self) -> Path:
        return worker_folder(self.folders)

    def reader(self, path: str, stamp: FileStamp) -> Read | None:
        return remote_reader(path, stamp, self.file_server)

    def send(self, path: Path) -> ObjectRefs:
        return pack_file(path)


def _first_line(error: Exception) -> str:
    if isinstance(error, NotAvailable):
        return str(error)
    return str(error).strip().splitlines()[0]
