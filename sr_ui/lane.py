"""A thread that does one thing after the other: first what somebody waits for, then what may take its time.

soon(frame)       ─► before all that is not begun; what runs of `later` makes way, and begins again after it
later(estimate)   ─► when nothing else is wanted
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from queue import PriorityQueue
from typing import Any

from sr_core.errors import Cancelled

IsWanted = Callable[[], bool]
_Task = Callable[[IsWanted], Any]
_END, _SOON, _LATER = -1, 0, 1
_END_SECONDS = 30.0


class Lane:
    """Close it, or its thread stays."""

    def __init__(self, name: str) -> None:
        self._tasks: PriorityQueue[tuple[int, int, _Task, Future[Any]]] = PriorityQueue()
        self._numbers = itertools.count()
        self._waited_for: set[Future[Any]] = set()
        self._is_over = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def soon[Result](self, task: Callable[[], Result]) -> Result:
        """What `task` returns or raises.

        Raises:
            Cancelled: `let_go` or `close` came first.
        """
        return self._ask(_SOON, lambda is_wanted: task())

    def later[Result](self, task: Callable[[IsWanted], Result]) -> Result:
        """The same; `task` asks `is_wanted` now and then and raises Cancelled where it is not: it is run again.

        Raises:
            Cancelled: `let_go` or `close` came first.
        """
        return self._ask(_LATER, task)

    def let_go(self) -> None:
        """Let everybody who waits go: the server ends, and the work may take long."""
        for future in list(self._waited_for):
            _settle(future, Cancelled("the server ends"))

    def close(self, last: Callable[[], None] = lambda: None) -> None:
        """End after what runs, or do not wait longer for it; what still waits is cancelled. `last` is the last task."""
        self._tasks.put((_END, next(self._numbers), lambda is_wanted: last(), Future()))
        self._thread.join(_END_SECONDS)

    def _ask[Result](self, priority: int, task: Callable[[IsWanted], Result]) -> Result:
        future: Future[Result] = Future()
        self._waited_for.add(future)
        try:
            self._tasks.put((priority, next(self._numbers), task, future))
            if self._is_over:  # asked after the future is waited for: `let_go` settles it, or this does
                self.let_go()
            return future.result()
        finally:
            self._waited_for.discard(future)

    def _work(self) -> None:
        while True:
            priority, number, task, future = self._tasks.get()
            if priority == _END:
                self._is_over = True
                self.let_go()
                task(lambda: True)
                return
            if future.done():
                continue  # nobody waits any more

            def is_wanted(mine: int = priority, asked: Future[Any] = future) -> bool:
                first = self._tasks.queue[:1]
                return not asked.done() and not (first and first[0][0] < mine)

            try:
                _settle(future, task(is_wanted))
            except Cancelled as error:
                if priority == _LATER and not is_wanted():
                    self._tasks.put((priority, number, task, future))
                else:
                    _settle(future, error)
            except Exception as error:  # raised again where somebody waits
                _settle(future, error)


def _settle(future: Future[Any], found: object) -> None:
    """Give `future` its result, or an error to raise, unless it has one."""
    with suppress(InvalidStateError):
        future.set_exception(found) if isinstance(found, Exception) else future.set_result(found)
