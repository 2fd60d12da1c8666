"""The worker's life: its file, its end, and the client that starts it."""

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
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sr_core.errors import NotAvailable
from sr_core.storage import file_lock
from sr_plugins import client
from sr_plugins.testing import RunningWorker, job_of, open_test_model, through_worker
from sr_plugins.worker import Worker
from tests.plugins.pictures import noise, slow_image

PROJECT = Path(__file__).resolve().parents[2]


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
            deadline = time.monotonic() + 600
            while running.worker._model_cache._entries and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not running.worker._model_cache._entries


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
    deadline = time.monotonic() + 600
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


def test_the_client_waits_for_an_ending_worker_to_make_room(launched: Path) -> None:
    lock = file_lock(launched.with_suffix(".lock"))
    lock.__enter__()  # as a worker does that has taken its file away, and still closes its models
    ended = threading.Event()

    def end_once_the_new_worker_found_the_old() -> None:
        while not any(process.poll() == client.ALREADY_RUNNING for process in client._STARTED):
            time.sleep(0.05)
        lock.__exit__(None, None, None)
        ended.set()

    threading.Thread(target=end_once_the_new_worker_found_the_old, daemon=True).start()
    assert client.ask("status")["pid"] != os.getpid()
    assert ended.is_set()


def test_a_worker_asked_to_stop_is_found_by_nobody_after_its_answer(worker: RunningWorker) -> None:
    client.ask("stop", start=False)
    assert not worker.path.exists()
    with pytest.raises(client.WorkerError, match="not running"):
        client.ask("status", start=False)


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
