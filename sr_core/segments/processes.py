"""Segments made by worker processes: several GPUs, or CPU cores that one process cannot fill.

    coordinator ──number──► worker ──(number, frames)…, record──► coordinator

A worker holds one engine and makes one segment at a time. One that dies is replaced and its
segment made again, three times at most; an error that is certain to come again stops the work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Literal

from sr_core.errors import BadInput, EngineError, NotAvailable, SrError
from sr_core.media.facts import VideoFacts
from sr_core.retrying import CERTAIN, TRIES
from sr_core.segments.crew import EngineChoice, Report
from sr_core.segments.cut import Segment
from sr_core.segments.job import Record
from sr_core.segments.segment import Task, make_segment

_POLL_SECONDS = 0.25
_STOP_SECONDS = 5.0
_GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"

Message = tuple[Literal["progress"], int, int] | tuple[Literal["done"], Record] | tuple[Literal["failed"], SrError]


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    segment: Segment | None = None


@dataclass(frozen=True, kw_only=True)
class Processes:
    """`workers` processes, on `devices` in turn where GPUs are named."""

    workers: int
    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadInput(f"{self.workers} workers cannot work", hint="--workers 1 is the least")

    def identity(self, choice: EngineChoice, scale: int, facts: VideoFacts) -> dict[str, str]:
        """See `Crew`."""
        found = choice.identity(scale, facts)
        if self.devices and found.get("backend") == "openvino":
            raise NotAvailable(
                f"--devices {','.join(self.devices)} names NVIDIA GPUs, but the engine here is openvino",
                hint="srkit doctor says why; --workers shares the CPUs",
            )
        return found

    def make(self, task: Task, segments: Sequence[Segment], choice: EngineChoice, report: Report) -> Iterator[Record]:
        """See `Crew`."""
        todo, tries = deque(segments), Counter[int]()
        workers: dict[int, _Worker] = {}
        try:
            open_segments = len(segments)
            while open_segments:
                _staff(self, workers, todo, task, choice)
                for slot in _ready(workers):
                    worker = workers[slot]
                    message = _received(worker)
                    if message is None or message[0] == "failed":
                        del workers[slot]
                        _retry(worker, message, todo, tries)
                    elif message[0] == "progress":
                        report(message[1], message[2])
                    else:
                        worker.segment = None
                        open_segments -= 1
                        yield message[1]
        finally:
            for worker in workers.values():
                _dismiss(worker)


def _staff(
    crew: Processes, workers: dict[int, _Worker], todo: deque[Segment], task: Task, choice: EngineChoice
) -> None:
    """Give every slot a worker and every worker a segment, while there are any."""
    for slot in range(crew.workers):
        if not todo:
            return
        if slot not in workers:
            device = crew.devices[slot % len(crew.devices)] if crew.devices else None
            workers[slot] = _hired(task, choice, device)
        worker = workers[slot]
        if worker.segment is None:
            worker.segment = todo.popleft()
            with suppress(OSError):  # it died; its end of the pipe says so
                worker.connection.send(worker.segment)


def _hired(task: Task, choice: EngineChoice, device: str | None) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a fork would share the runtimes' threads and locks
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, task, choice, device), daemon=True, name="srvid-worker")
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _ready(workers: dict[int, _Worker]) -> list[int]:
    """The slots whose worker has said something, or died."""
    waiting = {worker.connection: slot for slot, worker in workers.items()}
    return [waiting[end] for end in wait(list(waiting), timeout=_POLL_SECONDS) if isinstance(end, Connection)]


def _received(worker: _Worker) -> Message | None:
    """What it said; None: it died."""
    try:
        message: Message = worker.connection.recv()
    except (EOFError, OSError):
        return None
    return message


def _retry(worker: _Worker, message: Message | None, todo: deque[Segment], tries: Counter[int]) -> None:
    """Put a lost segment back, first in the list."""
    _dismiss(worker)
    segment = worker.segment
    error = message[1] if message is not None and message[0] == "failed" else None
    if error is not None and isinstance(error, CERTAIN):
        raise error
    if segment is None:
        return
    tries[segment.number] += 1
    if tries[segment.number] >= TRIES:
        died = f"exit code {worker.process.exitcode}" if error is None else str(error)
        raise EngineError(
            f"segment {segment.number} failed {TRIES} times, last with: {died}",
            hint="too little memory? try fewer --workers",
        ) from error
    todo.appendleft(segment)


def _dismiss(worker: _Worker) -> None:
    worker.connection.close()
    worker.process.terminate()
    worker.process.join(_STOP_SECONDS)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


def work(connection: Connection, task: Task, choice: EngineChoice, device: str | None) -> None:
    """The life of a worker; it ends when the coordinator's end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the coordinator, which ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if device is not None:
        os.environ[_GPU_VARIABLE] = device
    try:
        with choice(task.plan.engine_scale) as engine:
            while True:
                segment: Segment = connection.recv()
                number = segment.number

                def report(frames: int, number: int = number) -> None:
                    connection.send(("progress", number, frames))

                record = make_segment(task, segment, engine, report=report)
                connection.send(("done", record))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(0)  # the coordinator is gone; what is finished stays
    except SrError as error:
        connection.send(("failed", error))
