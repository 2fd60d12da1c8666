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
from contextlib import suppress
from pathlib import Path
from typing import Any

from sr_core.errors import BadInput, Cancelled, Locked, NotAvailable, SrError, message_of
from sr_core.records import check, parse_json
from sr_core.storage import file_lock, write_atomically
from sr_core.wording import as_argument
from sr_plugins import client
from sr_plugins.hangup import Cancellation, HangUpWatch
from sr_plugins.jobs import Job, job_from_request
from sr_plugins.model_cache import ModelCache, Opener, ScaleFor
from sr_plugins.strips import enlarge_job
from srvid.model_choice import engine_scale

STRIP_BYTES = 8 << 20  # bytes of a frame of rows: what a host holds besides its own image
GREETING_SECONDS = 5.0  # a connection that has not sent its request by then is closed
STALL_SECONDS = 300.0  # a client that neither sends nor takes rows for so long is gone
TICK_SECONDS = 0.25
MAX_GREETING = 32  # connections that have not shown the token; the oldest makes room
MAX_JOBS = 64  # connections that have: each holds an image
_PIECE_BYTES = 1 << 16  # a buffer grows by so much at most, as bytes arrive
log = logging.getLogger(__name__)


class Worker:
    """One listening socket and the jobs of its clients.

    Args:
        version: what the hello says, for people.
        opener: `srvid.open_upscaler`.
        scale_for: the scale to open a model at, for a job's factor.
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
        scale_for: ScaleFor = engine_scale,
        idle_seconds: float | None = 600.0,
        unload_seconds: float = 60.0,
    ) -> None:
        self.path, self._version = path, version
        self._idle_seconds, self._unload_seconds = idle_seconds, unload_seconds
        self._token = secrets.token_urlsafe(32)
        self._model_cache = ModelCache(opener, scale_for)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._greeting: dict[_Peer, None] = {}  # not yet known to hold the token, the oldest first
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
        except Locked as error:
            hint = "use it, or end it with: srkit serve --stop"
            raise NotAvailable("an srvid worker is already running", hint=hint) from error

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
                    freed = self._model_cache.trim(unused_seconds=self._unload_seconds)
                    if freed:
                        log.info("freed %d unused model(s)", freed)
            finally:
                self._stop.set()
                self.path.unlink(missing_ok=True)
        self._drop_all()
        self._model_cache.close()

    def _is_idle(self) -> bool:
        with self._lock:
            if self._peers or self._idle_seconds is None:  # whoever has shown no token keeps nobody awake
                return False
            return time.monotonic() - self._last_used >= self._idle_seconds

    def _accept(self, listener: socket.socket) -> None:
        try:
            endpoint, _ = listener.accept()
        except TimeoutError:
            return
        except OSError as error:  # descriptors or memory used up, or the client has gone already
            log.warning("cannot accept a connection: %s", error.strerror or error)
            self._make_room(0)
            self._stop.wait(TICK_SECONDS)
            return
        if self._stop.is_set():
            endpoint.close()  # no hello: the client looks for another worker
            return
        self._make_room(MAX_GREETING - 1)
        peer = _Peer(endpoint)
        with self._lock:
            self._greeting[peer] = None
        try:
            threading.Thread(target=self._converse, args=(peer,), daemon=True).start()
        except RuntimeError as error:  # no more threads
            log.warning("cannot serve a connection: %s", error)
            endpoint.close()
            self._forget(peer)

    def _make_room(self, most: int) -> None:
        """Hang up on the oldest connections that have not shown the token, until `most` are left."""
        with self._lock:
            surplus = list(self._greeting)[: max(0, len(self._greeting) - most)]
        for peer in surplus:
            peer.hang_up()
            self._forget(peer)

    def _welcome(self, peer: _Peer) -> None:
        """The token was right: from now on the connection counts.

        Raises:
            NotAvailable: too many others do.
        """
        with self._lock:
            self._greeting.pop(peer, None)
            if len(self._peers) >= MAX_JOBS:
                raise NotAvailable(f"the srvid worker is busy with {MAX_JOBS} jobs", hint="try again later")
            self._peers.add(peer)

    def _forget(self, peer: _Peer) -> None:
        with self._lock:
            self._greeting.pop(peer, None)
            if peer in self._peers:
                self._peers.remove(peer)
                self._last_used = time.monotonic()

    def _drop_all(self) -> None:
        """Drop what is under way and wait for it: what has begun in the engine ends first."""
        with self._lock:
            peers = [*self._greeting, *self._peers]
        for peer in peers:
            peer.drop("the srvid worker was stopped")
        deadline = time.monotonic() + 5
        while (self._greeting or self._peers) and time.monotonic() < deadline:
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
                peer.drop(message_of(error))
                peer.try_error(peer.cancellation.why, "try again")
            except SrError as error:
                log.info("%s: %s", peer.what, error)
                peer.try_error(*error.as_told(as_argument))
            except MemoryError:
                log.warning("%s: out of memory", peer.what)
                peer.try_error("there is not enough memory for this image", "upscale a part of it at a time")
            except Exception as error:
                log.exception("%s: failed", peer.what)  # our own bug: the client must not wait for ever
                peer.try_error(f"srvid failed: {type(error).__name__}: {error}", "please report this")
        self._forget(peer)

    def _request(self, peer: _Peer) -> dict[str, Any]:
        """Greet, and read the request, both within `GREETING_SECONDS`. Nothing is believed before the token."""
        peer.endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.endpoint.settimeout(GREETING_SECONDS)
        deadline = time.monotonic() + GREETING_SECONDS
        hello = {"program": "srvid", "protocol": client.PROTOCOL, "version": self._version}
        peer.send_json(client.HELLO, hello)
        kind, size = client.FRAME.unpack(peer.read_by(deadline, client.FRAME.size))
        if kind != client.JOB or size > client.MAX_MESSAGE:
            raise BadInput("the client does not speak this protocol")
        try:
            request = check(parse_json(peer.read_by(deadline, size)), dict[str, Any])
            token, protocol = check(request["token"], str), request["protocol"]
        except (ValueError, KeyError) as error:
            raise BadInput("the client's request is not readable") from error
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise BadInput("wrong token", hint="run: srkit plug doctor")
        if protocol != client.PROTOCOL:
            raise BadInput(
                f"the plug-in speaks protocol {protocol}, this worker {client.PROTOCOL}",
                hint="run: srkit plug install (it replaces the plug-in), then restart the program",
            )
        self._welcome(peer)
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
            self._model_cache.borrow(job, report=peer.report, is_gone=peer.cancellation.is_set) as upscaler,
        ):
            for strip in enlarge_job(job, pixels, upscaler, peer.cancellation):
                rows = max(STRIP_BYTES // job.output_row_bytes, 1)
                for top in range(0, len(strip), rows):
                    peer.send(client.ROWS, memoryview(strip[top : top + rows].tobytes()))
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

    def hang_up(self) -> None:
        """End the conversation; the thread that reads from it finds it closed."""
        self.cancellation.set("there were too many connections")
        with suppress(OSError):
            self.endpoint.shutdown(socket.SHUT_RDWR)

    def read_by(self, deadline: float, size: int) -> bytes:
        """`size` bytes, all of them before `deadline` (of `time.monotonic`), however slowly they come.

        Memory is taken as they arrive: a header that promises a megabyte costs nothing.
        """
        data = bytearray()
        while len(data) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Cancelled("the client took too long to say what it wants")
            self.endpoint.settimeout(left)
            piece = self.endpoint.recv(min(size - len(data), _PIECE_BYTES))
            if not piece:
                raise Cancelled("the client closed the connection")
            data += piece
        return bytes(data)

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
