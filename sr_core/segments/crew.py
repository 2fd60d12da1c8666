"""Who makes segments: the interface, and the plainest crew, this process.

Two lanes share one engine, so that it has frames to work on while the encoder of the segment
before still empties itself:

    lane 0   decode+engine 0 ──►│ encode rest of 0 ──►│ wait │ decode+engine 2 ──►
    lane 1   wait               │ decode+engine 1 ──────────►│ encode rest of 1 ──►
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Protocol

import av

from sr_core.errors import Cancelled
from sr_core.media.facts import VideoFacts
from sr_core.media.transcode import FrameEngine
from sr_core.segments.cut import Segment
from sr_core.segments.job import Record
from sr_core.segments.segment import Task, make_segment

_LANES = 2
_POLL_SECONDS = 0.1

Report = Callable[[int, int], None]  # (segment's number, frames done in it)


class EngineChoice(Protocol):
    """Which engine: a value that travels to other processes and opens the same one there.

    Attributes:
        gpus: how many one engine needs.
        takes_gpu: it would use one if there is one.
    """

    @property
    def gpus(self) -> int: ...

    @property
    def takes_gpu(self) -> bool: ...

    def __call__(self, scale: int) -> AbstractContextManager[FrameEngine]:
        """Open it."""

    def identity(self, scale: int, facts: VideoFacts) -> dict[str, str]:
        """Everything about it that decides the output's bytes; may open it to find out."""

    def like(self, identity: dict[str, str]) -> EngineChoice:
        """The same choice, bound to what `identity` found: the same tile, the same precision."""

    def versions(self) -> dict[str, str]:
        """Of srvid and of every package that computes, as installed here."""


class Crew(Protocol):
    """Makes segments."""

    def identity(self, choice: EngineChoice, scale: int, facts: VideoFacts) -> dict[str, str]:
        """`choice.identity` where the work will be done."""

    def make(self, task: Task, segments: Sequence[Segment], choice: EngineChoice, report: Report) -> Iterator[Record]:
        """Make `segments` and yield their records, in any order.

        Files and records lie in `task.folder` when a record is yielded. Closing the iterator stops
        all work; what is finished stays.
        """


def versions_of(choice: EngineChoice) -> dict[str, str]:
    """Of everything here that decides the output's bytes."""
    libraries = {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}
    return {"PyAV": av.__version__, **libraries, **choice.versions()}


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What changed, as people read it."""
    names = sorted(before.keys() | after.keys())
    pairs = [(name, before.get(name, "nothing"), after.get(name, "nothing")) for name in names]
    return [f"{name}: was {then}, now {now}" for name, then, now in pairs if then != now]


class ThisProcess:
    """Makes segments here, one after the other."""

    def identity(self, choice: EngineChoice, scale: int, facts: VideoFacts) -> dict[str, str]:
        """See `Crew`."""
        return choice.identity(scale, facts)

    def make(self, task: Task, segments: Sequence[Segment], choice: EngineChoice, report: Report) -> Iterator[Record]:
        """See `Crew`."""
        stop, turn = threading.Event(), threading.Lock()
        with choice(task.plan.engine_scale) as engine, ThreadPoolExecutor(_LANES, thread_name_prefix="lane") as lanes:
            futures = [
                lanes.submit(_take_turn, task, segment, engine, report, turn=turn, stop=stop) for segment in segments
            ]
            try:
                for future in futures:
                    yield _result(future)
            except Cancelled:
                raise _cause(futures) from None
            finally:
                stop.set()
                for future in futures:
                    future.cancel()


def _take_turn(
    task: Task, segment: Segment, engine: FrameEngine, report: Report, *, turn: threading.Lock, stop: threading.Event
) -> Record:
    """Make one segment, holding `turn` until the engine has its last frame."""

    def progressed(frames: int) -> None:
        if stop.is_set():
            raise Cancelled("stopped")
        report(segment.number, frames)

    turn.acquire()
    holding = [turn]  # emptied by whoever lets go first: the reader, or the end
    guard = threading.Lock()

    def let_go() -> None:
        with guard:
            if holding:
                holding.pop().release()

    try:
        progressed(0)
        return make_segment(task, segment, engine, report=progressed, fed=let_go)
    except BaseException:
        stop.set()  # the lane that waits must not begin another
        raise
    finally:
        let_go()


def _result(future: Future[Record]) -> Record:
    """Wait in steps: a Python signal handler runs only between them."""
    while not wait([future], timeout=_POLL_SECONDS).done:
        pass
    return future.result()


def _cause(futures: Sequence[Future[Record]]) -> BaseException:
    """Why lanes were cancelled: the error of the one that failed."""
    errors = [future.exception() for future in futures if future.done() and not future.cancelled()]
    return next((error for error in errors if error and not isinstance(error, Cancelled)), Cancelled("stopped"))
