"""Work done in this process: one maker, a thread for each slot."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sr_core.errors import Cancelled, message_of
from sr_work.scheduler import Done, Event, Lost, Progress, Worker, Workers
from sr_work.work import Item, Maker, SameMachine, Work

_POLL_SECONDS = 0.1  # a Python signal handler runs only between two waits


@dataclass(frozen=True)
class Here:
    """This process."""

    def open(self, work: Work) -> Workers:
        """See `Pool`."""
        return Workers(_Threads(work))


@dataclass
class _Threads:
    """The transport; see `Transport`."""

    work: Work
    ahead: int = 0
    tries_again: bool = False
    hint: str = ""
    _stack: ExitStack = field(default_factory=ExitStack)
    _events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def places(self) -> Mapping[str, str]:
        return {"here": "here"}

    def start(self, worker: Worker) -> None:
        """Open the maker, beside the main thread, which stays free to receive Ctrl-C."""
        opener = ThreadPoolExecutor(1, thread_name_prefix="open")
        try:
            maker: Maker = _result(opener.submit(self._stack.enter_context, self.work.open_maker(SameMachine())))
        finally:
            opener.shutdown(wait=False)
        threads = ThreadPoolExecutor(self.work.slots, thread_name_prefix="slot")
        self._stack.callback(threads.shutdown, cancel_futures=True)  # before the maker is closed
        self._stack.callback(self._stopped.set)
        worker.handle = maker, threads

    def identity(self, worker: Worker) -> dict[str, str]:
        maker, threads = worker.handle
        return _result(threads.submit(maker.identity))

    def give(self, worker: Worker, item: Item) -> None:
        maker, threads = worker.handle
        threads.submit(self._make, worker, maker, item)

    def _make(self, worker: Worker, maker: Maker, item: Item) -> None:
        def report(amount: int) -> None:
            if self._stopped.is_set():
                raise Cancelled("stopped")
            self._events.put(Progress(worker, item.number, amount))

        try:
            report(0)
            self._events.put(Done(worker, item.number, maker.make(item, report)))
        except Exception as error:  # raised again in the coordinator's thread
            self._stopped.set()  # no other slot may begin something
            if not isinstance(error, Cancelled):
                self._events.put(Lost(worker, message_of(error), error))

    def events(self, workers: Sequence[Worker]) -> Iterable[Event]:
        try:
            yield self._events.get(timeout=_POLL_SECONDS)
            while True:
                yield self._events.get_nowait()
        except queue.Empty:
            return

    def take(self, sent: Any, path: Path) -> None:
        os.replace(sent, path)

    def stop(self, worker: Worker) -> None:
        """Threads end with the transport."""

    def close(self, workers: Sequence[Worker]) -> None:
        self._stack.close()


def _result[T](future: Future[T]) -> T:
    while not wait([future], timeout=_POLL_SECONDS).done:
        pass
    return future.result()
