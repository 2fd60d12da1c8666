"""The client of `srkit serve`: this one file, standard library only, is copied into every host plug-in.

    hello ◄── job ──► accepted ◄── rows ──► … ──► progress, rows ◄── … done ◄──      (see PROTOCOL.md)

It starts the worker where it may (the command is in `launch.json` beside this file, written by
`srkit plug install`), says "run srkit serve" where a sandbox forbids that, and never blocks for
longer than a tenth of a second without asking whether the user has cancelled. Closing the socket
is the cancel. Runs on Python 3.8 and later: hosts bring their own interpreter.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from fractions import Fraction
from typing import Any, Callable, Dict, Iterable, Iterator

DEFAULT_MODEL = "clear"  # srvid's own, for hosts that import nothing but this file
PROTOCOL = 1
FRAME = struct.Struct("<cQ")  # kind, bytes that follow
HELLO, JOB, ACCEPTED, ROWS, PROGRESS, DONE, ERROR = b"H", b"J", b"A", b"R", b"P", b"D", b"E"
MAX_MESSAGE = 1 << 20  # bytes of a frame that is JSON
BYTES_PER_SAMPLE = {"u8": 1, "u16": 2, "f16": 2, "f32": 4}

POLL_SECONDS = 0.1  # how often the host is asked whether the user has cancelled
HELLO_SECONDS = 5.0  # a port that says nothing for so long is not our worker
START_SECONDS = 60.0  # a cold disk, a virus scanner
ALREADY_RUNNING = 75  # how `srkit serve` ends where another worker has the file ("try again", of sysexits.h)
# what a host sets for its own libraries; another Python started with them does not start
FOREIGN_VARIABLES = (
    "PYTHONPATH PYTHONHOME PYTHONNOUSERSITE LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH QT_PLUGIN_PATH "
    "QT_QPA_PLATFORM_PLUGIN_PATH GI_TYPELIB_PATH GIO_MODULE_DIR GDK_PIXBUF_MODULE_FILE APPDIR APPIMAGE"
).split()

Request = Dict[str, Any]
Progress = Callable[[str, float], None]
Cancelled = Callable[[], bool]
PutRows = Callable[[int, int, bytearray], None]
_STARTED: list[subprocess.Popen[Any]] = []  # workers outlive this program; Popen complains when one is collected


# The only exceptions outside sr_core.errors: this file runs where srvid is not installed.
class WorkerError(Exception):
    """What the worker, or the way to it, reports; `hint` is the one thing to try next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        text = str(self.args[0])
        return f"{text}\n\n{self.hint}" if self.hint else text


class JobCancelled(Exception):
    """The host said so; the worker drops the job because the socket is closed."""


def upscale(
    job: Request,
    rows_in: Iterable[bytes],
    rows_out: PutRows,
    *,
    progress: Progress = lambda phase, share: None,
    cancelled: Cancelled = lambda: False,
    start: bool = True,
) -> Request:
    """Send rows, hand over the larger rows as they come, and return what the worker says at the end.

    Args:
        job: fields of an `upscale` request (PROTOCOL.md), without `protocol` and `token`.
        rows_in: all rows, top to bottom, in pieces of whole samples; bytes, bytearray or memoryview.
        rows_out: called as (first row, number of rows, their bytes), top to bottom.
        progress: called as (phase, share done 0..1).
        cancelled: asked about ten times a second.
        start: start the worker if none runs.

    Raises:
        WorkerError: with a hint; `rows_out` may have been called before.
        JobCancelled: `cancelled` answered True.
    """
    with Connection(dict(job, do="upscale"), cancelled=cancelled, start=start) as (link, accepted):
        progress("sending", 0.0)
        for piece in rows_in:
            link.send_frame(ROWS, piece)
        row_bytes, height, y = int(accepted["row_bytes"]), int(accepted["height"]), 0
        for kind, payload in link.frames():
            if kind == ROWS:
                count = len(payload) // row_bytes
                rows_out(y, count, payload)
                y += count
                progress("upscaling", y / height)
            elif kind == PROGRESS:
                said = json.loads(bytes(payload))
                progress(str(said["phase"]), float(said["share"]))
            elif kind == DONE:
                if y != height:
                    raise WorkerError(f"the worker sent {y} of {height} rows", "try again")
                done: Request = json.loads(bytes(payload))
                return done
        raise AssertionError("frames() ends by an exception")


