"""The worker and its client, over real sockets, with real networks."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sr_core.backend import ComposedGraph, Deliver, Precision, Progress, Session
from sr_core.errors import NotAvailable
from sr_core.frame import Array
from sr_core.image.array import upscale_image
from sr_core.model_spec import spec_of
from sr_core.testing import random_model
from sr_core.upscaler import Upscaler
from sr_plugins import client
from sr_plugins.testing import CANCEL_LIMIT_SECONDS, RunningWorker, job_of, open_test_model, through_worker
from sr_plugins.worker import Worker
from srvid.front_door import choose_backend

PROJECT = Path(__file__).resolve().parents[2]


def noise(*shape: int, dtype: npt.DTypeLike = np.uint8) -> Array:
    random = np.random.default_rng(7)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return random.random(shape).astype(kind)
    return random.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def by_the_api(image: Array, model: str = "random", scale: int = 2) -> Array:
    """What srvid's own Python API makes of `image`, all at once."""
    with open_test_model(
        model, scale=scale, backend="auto", tile=None, shared_tiles=False, reuse=False, progress=None
    ) as up:
        return upscale_image(up, image)


# ---- pixels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_every_sample_type_and_channel_count_equals_the_python_api(
    worker: RunningWorker, channels: int, dtype: str
) -> None:
    image = noise(37, 29, channels, dtype=dtype)
    np.testing.assert_array_equal(through_worker(image, model="random", scale=2), by_the_api(image))


def test_bands_equal_the_whole_image(worker: RunningWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr_plugins.bands.BAND_PIXELS", 1)
    image = noise(403, 40, 4)
    image[100:300, 5:30, 3] = 0  # transparent, so that colour is bled across the bands' borders
    np.testing.assert_array_equal(through_worker(image, model="random", scale=2), by_the_api(image))


def test_a_network_without_finite_reach_sees_the_whole_image(worker: RunningWorker) -> None:
    image = noise(120, 80, 3)
    np.testing.assert_array_equal(through_worker(image, model="global", scale=2), by_the_api(image, model="global"))


def test_bgr_rows_come_back_as_bgr(worker: RunningWorker) -> None:
    image = noise(20, 30, 4)
    swap = [2, 1, 0, 3]
    result = through_worker(np.ascontiguousarray(image[..., swap]), model="random", scale=2, order="bgr")
    np.testing.assert_array_equal(result[..., swap], by_the_api(image))


def test_linear_light_is_encoded_for_the_network_and_decoded_after(worker: RunningWorker) -> None:
    image = np.full((24, 24, 3), 0.2140411, np.float32)  # linear light of the sRGB code 0.5
    result = through_worker(image, model="nearest", scale=2, transfer="linear")
    np.testing.assert_allclose(result, 0.2140411, rtol=1e-5)
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 64, 1).repeat(24, 0).repeat(3, 2)
    linear = through_worker(ramp, model="random", scale=2, transfer="linear")
    encoded = through_worker(ramp, model="random", scale=2)
    assert np.abs(linear - encoded).max() > 0.01


def test_floats_beyond_one_and_below_zero_survive(worker: RunningWorker) -> None:
    image = noise(16, 16, 3, dtype=np.float32) * 5 - 1
    result = through_worker(image, model="nearest", scale=2)
    np.testing.assert_allclose(result, image.repeat(2, 0).repeat(2, 1), atol=2e-6)


def test_at_input_size_averages_the_result_back(worker: RunningWorker) -> None:
    image = noise(30, 20, 3)
    same = through_worker(image, model="nearest", scale=3, at_input_size=True)
    np.testing.assert_array_equal(same, image)
    large = by_the_api(image).astype(np.float64).reshape(30, 2, 20, 2, 3).mean((1, 3))
    smaller = through_worker(image, model="random", scale=2, at_input_size=True)
    assert np.abs(smaller - large).max() <= 0.5001


