"""Public test doubles: a worker on a thread with the small networks of `sr_core.testing`.

Tests and benchmarks of plug-ins use these; nothing else in the package imports this module.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

import srvid
from sr_core.backend import Progress
from sr_core.errors import BadModel, EngineError
from sr_core.frame import Array
from sr_core.model_spec import spec_of
from sr_core.testing import global_model, nearest_model, random_model
from sr_core.upscaler import Upscaler
from sr_plugins import client
from sr_plugins.model_cache import Opener
from sr_plugins.worker import Worker, log
from srvid.front_door import choose_backend

MODELS: dict[str, Callable[[int], ModelProto]] = {
    "nearest": nearest_model,
    "random": random_model,
    "global": global_model,
}
SHOWN_TILE = 144  # not measured: that takes seconds
CANCEL_DEADLINE_SECONDS = 20.0  # far past the promise of half a second (PROTOCOL.md), far before a job's own end
_WAIT_SECONDS = 600.0
SAMPLES = {"uint8": "u8", "uint16": "u16", "float16": "f16", "float32": "f32"}


def open_test_model(
    model: str,
    *,
    scale: int | None,
    strength: float = 1.0,
    sharpen: float = 0.0,
    backend: str,
    tile: int | None,
    shared_tiles: bool,
    reuse: bool,
    progress: Progress | None,
) -> Upscaler:
    """`srvid.open_upscaler` for 'nearest', 'random' and 'global'; 'clear' is 'nearest' here."""
    name = model.replace("clear", "nearest")
    if name not in MODELS:
        raise BadModel(f"no model {model!r}", hint=f"choose one of: {', '.join(MODELS)}")
    proto = MODELS[name](scale or 2)
    spec = spec_of(proto)
    if spec is None:
        raise EngineError(f"the test model {model!r} has no facts")
    return Upscaler(
        proto,
        spec,
        choose_backend("openvino" if backend == "auto" else backend),
        tile=tile,
        shared_tiles=shared_tiles,
        reuse=reuse,
        progress=progress,
    )


def next_whole(model: str, factor: Fraction) -> int:
    """The scale to open 'nearest', 'random' and 'global' at: they have every one."""
    return math.ceil(factor)


def open_shown_model(model: str, **options: Any) -> Upscaler:
    """The real 'clear', for pictures of the documentation; the others as `open_test_model`."""
    if model != "clear":
        return open_test_model(model, **options)
    return srvid.open_upscaler(model, **{**options, "tile": SHOWN_TILE})


@dataclass(frozen=True)
class Drop:
    """A job that the worker dropped: when (seconds since the epoch), its model, the tiles computed by then."""

    at: float
    upscaler: Upscaler | None
    tiles_before: int

    def has_begun_more(self) -> bool:
        """Whether tiles were begun after it, provided no other job has used the model since."""
        if self.upscaler is None:
            return False
        return self.upscaler.counts.computed - self.tiles_before > self.upscaler.backend.contexts


class RunningWorker:
    """`with RunningWorker(path) as running`: a Worker serving on a thread; clients find it by `path`.

    `begun` and `drops` say what became of its jobs.
    """

    def __init__(self, path: Path, opener: Opener = open_test_model, **options: Any) -> None:
        self.path = path
        self.worker = Worker(version="test", opener=opener, path=path, **{"scale_for": next_whole, **options})
        self.thread = threading.Thread(target=self.worker.serve)
        self.begun: list[str] = []
        self.drops: list[Drop] = []
        self._listener = _LogListener(self)

    def __enter__(self) -> RunningWorker:
        log.addHandler(self._listener)
        log.setLevel(logging.INFO)
        self.thread.start()
        _wait(lambda: self.path.exists() or not self.thread.is_alive(), "the worker did not start")
        return self

    def __exit__(self, *error: object) -> None:
        self.worker.stop()
        self.thread.join(20)
        log.removeHandler(self._listener)

    def connections(self) -> int:
        """Conversations under way; a dropped one counts until the last of its work has ended."""
        return len(self.worker._peers)

    def upscaler_in_use(self) -> Upscaler | None:
        """The model that a job holds now, if it is open."""
        held = (entry.upscaler for entry in list(self.worker._model_cache._entries.values()) if entry.users)
        return next((upscaler for upscaler in held if upscaler is not None), None)

    def wait_until_computing(self) -> None:
        """Until a job's tiles are being computed."""
        seen: dict[Upscaler, int] = {}

        def computes() -> bool:
            upscaler = self.upscaler_in_use()
            return upscaler is not None and upscaler.counts.computed > seen.setdefault(
                upscaler, upscaler.counts.computed
            )

        _wait(computes, "no job computes anything")

    def wait_for_jobs(self, count: int) -> None:
        """Until so many jobs have begun, all in all."""
        _wait(lambda: len(self.begun) >= count, f"{count} jobs did not begin")


def _wait(happened: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise EngineError(complaint)
        time.sleep(0.005)


class _LogListener(logging.Handler):
    """Notes when jobs begin and are dropped."""

    def __init__(self, running: RunningWorker) -> None:
        super().__init__()
        self._running = running

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if said.endswith(": begun"):
            self._running.begun.append(said)
        if ": dropped" in said:
            upscaler = self._running.upscaler_in_use()
            self._running.drops.append(Drop(record.created, upscaler, upscaler.counts.computed if upscaler else 0))


class SocketWatch:
    """`with SocketWatch(port) as watch`: when the kernel held connections to a loopback port for open. Linux.

    It looks every few milliseconds, or later on a busy machine. A connection ended after the last look that
    found it open had begun: a latency counted from there is at most too long.
    """

    LOOK_SECONDS = 0.005

    def __init__(self, port: int) -> None:
        self._local = f":{port:04X}"
        self._seen: dict[str, tuple[float, float]] = {}  # remote address -> beginnings of first and last look
        self._looks: list[tuple[float, float]] = []  # beginning and end
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> SocketWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        self._thread.join()

    def end_of_the_one_open_at(self, moment: float) -> float:
        """When the connection that was open then was last seen open (seconds since the epoch)."""
        look = max(begun for begun, ended in self._looks if ended <= moment)
        (end,) = (last for first, last in self._seen.values() if first <= look <= last)
        return end

    def _watch(self) -> None:
        while not self._enough.wait(self.LOOK_SECONDS):
            begun = time.time()
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
                local, remote, state = line.split()[1:4]
                if local.endswith(self._local) and state == "01":  # TCP_ESTABLISHED, net/tcp_states.h
                    self._seen[remote] = self._seen.get(remote, (begun, begun))[0], begun
            self._looks.append((begun, time.time()))


def job_of(image: Array, **fields: Any) -> client.Request:
    """The `upscale` request for an image (rows, columns[, channels])."""
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "channels": 1 if image.ndim == 2 else image.shape[2],
        "sample": SAMPLES[image.dtype.name],
        **fields,
    }


def through_worker(image: Array, **fields: Any) -> Array:
    """`image` by client, socket and worker; `fields` as in PROTOCOL.md, `scale` among them."""
    pieces: list[bytearray] = []
    client.upscale(job_of(image, **fields), [image.tobytes()], lambda y, count, rows: pieces.append(rows))
    factor = 1 if fields.get("at_input_size") else fields["scale"]
    shape = (client.scaled(image.shape[0], factor), client.scaled(image.shape[1], factor), *image.shape[2:])
    return np.frombuffer(b"".join(pieces), image.dtype).reshape(shape)
