"""`srkit serve`: the engine as a loopback service for plug-ins.

    listen on 127.0.0.1, a port of the system's choice ─► worker.json (port, token; mode 0600)
    one thread a connection, one request a connection ─► hello, job, accepted, rows, … (PROTOCOL.md)

It frees a model that nobody has used for a while, ends when nobody has asked anything for longer,
and drops a job as soon as its client closes the socket (hangup.py).
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any

from sr_core.errors import BadInput, Cancelled, NotAvailable, SrError, StorageError
from sr_core.storage import file_lock, write_atomically
from sr_plugins import client
from sr_plugins.bands import enlarged_bands
from sr_plugins.hangup import Cancellation, HangUpWatch
from sr_plugins.jobs import Job, job_from_request
from sr_plugins.shelf import Opener, Shelf

STRIP_BYTES = 8 << 20  # bytes of a frame of rows: what a host holds besides its own image
GREETING_SECONDS = 5.0  # a connection that has not sent its request by then is closed
STALL_SECONDS = 300.0  # a client that neither sends nor takes rows for so long is gone
TICK_SECONDS = 0.25
log = logging.getLogger(__name__)


class Worker:
    """One listening socket and the jobs of its clients.

    Args:
        version: what the hello says, for people.
        opener: `srvid.open_upscaler`.
        path: the file that says port and token.
        idle_seconds: end after so long without a connection; None = never.
        unload_seconds: free a model unused for so long.
    """

    def __init__(
        self,
        *,
        version: str,
        opener: Opener,
        path: Path,
        idle_seconds: float | None = 600.0,
        unload_seconds: float = 60.0,
    ) -> None:
        self.path, self._version = path, version
        self._idle_seconds, self._unload_seconds = idle_seconds, unload_seconds
        self._token = secrets.token_urlsafe(32)
        self._shelf = Shelf(opener)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._peers: set[_Peer] = set()
        self._jobs_done = 0
        self._last_used = time.monotonic()

    def serve(self) -> None:
        """Serve until idle, `stop`, or a client's stop request.

        Raises:
            NotAvailable: another worker has this file.
            StorageError: the file cannot be written.
        """
        try:
            with file_lock(self.path.with_suffix(".lock"), timeout_seconds=0):
                self._serve()
        except StorageError as error:
            if "locked" in str(error):
                raise NotAvailable(
                    "an srvid worker is already running", hint="use it, or end it with: srkit serve --stop"
                ) from error
            raise

    def stop(self) -> None:
        """End `serve` soon; jobs under way are dropped. Safe in a signal handler."""
        self._stop.set()

    def _serve(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
            listener.settimeout(TICK_SECONDS)
            facts = {
                "protocol": client.PROTOCOL,
                "port": listener.getsockname()[1],
                "token": self._token,
                "pid": os.getpid(),
                "version": self._version,
            }
            write_atomically(self.path, json.dumps(facts).encode(), is_private=True)
            log.info("listening on 127.0.0.1:%d, %s", facts["port"], self.path)
            try:
                while not self._stop.is_set() and not self._is_idle():
                    self._accept(listener)
                    freed = self._shelf.trim(unused_seconds=self._unload_seconds)
                    if freed:
                        log.info("freed %d unused model(s)", freed)
            finally:
                self._stop.set()
                self.path.unlink(missing_ok=True)
        self._drop_all()
        self._shelf.close()

    def _is_idle(self) -> bool:
        with self._lock:
            if self._peers or self._idle_seconds is None:
                return False
            return time.monotonic() - self._last_used >= self._idle_seconds

    def _accept(self, listener: socket.socket) -> None:
        try:
            endpoint, _ = listener.accept()
        except TimeoutError:
            return
        if self._stop.is_set():
            endpoint.close()  # no hello: the client looks for another worker
            return
        peer = _Peer(endpoint)
        with self._lock:
            self._peers.add(peer)
        threading.Thread(target=self._converse, args=(peer,), daemon=True).start()

    def _drop_all(self) -> None:
        """Drop what is under way and wait for it: what has begun in the engine ends first."""
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            peer.drop("the srvid worker was stopped")
        deadline = time.monotonic() + 5
        while self._peers and time.monotonic() < deadline:
            time.sleep(0.02)

    # ---- one connection

    def _converse(self, peer: _Peer) -> None:
        with peer.endpoint:
            try:
                request = self._request(peer)
                peer.what = str(request.get("do"))
                if peer.what == "upscale":
                    job = job_from_request(request)
                    peer.what = f"{job.width}x{job.height} x{job.scale} {job.model}"
                    self._upscale(peer, job)
                    log.info("%s: done in %.1f s", peer.what, peer.seconds())
                elif peer.what == "status":
                    peer.send_json(client.ACCEPTED, {"pid": os.getpid(), "jobs_done": self._jobs_done})
                elif peer.what == "stop":
                    self.path.unlink(missing_ok=True)  # whoever comes after the answer starts another worker
                    self.stop()
                    peer.send_json(client.ACCEPTED, {"pid": os.getpid()})
                else:
                    raise BadInput(f"unknown request {peer.what!r}", hint="upscale, status or stop")
            except (Cancelled, OSError) as error:
                peer.drop(str(error))
                peer.try_error(peer.cancellation.why, "try again")
            except SrError as error:
                log.info("%s: %s", peer.what, error)
                peer.try_error(str(error), error.hint)
            except MemoryError:
                log.warning("%s: out of memory", peer.what)
                peer.try_error("there is not enough memory for this image", "upscale a part of it at a time")
            except Exception as error:
                log.exception("%s: failed", peer.what)  # our own bug: the client must not wait for ever
                peer.try_error(f"srvid failed: {type(error).__name__}: {error}", "please report this")
        with self._lock:
            self._peers.remove(peer)
            self._last_used = time.monotonic()

    def _request(self, peer: _Peer) -> dict[str, Any]:
        """Greet, and read the request. Nothing is believed before the token."""
        peer.endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.endpoint.settimeout(GREETING_SECONDS)
        hello = {"program": "srvid", "protocol": client.PROTOCOL, "version": self._version}
        peer.send_json(client.HELLO, hello)
        kind, size = peer.read_header()
        if kind != client.JOB or size > client.MAX_MESSAGE:
            raise BadInput("the client does not speak this protocol")
        try:
            request = json.loads(bytes(peer.read(bytearray(size))))
            token, protocol = str(request["token"]), request["protocol"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput("the client's request is not readable") from error
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise BadInput("wrong token", hint="run: srkit plug doctor")
        if protocol != client.PROTOCOL:
            raise BadInput(
                f"the plug-in speaks protocol {protocol}, this worker {client.PROTOCOL}",
                hint="run: srkit plug install (it replaces the plug-in), then restart the program",
            )
        peer.endpoint.settimeout(STALL_SECONDS)
        return dict(request)

    def _upscale(self, peer: _Peer, job: Job) -> None:
        width, height = job.output_size
        peer.send_json(client.ACCEPTED, {"width": width, "height": height, "row_bytes": job.output_row_bytes})
        pixels = job.pixels(peer.read_rows(job.input_bytes))
        log.info("%s: begun", peer.what)
        started = time.monotonic()
        with (
            HangUpWatch(peer.endpoint, lambda: peer.drop("the client closed the connection")),
            self._shelf.borrow(job, report=peer.report, is_gone=peer.cancellation.is_set) as upscaler,
        ):
            for band in enlarged_bands(job, pixels, upscaler, peer.cancellation):
                rows = max(STRIP_BYTES // job.output_row_bytes, 1)
                for top in range(0, len(band), rows):
                    peer.send(client.ROWS, memoryview(band[top : top + rows].tobytes()))
        if peer.cancellation.is_set():
            raise Cancelled(peer.cancellation.why)
        self._jobs_done += 1
        peer.send_json(client.DONE, {"seconds": round(time.monotonic() - started, 3)})


class _Peer:
    """The worker's side of a connection, and what the log calls it."""

    def __init__(self, endpoint: socket.socket) -> None:
        self.endpoint, self.what = endpoint, "a connection"
        self.cancellation = Cancellation()
        self._started = time.monotonic()
        self._sending = threading.Lock()  # a model compiled by another job reports from its thread

    def seconds(self) -> float:
        """Since the connection was made."""
        return time.monotonic() - self._started

    def drop(self, why: str) -> None:
        """Stop the job; from any thread, and only the first call counts."""
        if self.cancellation.set(why):
            log.info("%s: dropped after %.1f s (%s)", self.what, self.seconds(), why)

    def report(self, phase: str, share: float) -> None:
        """Send a progress frame.

        Raises:
            Cancelled: the client is gone.
        """
        if self.cancellation.is_set():
            raise Cancelled(self.cancellation.why)
        self.send_json(client.PROGRESS, {"phase": phase, "share": share})

    def send(self, kind: bytes, payload: memoryview) -> None:
        """Send a frame.

        Raises:
            Cancelled: the client is gone; a thread that sends may know it before the `HangUpWatch`.
        """
        try:
            self._send(kind, payload)
        except OSError as error:
            self.drop(f"the client closed the connection: {error}")
            raise Cancelled(self.cancellation.why) from error

    def _send(self, kind: bytes, payload: memoryview) -> None:
        with self._sending:
            self.endpoint.sendall(client.FRAME.pack(kind, len(payload)))
            self.endpoint.sendall(payload)

    def send_json(self, kind: bytes, content: dict[str, Any]) -> None:
        self.send(kind, memoryview(json.dumps(content).encode()))

    def try_error(self, message: str, hint: str) -> None:
        """Send an error frame to whoever still listens."""
        try:
            self._send(client.ERROR, memoryview(json.dumps({"message": message, "hint": hint}).encode()))
            self.endpoint.shutdown(socket.SHUT_WR)
        except OSError as error:
            log.debug("nobody listens: %s", error)

    def read_header(self) -> tuple[bytes, int]:
        kind, size = client.FRAME.unpack(self.read(bytearray(client.FRAME.size)))
        return kind, size

    def read(self, data: bytearray) -> bytearray:
        """Fill `data` from the socket."""
        view = memoryview(data)
        while view:
            count = self.endpoint.recv_into(view, min(len(view), 1 << 20))
            if not count:
                raise Cancelled("the client closed the connection")
            view = view[count:]
        return data

    def read_rows(self, size: int) -> bytearray:
        """All rows; `size` bytes in as many frames as the client likes."""
        data = bytearray(size)
        view = memoryview(data)
        while view:
            kind, count = self.read_header()
            if kind != client.ROWS or not 0 < count <= len(view):
                raise BadInput(f"expected at most {len(view)} bytes of rows, got frame {kind!r} of {count}")
            while count:
                got = self.endpoint.recv_into(view, min(count, 1 << 20))
                if not got:
                    raise Cancelled("the client closed the connection")
                view, count = view[got:], count - got
        return data
