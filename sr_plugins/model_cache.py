"""The worker's open models: loaded once, shared by all jobs, freed when nobody needs them.

A model is compiled once for all jobs that wait for it; each of them hears the progress.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from sr_core.backend import Progress
from sr_core.errors import Cancelled
from sr_core.upscaler import Upscaler
from sr_plugins.jobs import Job

MODELS_KEPT = 2
POLL_SECONDS = 0.1
_Key = tuple[str, float, float, float, str, int | None]
ScaleFor = Callable[[str, Fraction], int]  # `srvid.model_choice.engine_scale`: what to open a model at for a factor


class Opener(Protocol):
    """`srvid.open_upscaler`, or what a test gives instead."""

    def __call__(
        self,
        model: str,
        *,
        scale: int | None,
        strength: float,
        sharpen: float,
        backend: str,
        tile: int | None,
        shared_tiles: bool,
        reuse: bool,
        progress: Progress | None,
    ) -> Upscaler: ...


@dataclass
class _Entry:
    """An open model, or one that is being opened (`upscaler` is None)."""

    opening: threading.Lock = field(default_factory=threading.Lock)
    upscaler: Upscaler | None = None
    users: int = 0
    last_used: float = 0.0
    listeners: list[Progress] = field(default_factory=list)

    def report(self, phase: str, share: float) -> None:
        """Tell every waiting job; stop the work once all of them are gone."""
        cancelled = 0
        listeners = list(self.listeners)
        for listener in listeners:
            try:
                listener(phase, share)
            except Cancelled:
                cancelled += 1
        if listeners and cancelled == len(listeners):
            raise Cancelled("every client that waited for this model is gone")


class ModelCache:
    """Open models by what a job asks for. Thread-safe; `close` frees all of them."""

    def __init__(self, opener: Opener, scale_for: ScaleFor) -> None:
        self._opener, self._scale_for = opener, scale_for
        self._entries: dict[_Key, _Entry] = {}
        self._lock = threading.Lock()

    @contextmanager
    def borrow(self, job: Job, *, report: Progress, is_gone: Callable[[], bool]) -> Iterator[Upscaler]:
        """The job's model, opened if need be; it stays open while this is held.

        Args:
            report: hears the phases of opening and compiling; may raise Cancelled.
            is_gone: asked while another job is opening the model.

        Raises:
            SrError: the model cannot be opened.
            Cancelled: the client is gone.
        """
        key = (job.model, job.strength, job.sharpen, job.scale, job.backend, job.tile)
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
            entry.listeners.append(report)
        try:
            yield self._opened(entry, job, is_gone)
        finally:
            with self._lock:
                entry.listeners.remove(report)
                entry.users -= 1
                entry.last_used = time.monotonic()

    def trim(self, *, unused_seconds: float) -> int:
        """Close what nobody has used for so long, and all but `MODELS_KEPT`; return how many closed."""
        now = time.monotonic()
        with self._lock:
            idle = {key: entry for key, entry in self._entries.items() if entry.users == 0}
            by_age = sorted(idle, key=lambda key: idle[key].last_used)
            surplus = set(by_age[: max(len(self._entries) - MODELS_KEPT, 0)])
            leaving = [
                self._entries.pop(key)
                for key in by_age
                if key in surplus or now - idle[key].last_used >= unused_seconds
            ]
        for entry in leaving:
            if entry.upscaler is not None:
                entry.upscaler.close()
        return len(leaving)

    def close(self) -> None:
        """Free everything; no job may hold a model."""
        for entry in self._entries.values():
            if entry.upscaler is not None:
                entry.upscaler.close()
        self._entries.clear()

    def _opened(self, entry: _Entry, job: Job, is_gone: Callable[[], bool]) -> Upscaler:
        while not entry.opening.acquire(timeout=POLL_SECONDS):
            if is_gone():
                raise Cancelled("the client closed the connection")
        try:
            if entry.upscaler is None:
                entry.report("loading model", 0.0)
                entry.upscaler = self._opener(
                    job.model,
                    scale=self._scale_for(job.model, job.factor),
                    strength=job.strength,
                    sharpen=job.sharpen,
                    backend=job.backend,
                    tile=job.tile,
                    shared_tiles=True,  # strips and images of all sizes: one compiled shape
                    reuse=False,
                    progress=entry.report,
                )
            return entry.upscaler
        finally:
            entry.opening.release()