def test_rows_come_back_while_later_rows_are_still_computed(
    worker: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_plugins.bands.BAND_PIXELS", 1)
    image, seen = noise(600, 60, 3), []
    client.upscale(
        job_of(image, model="nearest", scale=2),
        [image.tobytes()],
        lambda y, count, rows: seen.append((y, count)),
    )
    assert len(seen) > 5
    assert seen[0][0] == 0
    assert sum(count for _, count in seen) == 1200


def test_two_clients_at_once_both_get_their_own_pixels(worker: RunningWorker) -> None:
    images = [noise(200, 100, 3), 255 - noise(160, 130, 3)]
    results: dict[int, Array] = {}

    def work(index: int) -> None:
        results[index] = through_worker(images[index], model="random", scale=2)

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in (0, 1):
        np.testing.assert_array_equal(results[index], by_the_api(images[index]))


def test_progress_names_the_phase_and_rises_to_one(worker: RunningWorker) -> None:
    image, said = noise(50, 50, 3), []
    client.upscale(
        job_of(image, model="nearest", scale=2),
        [image.tobytes()],
        lambda y, count, rows: None,
        progress=lambda phase, share: said.append((phase, share)),
    )
    assert ("loading model", 0.0) in said
    shares = [share for phase, share in said if phase == "upscaling"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


# ---- what is refused


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"scale": 0}, "scale is 0"),
        ({"scale": True}, "scale is True"),
        ({"sample": "u12"}, "sample is 'u12'"),
        ({"order": "grb"}, "order is 'grb'"),
        ({"width": -1}, "width is -1"),
        ({"speed": 3}, "unknown fields: speed"),
        ({"model": ""}, "expected a name"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_its_value(
    worker: RunningWorker, fields: dict[str, object], part: str
) -> None:
    job = {**job_of(noise(4, 4, 3), scale=2), **fields}
    with pytest.raises(client.WorkerError) as caught:
        client.upscale(job, [bytes(48)], lambda y, count, rows: None)
    assert part in str(caught.value)


def test_nan_is_refused_and_the_worker_goes_on(worker: RunningWorker) -> None:
    image = np.full((8, 8, 3), np.nan, np.float32)
    with pytest.raises(client.WorkerError, match="NaN"):
        through_worker(image, model="nearest", scale=2)
    assert through_worker(noise(8, 8, 3), model="nearest", scale=2).shape == (16, 16, 3)


def test_an_unknown_model_is_an_error_with_the_engines_hint(worker_file: Path) -> None:
    def opener(model: str, **options: object) -> object:
        raise NotAvailable(f"no model {model!r}", hint="choose one of: clear")

    with RunningWorker(worker_file, opener=opener), pytest.raises(client.WorkerError) as caught:  # type: ignore[arg-type]
        through_worker(noise(8, 8, 3), model="cleer", scale=2)
    assert str(caught.value) == "no model 'cleer'\n\nchoose one of: clear"


def test_a_wrong_token_is_refused_before_any_pixel(worker: RunningWorker, worker_file: Path) -> None:
    facts = json.loads(worker_file.read_text())
    worker_file.write_text(json.dumps({**facts, "token": "guess"}))
    with pytest.raises(client.WorkerError, match="wrong token"):
        through_worker(noise(8, 8, 3), model="nearest", scale=2)
    assert worker.worker._jobs_done == 0


def test_another_protocol_version_is_refused_by_both_sides(
    worker: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = json.loads(worker.path.read_text())["token"]
    with socket.create_connection(("127.0.0.1", json.loads(worker.path.read_text())["port"])) as endpoint:
        link = client.Link(endpoint, lambda: False)
        assert link.expect(client.HELLO)["protocol"] == client.PROTOCOL
        link.send_frame(client.JOB, json.dumps({"token": token, "protocol": 99, "do": "status"}).encode())
        with pytest.raises(client.WorkerError, match="speaks protocol 99"):
            link.expect(client.ACCEPTED)
    monkeypatch.setattr(client, "PROTOCOL", 99)
    monkeypatch.setattr("sr_plugins.client._try_connect", lambda: _old_worker(worker.path))
    with pytest.raises(client.WorkerError, match="srkit plug install"):
        client.ask("status")


def _old_worker(path: Path) -> tuple[socket.socket, str, client.Request]:
    endpoint = socket.create_connection(("127.0.0.1", json.loads(path.read_text())["port"]))
    return endpoint, "token", {"program": "srvid", "protocol": 1, "version": "0.1"}


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 9, b"J" + b"\xff" * 8])
def test_garbage_in_the_socket_does_not_harm_the_worker(worker: RunningWorker, said: bytes) -> None:
    facts = json.loads(worker.path.read_text())
    with socket.create_connection(("127.0.0.1", facts["port"])) as endpoint:
        endpoint.sendall(said)
        endpoint.settimeout(5)
        while endpoint.recv(4096):
            pass
    assert client.ask("status")["pid"] == os.getpid()


