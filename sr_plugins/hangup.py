"""Who notices that nobody waits for a job any more, and what that stops.

    client closes its socket ─► HangUpWatch, asleep in the kernel ─┐
    worker ends ───────────────────────────────────────────────────┴─► Cancellation.set ─► what is under way

Nothing polls: the kernel wakes the watch, also while the job's own thread compiles or computes.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancellation:
    """Set once, from any thread: it stops what is under way, and tells what would begin after `why`."""

    def __init__(self) -> None:
        self.why = ""
        self._lock = threading.Lock()
        self._is_set = False
        self._stops: list[Callable[[], object]] = []

    def is_set(self) -> bool:
        """Whether nobody waits any more."""
        return self._is_set

    def set(self, why: str) -> bool:
        """Call every registered stop; do nothing, and return False, if it was set before."""
        with self._lock:
            if self._is_set:
                return False
            self._is_set, self.why, stops = True, why, list(self._stops)
        for stop in stops:
            stop()
        return True

    @contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """While this is held, `set` calls `stop`; if it is set already, `stop` is called at once."""
        with self._lock:
            self._stops.append(stop)
            is_late = self._is_set
        if is_late:
            stop()
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)


class HangUpWatch:
    """`with HangUpWatch(endpoint, hung_up)`: a thread calls `hung_up` once the other side closes.

    For the part of a conversation in which the other side has nothing to say: whatever can be read is the end.
    """

    def __init__(self, endpoint: socket.socket, hung_up: Callable[[], object]) -> None:
        self._endpoint, self._hung_up = endpoint, hung_up
        self._enough, self._wakes_at = socket.socketpair()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> HangUpWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.close()
        self._thread.join()
        self._wakes_at.close()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._endpoint, selectors.EVENT_READ)
            selector.register(self._wakes_at, selectors.EVENT_READ)
            woken = [key.fileobj for key, _ in selector.select()]
        if self._wakes_at not in woken:
            self._hung_up()