def ask(what: str, *, start: bool = True) -> Request:
    """The answer to a request without pixels: 'status' or 'stop'.

    Raises:
        WorkerError: no worker, and none could be started.
    """
    with Connection({"do": what}, cancelled=lambda: False, start=start) as (_, accepted):
        return accepted


class Link:
    """A connected socket that talks in frames and asks `cancelled` while it waits."""

    def __init__(self, endpoint: socket.socket, cancelled: Cancelled) -> None:
        self._socket, self._cancelled = endpoint, cancelled
        endpoint.settimeout(POLL_SECONDS)
        endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send_frame(self, kind: bytes, payload: bytes) -> None:
        """Send one frame; never longer than `POLL_SECONDS` without asking."""
        self._send(memoryview(FRAME.pack(kind, len(payload))))
        self._send(memoryview(payload).cast("B"))

    def frames(self) -> Iterator[tuple[bytes, bytearray]]:
        """Yield frames as they come. An error frame is raised; so is a worker that goes away."""
        while True:
            kind, size = FRAME.unpack(self._receive(FRAME.size))
            payload = self._receive(size)
            if kind == ERROR:
                said = json.loads(bytes(payload))
                raise WorkerError(str(said["message"]), str(said.get("hint", "")))
            yield kind, payload

    def expect(self, kind: bytes) -> Request:
        """The JSON of the next frame, which must be of `kind`."""
        found, payload = next(self.frames())
        if found != kind:
            raise WorkerError(f"the worker answered {found!r} instead of {kind!r}", "srkit plug doctor")
        said: Request = json.loads(bytes(payload))
        return said

    def _send(self, view: memoryview) -> None:
        while view:
            self._ask()
            try:
                view = view[self._socket.send(view) :]
            except socket.timeout:  # not TimeoutError before Python 3.10
                continue
            except OSError as error:
                raise self._gone() from error

    def _receive(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            self._ask()
            try:
                count = self._socket.recv_into(view, min(len(view), 1 << 20))
            except socket.timeout:
                continue
            except OSError as error:
                raise self._gone() from error
            if not count:
                raise self._gone()
            view = view[count:]
        return data

    def _ask(self) -> None:
        if self._cancelled():
            raise JobCancelled

    @staticmethod
    def _gone() -> WorkerError:
        return WorkerError("the srvid worker stopped in the middle of the job", f"its log is {log_path()}")


class Connection:
    """`with Connection(request) as (link, accepted)`: a request that the worker has accepted."""

    def __init__(self, request: Request, *, cancelled: Cancelled, start: bool) -> None:
        self._request, self._cancelled, self._start = request, cancelled, start
        self._socket: socket.socket | None = None

    def __enter__(self) -> tuple[Link, Request]:
        self._socket, token, hello = _connect(self._cancelled, self._start)
        try:
            if hello["protocol"] != PROTOCOL:
                raise WorkerError(
                    f"this plug-in speaks protocol {PROTOCOL}, the worker of srvid {hello['version']} "
                    f"speaks {hello['protocol']}",
                    "run: srkit plug install (it replaces the plug-in), then restart this program",
                )
            link = Link(self._socket, self._cancelled)
            request = dict(self._request, protocol=PROTOCOL, token=token)
            link.send_frame(JOB, json.dumps(request).encode())
            return link, link.expect(ACCEPTED)
        except BaseException:
            self._socket.close()
            raise

    def __exit__(self, *error: object) -> None:
        if self._socket is not None:
            self._socket.close()  # in the middle of a job this is the cancel


def scaled(side: int, scale: float) -> int:
    """A side of the result in pixels, as the worker makes it: halves up."""
    return max(1, int(side * Fraction(str(scale)) + Fraction(1, 2)))  # 1.005 is 201/200, and no float is


def worker_file() -> str:
    """Where the worker says its port and token: `$SRVID_WORKER_FILE`, or in srvid's cache folder."""
    named = os.environ.get("SRVID_WORKER_FILE") or launch_facts().get("worker_file")
    return str(named or default_worker_file())


def default_worker_file() -> str:
    """`worker.json` in the folder that `sr_core.storage.cache_dir` names, without importing it."""
    home = os.path.expanduser("~")
    if os.environ.get("SRVID_CACHE"):
        folder = os.environ["SRVID_CACHE"]
    elif sys.platform == "win32":
        folder = os.path.join(os.environ.get("LOCALAPPDATA", os.path.join(home, "AppData", "Local")), "srvid", "cache")
    elif sys.platform == "darwin":
        folder = os.path.join(home, "Library", "Caches", "srvid")
    else:
        folder = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"), "srvid")
    return os.path.join(folder, "worker.json")


def log_path() -> str:
    """What a worker started by a plug-in prints."""
    return os.path.splitext(worker_file())[0] + ".log"


def launch_facts() -> Request:
    """`launch.json` beside this file, written by `srkit plug install`: command, worker_file, library, models; or {}."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launch.json")
    try:
        with open(path, encoding="utf-8") as file:
            facts: Request = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}  # not installed by `srkit plug install`: the worker is started by hand
    return facts if isinstance(facts, dict) else {}


def model_names() -> list[str]:
    """The models that srvid had when the plug-in was installed, and those that were imported since."""
    facts = launch_facts()
    listed = [str(name) for name in facts.get("models") or [DEFAULT_MODEL]]
    try:
        files = sorted(os.listdir(str(facts["library"])))
    except (OSError, KeyError):
        files = []  # nothing was imported, or a sandbox hides the folder
    kept = [re.sub(r"-x\d+$", "", name[: -len(".onnx")]) for name in files if name.endswith(".onnx")]
    return list(dict.fromkeys([*listed, *kept]))


def is_sandboxed() -> bool:
    """Whether this program may not start programs of the system."""
    return os.path.exists("/.flatpak-info") or "SNAP" in os.environ


def _connect(cancelled: Cancelled, start: bool) -> tuple[socket.socket, str, Request]:
    """(socket, token, hello) of a running worker, started if need be."""
    found = _try_connect()
    if found:
        return found
    command = launch_facts().get("command", [])
    if not isinstance(command, list) or not all(isinstance(part, str) for part in command):
        raise WorkerError("launch.json, which says how to start srvid, is damaged", "run: srkit plug install")
    if not start or not command or is_sandboxed():
        raise WorkerError("the srvid worker is not running", "run in a terminal: srkit serve")
    process = _started(command)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if cancelled():
            raise JobCancelled
        found = _try_connect()
        if found:
            return found
        ended = process.poll()
        if ended == ALREADY_RUNNING:  # that one is about to answer, or to end and make room
            time.sleep(0.2)
            found = _try_connect()
            if found:
                return found
            process = _started(command)
        elif ended not in (None, 0):
            raise WorkerError(f"the srvid worker did not start: {_end_of_log()}", "run: srkit plug doctor")
        time.sleep(0.05)
    raise WorkerError(f"the srvid worker did not answer: {_end_of_log()}", "run: srkit plug doctor")


def _try_connect() -> tuple[socket.socket, str, Request] | None:
    try:
        with open(worker_file(), encoding="utf-8") as file:
            facts = json.load(file)
        port, token = facts["port"], facts["token"]
        if not isinstance(port, int) or not isinstance(token, str):
            return None
        endpoint = socket.create_connection(("127.0.0.1", port), timeout=HELLO_SECONDS)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None  # no worker, or the file of one that was killed, or a damaged one
    try:
        kind, size = FRAME.unpack(_exactly(endpoint, FRAME.size))
        if kind == HELLO and size <= MAX_MESSAGE:
            hello = json.loads(_exactly(endpoint, size))
            if isinstance(hello, dict) and hello.get("program") == "srvid":
                return endpoint, token, hello
    except (OSError, ValueError, RecursionError):
        endpoint.close()
        return None  # another program has the port now
    endpoint.close()
    return None


def _exactly(endpoint: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = endpoint.recv(size - len(data))
        if not piece:
            raise OSError("closed")
        data += piece
    return data


def _started(command: list[str]) -> subprocess.Popen[Any]:
    """Start the worker so that it outlives this program and inherits nothing of it."""
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    environment["SRVID_WORKER_FILE"] = worker_file()
    environment["PYTHONSAFEPATH"] = "1"  # nothing of the folder that the host happens to be in is imported
    options: Request = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    try:
        os.makedirs(os.path.dirname(worker_file()), exist_ok=True)
        with open(log_path(), "ab") as log:
            process: subprocess.Popen[Any] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, **options
            )
            _STARTED.append(process)
            return process
    except OSError as error:
        raise WorkerError(
            f"cannot start the srvid worker ({command[0]}): {error}",
            "was srvid moved or removed? run: srkit plug install",
        ) from error


def _end_of_log() -> str:
    try:
        with open(log_path(), "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - 800, 0))
            return file.read().decode("utf-8", "replace").strip() or "it printed nothing"
    except OSError:
        return "it left no log"
