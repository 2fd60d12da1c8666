"""Who works where: a worker actor per node, or per GPU where the engine needs one.

Nodes may come and go. What a lost worker had under way is given to others, each by itself, so that
the one that kills its worker is found; three times at most.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sr_core.cluster.connect import got
from sr_core.cluster.files import FileServer
from sr_core.errors import EngineError, NotAvailable
from sr_core.retrying import CERTAIN, TRIES

_POLL_SECONDS = 0.5
_NO_NODE_SECONDS = 60.0  # so long it waits for a node to come back
_LEAVE_SECONDS = 2.0


class Item(Protocol):
    """A piece of work; travels to a node."""

    @property
    def number(self) -> int: ...


class Worker(Protocol):
    """What an actor must be able to do, besides taking `Team.arguments` and a file server."""

    def make(self, item: Any) -> Any:
        """Do one piece of work."""

    def progress(self) -> Mapping[int, int]:
        """Number of each piece of work under way → how much of it is done."""

    def leave(self) -> None:
        """Remove what lies on the node."""


@dataclass
class _Seat:
    """A place for one worker: a node, or a GPU of it."""

    node: str
    name: str  # of the node, for people
    actor: Any = None
    work: dict[Any, Item] = field(default_factory=dict)  # answer → item, in order; the first are under way
    progress: Any = None


class _ToDo:
    """Work that nobody has: what came back, then what was not asked for yet."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._waiting: deque[Item] = deque()
        self._rest = iter(items)

    def has(self, count: int = 1) -> bool:
        while len(self._waiting) < count:
            item = next(self._rest, None)
            if item is None:
                return False
            self._waiting.append(item)
        return True

    def first(self) -> Item:
        return self._waiting[0]

    def take(self) -> Item:
        return self._waiting.popleft()

    def put_back(self, items: Iterable[Item]) -> None:
        self._waiting.extendleft(reversed(list(items)))


