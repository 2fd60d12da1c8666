"""A backend that takes the next one where a graph does not open: a failing device never ends a run on `auto`.

    open(graph) ─► first ── EngineError ─► second ── EngineError ─► … ─► the CPU
                     └───────────┴─► session; from here on nothing changes any more

The reason is said once, in one line. Frames stay in ordinary memory until a graph has opened, so that the next
backend can read them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from sr_core.backend import Backend, ComposedGraph, Precision, Progress, Session
from sr_core.errors import EngineError, OutOfMemory
from sr_core.frame import Device

LEAST_READ = 128  # tile side, in input pixels, below which a device without memory for it is given up
log = logging.getLogger(__name__)


class NextBest:
    """`first`, or of `others` the first that opens the graph. Thread-safe as far as they are.

    Args:
        others: in order of preference; taken only when they are needed.
        say: gets the line; by default it is logged as a warning.
    """

    def __init__(self, first: Backend, others: Iterable[Backend], *, say: Callable[[str], None] | None = None) -> None:
        self._take(first)
        self._others = iter(others)
        self._say = say or log.warning
        self._has_opened = False

    def _take(self, backend: Backend) -> None:
        self.taken = backend
        self.name, self.device, self.contexts, self.on_cpu = (
            backend.name,
            backend.device,
            backend.contexts,
            backend.on_cpu,
        )
        self.memory_bytes = int(getattr(backend, "memory_bytes", 0))
        self.version = str(getattr(backend, "version", ""))
        self.placement = str(getattr(backend, "placement", ""))  # binds another process to the same device

    @property
    def plane_device(self) -> Device | None:
        """See `Backend`; None until a graph has opened."""
        return self.taken.plane_device if self._has_opened else None

    def open(self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None) -> Session:
        """Open `graph` on the first that can.

        Raises:
            EngineError: none can, or one opened a graph before and cannot open this one.
        """
        while True:
            try:
                session = self.taken.open(graph, precision=precision, progress=progress)
            except EngineError as error:
                if isinstance(error, OutOfMemory) and graph.width * graph.height > LEAST_READ**2:
                    raise  # the same device with smaller tiles (`sr_core.tiles.sessions`) comes before the next device
                following = None if self._has_opened else next(self._others, None)
                if following is None:
                    raise
                reason = error.message.partition("\n")[0]
                self._say(
                    f"{self.taken.name} on {self.taken.device} does not run this model ({reason}): "
                    f"going on with {following.name} on {following.device}"
                )
                self._take(following)
            else:
                self._has_opened = True
                return session