def test_rows_past_the_end_of_the_image_are_refused(worker: RunningWorker) -> None:
    with pytest.raises(client.WorkerError, match="at most 12 bytes"):
        client.upscale(
            {"width": 2, "height": 2, "channels": 3, "sample": "u8", "scale": 2, "model": "nearest"},
            [bytes(13)],
            lambda y, count, rows: None,
        )


# ---- cancel


def slow_image() -> Array:
    """Seconds of work for the 'random' network at scale 4 here."""
    return noise(2000, 2500, 3)


@pytest.fixture
def busy(worker: RunningWorker) -> RunningWorker:
    """A worker whose network is loaded, so that a cancel meets the computing."""
    through_worker(noise(64, 64, 3), model="random", scale=4)
    return worker


def until_idle(running: RunningWorker, timeout: float = 10.0) -> float:
    """Seconds until the worker has no connection."""
    started = time.monotonic()
    while running.connections() and time.monotonic() - started < timeout:
        time.sleep(0.005)
    return time.monotonic() - started


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
    assert began.wait(20)
    time.sleep(0.3)
    cancelled.set()
    thread.join(CANCEL_LIMIT_SECONDS)
    assert raised, "the client was still waiting half a second after the cancel"
    assert until_idle(busy) < CANCEL_LIMIT_SECONDS
    (drop,) = busy.drops
    time.sleep(0.3)
    assert not drop.has_begun_more()


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
    time.sleep(0.5)
    assert busy.connections() == 1
    process.kill()
    assert until_idle(busy) < CANCEL_LIMIT_SECONDS
    process.wait()
    process.stdout.close()
    assert client.ask("status")["jobs_done"] == 1  # the one of the fixture


class Gate:
    """A backend that computes a tile only when `opened`; `waiting` says that one has begun."""

    def __init__(self, *, tunes_tiles: bool) -> None:
        self._real = choose_backend("openvino")
        self.name, self.device, self.contexts = "gate", self._real.device, self._real.contexts
        self.tunes_tiles = tunes_tiles
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
        assert self._gate.opened.wait(60)
        self._session.run(planes, deliver)

    def close(self) -> None:
        self._session.close()


@pytest.mark.parametrize("tunes_tiles", [True, False], ids=["measuring tile sizes", "computing"])
def test_a_drop_waits_for_no_tile_however_slow(
    worker_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tunes_tiles: bool
) -> None:
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path))  # nothing measured yet
    gate, proto = Gate(tunes_tiles=tunes_tiles), random_model(2)

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
        closed_at = time.time()
        deadline = time.monotonic() + 10
        while not running.drops and time.monotonic() < deadline:
            time.sleep(0.005)
        assert running.drops[0].at - closed_at < CANCEL_LIMIT_SECONDS
        assert tunes_tiles or until_idle(running) < CANCEL_LIMIT_SECONDS, "the job waits for its tile"
        gate.opened.set()
        assert until_idle(running) < 10
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
    time.sleep(0.3)
    timer = threading.Timer(0.2, flag.set)
    timer.start()
    result = through_worker(image, model="random", scale=4)
    thread.join()
    timer.join()
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
    assert until_idle(worker) < 10
    (drop,) = worker.drops
    assert drop.tiles_before > 0, "the model was given back before the job was dropped"


# ---- life


def test_the_file_with_the_token_is_readable_by_its_owner_only(worker: RunningWorker) -> None:
    assert stat.S_IMODE(worker.path.stat().st_mode) == 0o600


def test_an_idle_worker_ends_and_takes_its_file_away(worker_file: Path) -> None:
    with RunningWorker(worker_file, idle_seconds=0.5) as running:
        through_worker(noise(8, 8, 3), model="nearest", scale=2)
        running.thread.join(10)
        assert not running.thread.is_alive()
        assert not worker_file.exists()


def test_a_model_nobody_uses_is_freed_and_opened_again_when_needed(worker_file: Path) -> None:
    with RunningWorker(worker_file, unload_seconds=0.3) as running:
        for _ in range(2):
            through_worker(noise(8, 8, 3), model="nearest", scale=2)
            deadline = time.monotonic() + 10
            while running.worker._shelf._entries and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not running.worker._shelf._entries


