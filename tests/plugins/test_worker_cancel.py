"""Dropped jobs: the worker stops at once, and only them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from sr_core.backend import ComposedGraph, Deliver, Precision, Progress, Session
from sr_core.frame import Array
from sr_core.model_spec import spec_of
from sr_core.testing import random_model
from sr_core.upscaler import Upscaler
from sr_plugins import client
from sr_plugins.testing import RunningWorker, job_of, through_worker
from srvid.front_door import choose_backend
from tests.plugins.pictures import by_the_api, noise, slow_image

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def busy(worker: RunningWorker) -> RunningWorker:
    """A worker whose network is loaded, so that a cancel meets the computing."""
    through_worker(noise(64, 64, 3), model="random", scale=4)
    return worker


def until_idle(running: RunningWorker) -> None:
    """Until the worker has no connection; the jobs here would take minutes to their end."""
    deadline = time.monotonic() + 600
    while running.connections():
        assert time.monotonic() < deadline, "the job goes on"
        time.sleep(0.005)


def test_a_closed_socket_drops_the_job_within_half_a_second(busy: RunningWorker) -> None:
    image = slow_image()
    began = threading.Event()
    cancelled = threading.Event()
    raised: list[BaseException] = []

    def work() -> None:
        def progress(phase: str, share: float) -> None:
            began.set()

        try:
            client.upscale(
                job_of(image, model="random", scale=4),
                [image.tobytes()],
                lambda y, count, rows: None,
                progress=progress,
                cancelled=cancelled.is_set,
            )
        except client.JobCancelled as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert began.wait(60)
    busy.wait_until_computing()
    cancelled.set()
    thread.join(60)
    assert raised, "the client was still waiting after the cancel"
    until_idle(busy)
    (drop,) = busy.drops
    assert not drop.has_begun_more()
    assert client.ask("status")["jobs_done"] == 1  # the one of the fixture


def test_a_killed_client_drops_the_job_within_half_a_second(busy: RunningWorker) -> None:
    script = (
        "import numpy as np; from sr_plugins import client\n"
        "job = dict(width=2500, height=2000, channels=3, sample='u8', scale=4, model='random')\n"
        "say = lambda phase, share: print(phase, flush=True)\n"
        "client.upscale(job, [bytes(15000000)], lambda y, n, rows: None, progress=say)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "sending"
    busy.wait_until_computing()
    assert busy.connections() == 1
    process.kill()
    until_idle(busy)
    process.wait()
    process.stdout.close()
    assert client.ask("status")["jobs_done"] == 1  # the one of the fixture


class Gate:
    """A backend that computes a tile only when `opened`; `waiting` says that one has begun."""

    def __init__(self) -> None:
        self._real = choose_backend("openvino")
        self.name, self.device, self.contexts = "gate", self._real.device, self._real.contexts
        self.on_cpu = True
        self.waiting, self.opened, self.begun = threading.Event(), threading.Event(), 0

    def open(self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None) -> Session:
        return GatedSession(self, self._real.open(graph, precision=precision, progress=progress))


class GatedSession:
    def __init__(self, gate: Gate, session: Session) -> None:
        self.contexts, self.precision = session.contexts, session.precision
        self._gate, self._session = gate, session

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        self._gate.begun += 1
        self._gate.waiting.set()
        assert self._gate.opened.wait(120)
        self._session.run(planes, deliver)

    def close(self) -> None:
        self._session.close()


def test_a_drop_waits_for_no_tile_however_slow(worker_file: Path) -> None:
    gate, proto = Gate(), random_model(2)

    def opener(model: str, *, progress: Progress | None, **options: object) -> Upscaler:
        spec = spec_of(proto)
        assert spec is not None
        return Upscaler(proto, spec, gate, shared_tiles=True, reuse=False, progress=progress)

    image = noise(2000, 1000, 3)
    job = job_of(image, model="random", scale=2)
    with RunningWorker(worker_file, opener=opener) as running:
        with client.Connection(dict(job, do="upscale"), cancelled=lambda: False, start=False) as (link, _):
            link.send_frame(client.ROWS, image.tobytes())
            assert gate.waiting.wait(20)
        until_idle(running)  # though its tile is not done
        assert len(running.drops) == 1
        gate.opened.set()
    assert gate.begun <= gate.contexts


def test_a_worker_that_is_stopped_tells_the_clients_whose_jobs_it_drops(busy: RunningWorker) -> None:
    image = slow_image()

    def stop(phase: str, share: float) -> None:
        if phase == "upscaling":
            busy.worker.stop()

    with pytest.raises(client.WorkerError, match="the srvid worker was stopped"):
        client.upscale(
            job_of(image, model="random", scale=4), [image.tobytes()], lambda y, count, rows: None, progress=stop
        )


def test_a_cancel_while_another_job_runs_leaves_that_job_alone(busy: RunningWorker) -> None:
    image = noise(300, 200, 3)
    flag = threading.Event()

    def other() -> None:
        with pytest.raises(client.JobCancelled):
            client.upscale(
                job_of(slow_image(), model="random", scale=4),
                [slow_image().tobytes()],
                lambda y, count, rows: None,
                cancelled=flag.is_set,
            )

    thread = threading.Thread(target=other)
    thread.start()
    busy.wait_until_computing()
    cancel = threading.Thread(target=lambda: (busy.wait_for_jobs(3), flag.set()))
    cancel.start()  # once the second job is there: the third begun, with the fixture's
    result = through_worker(image, model="random", scale=4)
    thread.join()
    cancel.join()
    np.testing.assert_array_equal(result, by_the_api(image, scale=4))


def test_a_job_that_cannot_send_its_rows_is_dropped_while_it_holds_the_model(
    worker: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_plugins.worker.HangUpWatch", lambda *_: nullcontext())  # which may notice it later
    image = slow_image()
    with client.Connection(
        dict(job_of(image, model="nearest", scale=4), do="upscale"), cancelled=lambda: False, start=False
    ) as (link, _):
        link.send_frame(client.ROWS, image.tobytes())
        while next(link.frames())[0] != client.ROWS:
            pass
    until_idle(worker)
    (drop,) = worker.drops
    assert drop.tiles_before > 0, "the model was given back before the job was dropped"


# ---- life
