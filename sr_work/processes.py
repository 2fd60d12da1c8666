"""Work done by worker processes: several GPUs, or CPU cores that one process cannot fill.

    coordinator ──item──► worker ──(number, amount)…, (number, answer)──► coordinator

A worker opens its maker once. It ends when the coordinator's end of the pipe is closed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sr_core.children import safe_spawning
from sr_core.errors import BadInput, Cancelled, EngineError, NotAvailable, SrError
from sr_core.wording import option
from sr_work.scheduler import Done, Event, Lost, Progress, Worker, Workers
from sr_work.work import Item, Maker, SameMachine, Work

_POLL_SECONDS = 0.25
_STOP_SECONDS = 5.0
_GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"
_ASK_IDENTITY = "identity"

Message = (
    tuple[Literal["progress"], int, int]
    | tuple[Literal["done"], int, Any]
    | tuple[Literal["identity"], dict[str, str]]
    | tuple[Literal["failed"], SrError]
)


@dataclass(frozen=True, kw_only=True)
class Processes:
    """`workers` processes, on `devices` in turn where GPUs are named."""

    workers: int
    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadInput(f"{self.workers} workers cannot work", hint=f"{option('workers', 1)} is the least")

    def open(self, work: Work) -> Workers:
        """See `Pool`."""
        return Workers(_Children(work, self))


class _Child(NamedTuple):
    process: BaseProcess
    connection: Connection


@dataclass
class _Children:
    """The transport; see `Transport`."""

    work: Work
    pool: Processes
    ahead: int = 0
    tries_again: bool = True
    hint: str = f"too little memory? try fewer {option('workers')}"

    def places(self) -> Mapping[str, str]:
        return {str(number): "with" for number in range(self.pool.workers)}

    def start(self, worker: Worker) -> None:
        devices = self.pool.devices
        device = _as_a_child_counts(devices[int(worker.place) % len(devices)]) if devices else None
        context = multiprocessing.get_context("spawn")  # a fork would share the runtimes' threads and locks
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.work, device), daemon=True, name="srvid-worker")
        with safe_spawning():
            process.start()
        theirs.close()
        worker.handle = _Child(process, ours)

    def identity(self, worker: Worker) -> dict[str, str]:
        child: _Child = worker.handle
        with suppress(OSError):  # it died; its end of the pipe says so
            child.connection.send(_ASK_IDENTITY)
        while not child.connection.poll(_POLL_SECONDS):
            pass
        message = _receive(child)
        if message is None:
            raise EngineError(f"a worker died as it opened its engine: {_end_of(child)}", hint=self.hint)
        if message[0] == "failed":
            raise message[1]
        assert message[0] == "identity"
        if self.pool.devices and message[1].get("backend") == "openvino":
            raise NotAvailable(
                f"{option('devices', ','.join(self.pool.devices))} names NVIDIA GPUs, but the engine here is openvino",
                hint=f"srkit doctor says why; {option('workers')} shares the CPUs",
            )
        return message[1]

    def give(self, worker: Worker, item: Item) -> None:
        with suppress(OSError):  # it died; its end of the pipe says so
            worker.handle.connection.send(item)

    def events(self, workers: Sequence[Worker]) -> Iterable[Event]:
        by_end = {worker.handle.connection: worker for worker in workers}
        for end in wait(list(by_end), timeout=_POLL_SECONDS):
            assert isinstance(end, Connection)
            worker = by_end[end]
            message = _receive(worker.handle)
            if message is None:
                yield Lost(worker, _end_of(worker.handle))
            elif message[0] == "failed":
                yield Lost(worker, str(message[1]), message[1])
            elif message[0] == "progress":
                yield Progress(worker, message[1], message[2])
            elif message[0] == "done":
                yield Done(worker, message[1], message[2])

    def take(self, sent: Any, path: Path) -> None:
        os.replace(sent, path)

    def stop(self, worker: Worker) -> None:
        child: _Child = worker.handle
        child.connection.close()
        child.process.terminate()
        child.process.join(_STOP_SECONDS)
        if child.process.is_alive():
            child.process.kill()
            child.process.join()

    def close(self, workers: Sequence[Worker]) -> None:
        for worker in workers:
            self.stop(worker)


def _as_a_child_counts(device: str) -> str:
    """What to put into the child's variable: `device` counts the GPUs that we see, the variable all there are."""
    visible = [entry.strip() for entry in os.environ.get(_GPU_VARIABLE, "").split(",") if entry.strip()]
    if not device.isdecimal() or int(device) >= len(visible):
        return device
    return visible[int(device)]


def _receive(child: _Child) -> Message | None:
    """What it said; None: it died."""
    try:
        message: Message = child.connection.recv()
    except (EOFError, OSError):
        return None
    return message


def _end_of(child: _Child) -> str:
    child.process.join(_STOP_SECONDS)
    return f"exit code {child.process.exitcode}"


def work(connection: Connection, task: Work, device: str | None) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the coordinator, which ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if device is not None:
        os.environ[_GPU_VARIABLE] = device
    speaker = _Speaker(connection)
    try:
        with task.open_maker(SameMachine()) as maker, ThreadPoolExecutor(task.slots) as slots:
            try:
                while True:
                    asked = connection.recv()
                    if asked == _ASK_IDENTITY:
                        speaker.say("identity", maker.identity())
                    else:
                        slots.submit(speaker.make, maker, asked)
            except (EOFError, OSError):
                speaker.is_alone.set()  # what is finished stays
    except SrError as error:
        speaker.say("failed", error)


class _Speaker:
    """The worker's end of the pipe, for all its slots."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()
        self.is_alone = threading.Event()

    def say(self, *message: Any) -> None:
        with self._lock:
            try:
                self._connection.send(message)
            except OSError:
                self.is_alone.set()

    def make(self, maker: Maker, item: Item) -> None:
        def report(amount: int) -> None:
            if self.is_alone.is_set():
                raise Cancelled("the coordinator is gone")
            self.say("progress", item.number, amount)

        try:
            report(0)
            self.say("done", item.number, maker.make(item, report))
        except Cancelled:
            return
        except SrError as error:
            self.say("failed", error)
        except Exception as error:  # a bug: told as one, instead of a silent thread
            self.say("failed", EngineError(f"{type(error).__name__}: {error}"))