def test_a_second_worker_says_that_one_is_running(worker: RunningWorker) -> None:
    second = Worker(version="test", opener=open_test_model, path=worker.path)
    with pytest.raises(NotAvailable, match="already running"):
        second.serve()
    assert client.ask("status")["pid"] == os.getpid()


def test_without_a_worker_the_client_says_what_to_run(worker_file: Path) -> None:
    with pytest.raises(client.WorkerError) as caught:
        through_worker(noise(8, 8, 3), model="nearest", scale=2)
    assert caught.value.hint == "run in a terminal: srkit serve"


def test_a_file_left_by_a_killed_worker_is_no_worker(worker_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    worker_file.write_text(json.dumps({"port": port, "token": "old", "protocol": 1, "pid": 1}))
    with pytest.raises(client.WorkerError, match="not running"):
        client.ask("status")


def test_another_program_on_the_port_never_sees_the_token(worker_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HELLO_SECONDS", 0.3)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        facts = {"port": listener.getsockname()[1], "token": "secret", "protocol": 1, "pid": 1}
        worker_file.write_text(json.dumps(facts))

        def listen() -> None:
            endpoint, _ = listener.accept()
            with endpoint:
                heard.append(endpoint.recv(100))

        thread = threading.Thread(target=listen)
        thread.start()
        with pytest.raises(client.WorkerError, match="not running"):
            client.ask("status")
        thread.join(5)
    assert heard == [b""]


@pytest.fixture
def launched(worker_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The client as installed: its launch.json starts the real command; ended afterwards."""
    path = f"{PROJECT}{os.pathsep}{PROJECT / 'cli'}"
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {path.split(os.pathsep)!r}\n{SERVE}"]
    monkeypatch.setattr(client, "launch_facts", lambda: {"command": command})
    yield worker_file
    deadline = time.monotonic() + 60
    while any(process.poll() is None for process in client._STARTED):
        assert time.monotonic() < deadline, "a worker does not stop"
        if worker_file.exists():  # also of one that was so slow to start that it took over from a stopped one
            with suppress(client.WorkerError):  # it is just ending
                client.ask("stop", start=False)
        time.sleep(0.05)
    assert not worker_file.exists()
    client._STARTED.clear()


SERVE = "import sys; sys.argv = ['srkit', 'serve']; from srvid_cli.srkit import main; main()"


def test_the_client_starts_srkit_serve_and_two_clients_start_only_one(launched: Path) -> None:
    pids: list[int] = []
    threads = [threading.Thread(target=lambda: pids.append(client.ask("status")["pid"])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 2
    assert len(set(pids)) == 1
    assert pids[0] != os.getpid()


def test_a_worker_killed_in_the_middle_is_an_error_and_the_next_job_starts_another(launched: Path) -> None:
    killed: list[int] = []

    def kill(phase: str, share: float) -> None:
        if not killed:
            killed.append(json.loads(launched.read_text())["pid"])
            os.kill(killed[0], signal.SIGKILL)

    image = slow_image()
    with pytest.raises(client.WorkerError, match="stopped in the middle"):
        client.upscale(
            job_of(image, model="clear", scale=4),
            [image.tobytes()],
            lambda y, count, rows: None,
            progress=kill,
        )
    assert client.ask("status")["pid"] != killed[0]


def test_a_command_that_fails_is_reported_with_its_own_words(
    worker_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no engine here')"]
    monkeypatch.setattr(client, "launch_facts", lambda: {"command": command})
    with pytest.raises(client.WorkerError, match="no engine here"):
        client.ask("status")
    monkeypatch.setattr(client, "launch_facts", lambda: {"command": ["/nowhere/python"]})
    with pytest.raises(client.WorkerError, match="srkit plug install"):
        client.ask("status")


def test_a_host_s_own_library_paths_do_not_reach_the_worker(
    launched: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the host leaked its path')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    assert client.ask("status")["pid"] != os.getpid()


def test_the_client_runs_on_the_standard_library_alone() -> None:
    script = (
        "import sys; before = set(sys.modules); import client\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - {'client'}\n"
        "assert new <= sys.stdlib_module_names, new - sys.stdlib_module_names"
    )
    subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {str(PROJECT / 'sr_plugins')!r})\n{script}",
        ],
        check=True,
    )