@dataclass
class Team:
    """The workers of one run.

    Attributes:
        worker: the actor's class, see `Worker`.
        arguments: of its constructor, before the file server.
        gpus: how many each needs.
        lanes: pieces of work under way at once in a worker.
        what: one piece of work, for people.
    """

    ray: Any
    worker: type
    arguments: tuple[Any, ...]
    gpus: int
    lanes: int = 1
    what: str = "segment"
    _seats: list[_Seat] = field(default_factory=list)
    _tries: Counter[int] = field(default_factory=Counter)
    _file_server: Any = None

    def results(
        self,
        items: Iterable[Item],
        report: Callable[[int, int], None],
        *,
        keep: Callable[[Any, Any], Any],
        give_up: Callable[[Any, EngineError], Any] | None = None,
    ) -> Generator[Any, None, None]:
        """Yield results in any order; closing the iterator stops all work.

        Args:
            items: asked for when somebody is free.
            report: gets (number, how much is done) of work under way.
            keep: makes a result of (item, what its worker made); where that is lost on the way, it is made again.
            give_up: makes a result of an item that failed three times and of the error, whose `__cause__` is
                the last failure; by default the error is raised.

        Raises:
            SrError: as workers do; NotAvailable where no node is left.
        """
        todo = _ToDo(items)
        last_seat_at = time.monotonic()
        try:
            while todo.has() or any(seat.work for seat in self._seats):
                self._seat_everybody(todo)
                if self._seats:
                    last_seat_at = time.monotonic()
                elif time.monotonic() - last_seat_at > _NO_NODE_SECONDS:
                    need = "a GPU" if self.gpus else "a CPU"
                    raise NotAvailable(f"no node of the Ray cluster has {need} for srvid", hint="ray status shows them")
                waiting = {answer: seat for seat in self._seats for answer in seat.work}
                if not waiting:
                    time.sleep(_POLL_SECONDS)
                    continue
                done, _ = self.ray.wait(list(waiting), timeout=_POLL_SECONDS)
                for answer in done:
                    yield from self._finished(waiting[answer], answer, todo, keep, give_up)
                self._ask_progress(report)
        finally:
            self._dismiss()

    # seats --------------------------------------------------------------------------------

    def _seat_everybody(self, todo: _ToDo) -> None:
        """A worker on every free node (or GPU), work for every lane of it."""
        alive = {node["NodeID"]: node for node in self.ray.nodes() if node["Alive"]}
        for seat in [seat for seat in self._seats if seat.node not in alive and not seat.work]:
            self._seats.remove(seat)
        for key, node in alive.items():
            taken = sum(seat.node == key for seat in self._seats)
            for _ in range(_places(node, self.gpus) - taken):
                self._seats.append(_Seat(key, node["NodeManagerHostname"]))
        for depth in range(self.lanes + 1):
            # one more than there are lanes, so that none need wait for us; not near the end
            enough = len(self._seats) if depth == self.lanes else 1
            for seat in self._seats:
                if len(seat.work) == depth and todo.has(enough) and self._may_take(seat, todo.first()):
                    self._give(seat, todo.take(), alive)

    def _may_take(self, seat: _Seat, item: Item) -> bool:
        """Work that was lost once is done alone, so that the next loss tells whose fault it is."""
        return not seat.work or not any(self._tries[other.number] for other in (item, *seat.work.values()))

    def _give(self, seat: _Seat, item: Item, alive: dict[str, dict[str, Any]]) -> None:
        if seat.actor is None:
            seat.actor = self._hired(seat, alive)
        seat.work[seat.actor.make.options(concurrency_group="work").remote(item)] = item

    def _hired(self, seat: _Seat, alive: dict[str, dict[str, Any]]) -> Any:
        cpus = 0 if self.gpus or seat.node not in alive else int(alive[seat.node]["Resources"].get("CPU", 1))
        hired = self.ray.remote(
            num_cpus=cpus,
            num_gpus=self.gpus,
            concurrency_groups={"work": self.lanes, "ask": 1},  # lanes work, one thread tells how far they are
            scheduling_strategy=self._only_on(seat.node),
        )(self.worker)
        return hired.remote(*self.arguments, self._served())

    def _served(self) -> Any:
        """An actor beside the input, which reads it for nodes that do not see it."""
        if self._file_server is None:
            here = self.ray.get_runtime_context().get_node_id()
            server = self.ray.remote(num_cpus=0, max_concurrency=8, scheduling_strategy=self._only_on(here))
            self._file_server = server(FileServer).remote()
        return self._file_server

    def _only_on(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node, soft=False)

    # answers --------------------------------------------------------------------------------

    def _finished(
        self,
        seat: _Seat,
        answer: Any,
        todo: _ToDo,
        keep: Callable[[Any, Any], Any],
        give_up: Callable[[Any, EngineError], Any] | None,
    ) -> Iterator[Any]:
        if answer not in seat.work:
            return  # the worker was lost a moment ago, with all it had
        try:
            result = keep(seat.work[answer], got(self.ray, answer))
        except CERTAIN:
            raise
        except (EngineError, self.ray.exceptions.RayError) as error:
            for item, failure in self._lost(seat, error, todo):
                if give_up is None:
                    raise failure from error
                yield give_up(item, failure)
            return
        del seat.work[answer]
        yield result

    def _lost(self, seat: _Seat, error: Exception, todo: _ToDo) -> list[tuple[Item, EngineError]]:
        """Put back all that the worker had; the items that failed too often, with why."""
        items = list(seat.work.values())
        seat.work.clear()
        self.ray.kill(seat.actor)
        self._seats.remove(seat)
        self._tries.update(item.number for item in items[: self.lanes])
        failed = [item for item in items if self._tries[item.number] >= TRIES]
        todo.put_back(item for item in items if item not in failed)
        reason = str(error).strip().splitlines()[0]
        return [(item, self._failure(item, f"last on {seat.name}: {reason}", error)) for item in failed]

    def _failure(self, item: Item, last: str, cause: Exception) -> EngineError:
        failure = EngineError(
            f"{self.what} {item.number} failed {TRIES} times, {last}", hint="ray logs on that node say more"
        )
        failure.__cause__ = cause
        return failure

    def _ask_progress(self, report: Callable[[int, int], None]) -> None:
        for seat in self._seats:
            if not seat.work:
                continue
            if seat.progress is None:
                seat.progress = seat.actor.progress.options(concurrency_group="ask").remote()
            done, _ = self.ray.wait([seat.progress], timeout=0)
            if not done:
                continue
            try:
                found = self.ray.get(seat.progress)
            except self.ray.exceptions.RayError:
                continue  # it died: its answer says so
            seat.progress = None
            under_way = {item.number for item in seat.work.values()}
            for number in under_way & found.keys():
                report(number, found[number])

    def _dismiss(self) -> None:
        """Stop all work on all nodes."""
        actors = [seat.actor for seat in self._seats if seat.actor is not None]
        if actors:
            leaving = [actor.leave.options(concurrency_group="ask").remote() for actor in actors]
            self.ray.wait(leaving, num_returns=len(leaving), timeout=_LEAVE_SECONDS)
        for actor in [*actors, self._file_server]:
            if actor is not None:
                self.ray.kill(actor)
        self.ray.shutdown()


def _places(node: dict[str, Any], gpus: int) -> int:
    """How many workers fit on a node: one per GPU, or one that uses all its CPUs."""
    resources = node["Resources"]
    if gpus:
        return int(resources.get("GPU", 0) // gpus)
    return 1 if resources.get("CPU", 0) >= 1 else 0
