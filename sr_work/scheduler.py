"""Who gets which item, what is tried again, and when the work stops: for threads, processes and machines alike.

Workers may come and go. What a lost one had under way is given to others, each item by itself, so
that the one that costs every worker its life is found; three times at most. Errors that would come
again are not tried again.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from sr_core.errors import BadInput, EngineError, NotAvailable, StorageError
from sr_work.work import Item, Report, Work

TRIES = 3  # for work whose worker died
CERTAIN = (BadInput, StorageError, NotAvailable)  # errors that another try would meet again
_NO_PLACE_SECONDS = 60.0  # so long it waits for a place to come back


@dataclass(eq=False)
class Worker:
    """One worker.

    Attributes:
        place: where it is, a key of `Transport.places`.
        name: of that place, for people.
        handle: the transport's own.
        items: by number, in order; the first `Work.slots` of them are under way.
    """

    place: str
    name: str
    handle: Any = None
    items: dict[int, Item] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """A worker tells how much of an item is done."""

    worker: Worker
    number: int
    amount: int


@dataclass(frozen=True)
class Done:
    """A worker has made an item."""

    worker: Worker
    number: int
    answer: Any


@dataclass(frozen=True)
class Lost:
    """A worker failed or died, with all it had under way."""

    worker: Worker
    reason: str
    error: Exception | None = None


Event = Progress | Done | Lost


class Transport(Protocol):
    """Starts workers of one kind and speaks with them.

    Attributes:
        work: what workers are told that are started from now on.
        ahead: items given to a worker beyond those under way, so that it need not wait for us.
        tries_again: a worker can be lost alone; where it cannot, its error ends the work.
        hint: what may help where an item fails again and again.
    """

    work: Work
    ahead: int
    tries_again: bool
    hint: str

    def places(self) -> Mapping[str, str]:
        """Where workers can be, taken or not → what people call it."""

    def start(self, worker: Worker) -> None:
        """Begin to open its maker; sets `worker.handle`."""

    def identity(self, worker: Worker) -> dict[str, str]:
        """What its maker says of its engine; waits until that is open.

        Raises:
            SrError: as the maker raised it; EngineError where the worker died.
        """

    def give(self, worker: Worker, item: Item) -> None: ...

    def events(self, workers: Sequence[Worker]) -> Iterable[Event]:
        """What workers said; waits a moment where they are silent."""

    def take(self, sent: Any, path: Path) -> None:
        """Put what `Site.send` handed over at `path`.

        Raises:
            EngineError: it was lost with its worker.
        """

    def stop(self, worker: Worker) -> None:
        """End it, whatever it does."""

    def close(self, workers: Sequence[Worker]) -> None:
        """End all of them, and what they shared."""


class Workers:
    """The workers of one run."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._workers: list[Worker] = []
        self._tries = Counter[int]()
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all workers, whatever they do. Once is enough."""
        if not self._stopped:
            self._stopped = True
            self._transport.close([worker for worker in self._workers if worker.handle is not None])
            self._workers.clear()

    def identity(self) -> dict[str, str]:
        """What the first worker's open engine says of itself; it is kept for the work.

        Raises:
            SrError: the engine cannot be opened.
        """
        for tried in range(1, TRIES + 1):
            worker = self._first()
            try:
                return self._transport.identity(worker)
            except CERTAIN:
                raise
            except EngineError:
                self._workers.remove(worker)
                self._transport.stop(worker)
                if tried == TRIES or not self._transport.tries_again:
                    raise
        raise AssertionError("unreachable")

    def bind(self, work: Work) -> None:
        """What workers that are started from now on are told."""
        self._transport.work = work

    def take(self, sent: Any, path: Path) -> None:
        """Put a file that a maker sent at `path`; see `Transport.take`."""
        self._transport.take(sent, path)

    def results(
        self,
        items: Iterable[Item],
        report: Report,
        *,
        keep: Callable[[Any, Any], Any],
        give_up: Callable[[Any, EngineError], Any] | None = None,
    ) -> Generator[Any, None, None]:
        """Yield results in any order; leaving the workers' context stops what is under way.

        Args:
            items: asked for when a worker is free.
            report: told of items under way, in this thread.
            keep: makes a result of (item, what its maker answered); where that was lost on the way, it is made again.
            give_up: makes a result of an item that failed three times and of the error, whose `__cause__` is
                the last failure; by default the error is raised.

        Raises:
            SrError: as makers do; NotAvailable where there is nowhere left to work.
        """
        todo, last_place_at = _ToDo(items), time.monotonic()
        while todo.has() or any(worker.items for worker in self._workers):
            self._fill(todo)
            if self._workers:
                last_place_at = time.monotonic()
            elif time.monotonic() - last_place_at > _NO_PLACE_SECONDS:
                need = "a GPU" if self._transport.work.gpus else "a CPU"
                raise NotAvailable(f"nothing has {need} for srvid any more", hint=self._transport.hint)
            for event in self._transport.events([worker for worker in self._workers if worker.handle is not None]):
                if event.worker not in self._workers:
                    continue  # lost a moment ago, with all it had
                if isinstance(event, Progress):
                    report(event.number, event.amount)
                elif isinstance(event, Done):
                    yield from self._keep(event, todo, keep, give_up)
                else:
                    yield from self._lose(event, todo, give_up)

    # ---- giving work

    def _first(self) -> Worker:
        """A started worker."""
        if not self._workers:
            self._occupy_places()
        worker = self._workers[0]
        if worker.handle is None:
            self._transport.start(worker)
        return worker

    def _occupy_places(self) -> None:
        places = self._transport.places()
        for worker in [worker for worker in self._workers if worker.place not in places and not worker.items]:
            self._workers.remove(worker)
        taken = {worker.place for worker in self._workers}
        self._workers += [Worker(place, name) for place, name in places.items() if place not in taken]

    def _fill(self, todo: _ToDo) -> None:
        """A worker in every place, work for every slot of it."""
        self._occupy_places()
        slots = self._transport.work.slots
        for depth in range(slots + self._transport.ahead):
            enough = 1 if depth < slots else len(self._workers)  # nobody takes more than it does, near the end
            for worker in self._workers:
                if len(worker.items) == depth and todo.has(enough) and self._may_take(worker, todo.first()):
                    if worker.handle is None:
                        self._transport.start(worker)
                    item = todo.take()
                    worker.items[item.number] = item
                    self._transport.give(worker, item)

    def _may_take(self, worker: Worker, item: Item) -> bool:
        """Work that was lost once is done alone, so that the next loss tells whose fault it is."""
        return not worker.items or not any(self._tries[number] for number in (item.number, *worker.items))

    # ---- what comes back

    def _keep(
        self,
        done: Done,
        todo: _ToDo,
        keep: Callable[[Any, Any], Any],
        give_up: Callable[[Any, EngineError], Any] | None,
    ) -> Iterator[Any]:
        try:
            result = keep(done.worker.items[done.number], done.answer)
        except EngineError as error:
            yield from self._lose(Lost(done.worker, error.message, error), todo, give_up)
            return
        del done.worker.items[done.number]
        yield result

    def _lose(self, lost: Lost, todo: _ToDo, give_up: Callable[[Any, EngineError], Any] | None) -> Iterator[Any]:
        """Put back all that the worker had; items that failed too often are given up."""
        if isinstance(lost.error, CERTAIN) or (lost.error is not None and not self._transport.tries_again):
            raise lost.error
        worker = lost.worker
        items = list(worker.items.values())
        self._workers.remove(worker)
        self._transport.stop(worker)
        self._tries.update(item.number for item in items[: self._transport.work.slots])
        failed = [item for item in items if self._tries[item.number] >= TRIES]
        todo.put_back(item for item in items if item not in failed)
        for item in failed:
            failure = self._failure(item, lost)
            if give_up is None:
                raise failure from lost.error
            yield give_up(item, failure)

    def _failure(self, item: Item, lost: Lost) -> EngineError:
        noun, last = self._transport.work.noun, f"last {lost.worker.name}: {lost.reason}"
        failure = EngineError(f"{noun} {item.number} failed {TRIES} times, {last}", hint=self._transport.hint)
        failure.__cause__ = lost.error
        return failure


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
