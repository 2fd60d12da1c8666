"""Public test doubles: a worker on a thread with the small networks of `sr_core.testing`.

Tests and benchmarks of plug-ins use these; nothing else in the package imports this module.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from sr_core.backend import Progress, usable_cpus
from sr_core.errors import BadModel, EngineError
from sr_core.frame import Array
from sr_core.model_spec import spec_of
from sr_core.testing import global_model, nearest_model, random_model
from sr_core.upscaler import Upscaler
from sr_plugins import client
from sr_plugins.shelf import Opener
from sr_plugins.worker import Worker, log
from srvid.front_door import choose_backend

MODELS: dict[str, Callable[[int], ModelProto]] = {
    "nearest": nearest_model,
    "random": random_model,
    "global": global_model,
}
SAMPLES = {"uint8": "u8", "uint16": "u16", "float16": "f16", "float32": "f32"}


def open_test_model(
    model: str,
    *,
    scale: int | None,
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


def cancel_limit_seconds() -> float:
    """Within what a cancel must be over: half a second, or ten on a machine too busy to tell."""
    is_busy = hasattr(os, "getloadavg") and os.getloadavg()[0] > 2 * usable_cpus()
    return 10.0 if is_busy else 0.5


class RunningWorker:
    """`with RunningWorker(path) as running`: a Worker serving on a thread; clients find it by `path`.

    `begun` and `dropped_at` (seconds since the epoch) say what became of its jobs.
    """

    def __init__(self, path: Path, opener: Opener = open_test_model, **options: Any) -> None:
        self.path = path
        self.worker = Worker(version="test", opener=opener, path=path, **options)
        self.thread = threading.Thread(target=self.worker.serve)
        self.begun: list[str] = []
        self.dropped_at: list[float] = []
        self._listener = _LogListener(self)

    def __enter__(self) -> RunningWorker:
        log.addHandler(self._listener)
        log.setLevel(logging.INFO)
        self.thread.start()
        deadline = time.monotonic() + 10
        while not self.path.exists():
            if not self.thread.is_alive() or time.monotonic() > deadline:
                raise EngineError("the worker did not start")
            time.sleep(0.01)
        return self

    def __exit__(self, *error: object) -> None:
        self.worker.stop()
        self.thread.join(20)
        log.removeHandler(self._listener)


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
            self._running.dropped_at.append(record.created)


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
    factor = 1 if fields.get("at_input_size") else int(fields["scale"])
    shape = (image.shape[0] * factor, image.shape[1] * factor, *image.shape[2:])
    return np.frombuffer(b"".join(pieces), image.dtype).reshape(shape)
