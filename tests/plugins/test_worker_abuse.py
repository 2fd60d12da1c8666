"""Whoever may connect to the service but has no token: silent, slow, many, or nesting without end."""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import struct
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest

from sr_plugins import client, worker
from sr_plugins.testing import RunningWorker, through_worker


@pytest.fixture(autouse=True)
def _short_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "GREETING_SECONDS", 1.0)


def connect(worker_file: Path) -> socket.socket:
    """A connection that has heard the hello."""
    port = json.loads(worker_file.read_text())["port"]
    endpoint = socket.create_connection(("127.0.0.1", port), timeout=30)
    kind, size = client.FRAME.unpack(receive(endpoint, client.FRAME.size))
    assert kind == client.HELLO
    receive(endpoint, size)
    return endpoint


def receive(endpoint: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = endpoint.recv(size - len(data))
        assert piece, "closed"
        data += piece
    return data


def job_frame(body: bytes) -> bytes:
    return struct.pack("<cQ", client.JOB, len(body)) + body


def error_of(endpoint: socket.socket) -> str:
    kind, size = client.FRAME.unpack(receive(endpoint, client.FRAME.size))
    assert kind == client.ERROR
    return str(json.loads(receive(endpoint, size))["message"])


def test_silent_connections_do_not_keep_a_client_out(worker: RunningWorker, worker_file: Path) -> None:
    with ExitStack() as open_sockets:
        for _ in range(3 * 32):
            open_sockets.enter_context(connect(worker_file))
        image = np.full((8, 8, 3), 9, np.uint8)
        assert through_worker(image, model="nearest", scale=2).shape == (16, 16, 3)


def test_used_up_descriptors_do_not_end_the_worker(
    worker: RunningWorker, worker_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port, taken = json.loads(worker_file.read_text())["port"], list[int]()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack, caplog.at_level(logging.WARNING):
        endpoints = [stack.enter_context(socket.socket()) for _ in range(30)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 4, limits[1]))
        try:
            for endpoint in endpoints:  # another: what an earlier test left may have closed, and the place was taken
                with suppress(OSError):
                    while True:
                        taken.append(os.dup(0))
                endpoint.connect(("127.0.0.1", port))
                deadline = time.monotonic() + 2
                while "cannot accept" not in caplog.text and time.monotonic() < deadline:
                    time.sleep(0.01)
                if "cannot accept" in caplog.text:
                    break
        finally:
            for descriptor in taken:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "cannot accept a connection: Too many open files" in caplog.text
    assert client.ask("status", start=False)["jobs_done"] == 0


def test_slow_bytes_end_with_the_greeting(worker: RunningWorker, worker_file: Path) -> None:
    with connect(worker_file) as endpoint:
        endpoint.sendall(struct.pack("<cQ", client.JOB, client.MAX_MESSAGE))
        sent, answer = 0, b""
        endpoint.settimeout(0.05)
        while not answer and sent < 600:
            endpoint.sendall(b" ")
            sent += 1
            with suppress(TimeoutError):
                answer = endpoint.recv(4096)
    assert answer[:1] == client.ERROR
    assert 0 < sent < 600


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000, b'{"token": "\\ud800", "protocol": 1}', b'{"token": [], "protocol": 1}', b"[]", b"null",
        b"\xff", b'{"token": NaN}', b'{"a":' * 100_000,
    ],
)  # fmt: skip
def test_a_request_that_is_not_one_is_refused_without_a_traceback(
    worker: RunningWorker, worker_file: Path, body: bytes
) -> None:
    with connect(worker_file) as endpoint:
        endpoint.sendall(job_frame(body))
        assert error_of(endpoint) in ("the client's request is not readable", "wrong token")


def test_connections_without_a_token_do_not_keep_the_worker_awake(worker_file: Path) -> None:
    with RunningWorker(worker_file) as running, connect(worker_file):
        running.worker._idle_seconds = 0.0
        deadline = time.monotonic() + 600
        while worker_file.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not worker_file.exists()


@pytest.mark.parametrize(
    "content", [b"[]", b"null", b'{"port": "x", "token": "t"}', b'{"port": 1e9, "token": "t"}', b"[" * 100_000,
                b'{"port": 70000, "token": "t"}', b'{"port": 1}']
)  # fmt: skip
def test_a_damaged_worker_file_means_that_no_worker_runs(worker_file: Path, content: bytes) -> None:
    worker_file.write_bytes(content)
    with pytest.raises(client.WorkerError, match="is not running"):
        client.ask("status", start=False)
