"""Start on the backend that is ready, go on with the better one when its engine is built.

    frame      1    2    3    4  │  5    6
    session    ready ..........  │  better          the swap falls between two frames
    better     building ......done

`HandoverBackend` is a Backend made of two. Its sessions answer `current()`, which the Upscaler
asks once at the start of each frame; a frame is never made by both.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from concurrent.futures import wait as wait_for

from sr_core.backend import Backend, ComposedGraph, Deliver, Precision, Progress, Session
from sr_core.errors import Cancelled, SrError
from sr_core.frame import Array

log = logging.getLogger(__name__)
PATIENCE_SECONDS = 2.0  # an engine that is built already loads in less, and is then used from the first frame


class HandoverBackend:
    """`ready` now, `better` as soon as it has opened the same graph.

    The two agree within what `better` allows itself against FP32 (for FP16 engines one code).
    """

    on_cpu = False
    plane_device = None  # frames may go to either of the two, and the first reads arrays

    def __init__(self, ready: Backend, better: Backend, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.name = better.name
        self.device = f"{better.device}; {ready.name} on {ready.device} until its engine is built"
        self.contexts = max(ready.contexts, better.contexts)
        self._ready, self._better, self._patience_seconds = ready, better, patience_seconds

    def open(self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None) -> Session:
        """Open on the better backend if that takes no time, else on the ready one for now."""
        stop = threading.Event()

        def build() -> Session:
            return self._better.open(graph, precision=precision, progress=_until(stop, progress))

        # one thread for one build: it ends with it, and the interpreter waits for it
        pool = ThreadPoolExecutor(1, thread_name_prefix="srvid-build")
        building = pool.submit(build)
        pool.shutdown(wait=False)
        try:
            return building.result(timeout=self._patience_seconds)
        except NotYet:
            session = self._ready.open(graph, precision=precision)
        return HandoverSession(session, building, stop)


class HandoverSession:
    """A session whose successor is being built. Owns both until `current` has handed over."""

    def __init__(self, session: Session, building: Future[Session], stop: threading.Event) -> None:
        self.contexts, self.precision = session.contexts, session.precision
        self._session, self._building, self._stop = session, building, stop
        self._gave_up = False

    def current(self) -> Session:
        """The session for the frame that begins now: the successor from the moment it is there.

        Whoever gets the successor owns it. A build that failed is said once, and this session goes on.
        """
        if self._gave_up or not self._building.done():
            return self
        try:
            better = self._building.result()
        except SrError as error:
            self._gave_up = True
            log.warning("the engine could not be built, going on without it: %s", error)
            return self
        log.info("the engine is ready: going on with %s", better.precision)
        return better

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        """See `sr_core.backend.Session.run`."""
        self._session.run(planes, deliver)

    def close(self) -> None:
        """Stop the build if it still runs, and free what there is."""
        self._stop.set()
        wait_for([self._building])
        if not self._gave_up and self._building.exception() is None:
            self._building.result().close()
        self._session.close()


def _until(stop: threading.Event, progress: Progress | None) -> Progress:
    def report(phase: str, share: float) -> None:
        if stop.is_set():
            raise Cancelled("the upscaler was closed while its engine was being built")
        if progress is not None:
            progress(phase, share)

    return report
