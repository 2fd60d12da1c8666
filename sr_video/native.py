"""The seam to FFmpeg: absolute paths, its errors as ours, its own last words attached."""

from __future__ import annotations

import errno
import os
import re
import shlex
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import av
import av.logging
from av.container import InputContainer
from av.rational import AVRational
from av.video.stream import VideoStream

from sr_core.errors import BadInput, DamagedMedia, SrError, StorageError

STDIN, STDOUT = "pipe:0", "pipe:1"
REMOTE_PROTOCOLS = ("https", "http")
# What FFmpeg may open while it reads a URL. No "file": a playlist from afar must not name files of this machine.
_REMOTE_OPTIONS = {"protocol_whitelist": "https,http,tls,tcp,httpproxy,crypto,data"}
_ADDRESS = re.compile("0x[0-9a-fA-F]{3,}")  # a log line that counts bytes of the file tells people nothing
_LOGGED = threading.RLock()
_LET_GO_SECONDS = 0.005  # for threads that are about to log
_QUIET = -8  # AV_LOG_QUIET of FFmpeg's libavutil/log.h
_OWN_DESCRIPTORS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
_STORAGE_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
_STORAGE_HINT = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "your disk quota is used up: free some space",
    errno.EFBIG: "the file may not grow further: write to another disk, or raise the file size limit",
    errno.EROFS: "the file system is read-only: write to another folder",
    errno.EACCES: "check the folder's permissions",
    errno.EPERM: "check the folder's permissions",
}


def native_path(path: str) -> str:
    """What FFmpeg may be given for `path`.

    Always absolute: it would read 'a:b.mp4' as a protocol. '-' and 'pipe:' are left to pipes.
    """
    return path if path in (STDIN, STDOUT) or is_remote(path) else os.path.abspath(path)


def is_remote(path: str) -> bool:
    """`path` is a URL that is read over the network."""
    protocol, separator, _ = path.partition("://")
    return bool(separator) and protocol.lower() in REMOTE_PROTOCOLS


def is_local(path: str) -> bool:
    """`path` is a file of this machine: it can be read twice, from anywhere, and has a size."""
    return path != STDIN and not is_remote(path)


def open_options(path: str) -> dict[str, str]:
    """What FFmpeg must be told to open `path` safely."""
    return dict(_REMOTE_OPTIONS) if is_remote(path) else {}


def name_of(path: str) -> str:
    """What people call `path`: a file's name, the last part of a URL."""
    if path == STDIN:
        return "standard input"
    return Path(urlsplit(path).path).name or path if is_remote(path) else Path(path).name


def check_path(path: str) -> None:
    """Say in words what FFmpeg would say of an input that is missing, a folder or empty.

    Raises:
        BadInput, DamagedMedia: it is one of these.
    """
    if not is_local(path):
        return
    if not path:
        raise BadInput("the input has no name", hint="give a video file, a URL, or - for a pipe")
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
        raise BadInput(f"{path} is a pipe, which can be read only once", hint=_hint_for_pipe(path))
    if file.is_dir():
        raise BadInput(f"{path} is a folder", hint="give one video file; srbatch upscales folders of images")
    if not file.exists():
        is_other_url = "://" in path
        known = f"URLs are read by {' and '.join(REMOTE_PROTOCOLS)}: download it first"
        raise BadInput(f"no file {path}", hint=known if is_other_url else "check the path")
    if file.is_file() and file.stat().st_size == 0:
        raise DamagedMedia(f"{file.name} is empty", hint="was its copying cut short?")


def _hint_for_pipe(path: str) -> str:
    """The shell's own `<(COMMAND)` has a name that means nothing behind `<`."""
    is_of_shell = path.startswith(_OWN_DESCRIPTORS)
    return "COMMAND | srvid - OUT" if is_of_shell else f"give - and lead it there: srvid - OUT < {shlex.quote(path)}"


def exact(value: AVRational) -> Fraction:
    """FFmpeg's rational as Python's; 0 where it is not set (its 0/1 is falsy, never None)."""
    return Fraction(value.numerator, value.denominator or 1)


def last_words(error: BaseException) -> str:
    """FFmpeg's own text for `error`, with its last log line where it left one."""
    if isinstance(error, av.error.EOFError):
        return "the file ends before its first frame"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    log = getattr(error, "log", None)
    return f"{text} ({log[1]}: {log[2].strip()})" if log and not _ADDRESS.search(log[2]) else str(text)


@contextmanager
def reading(doing: str, *, kind: type[SrError] = BadInput, hint: str = "") -> Iterator[None]:
    """Turn FFmpeg's errors inside the block into `kind`, saying what was being done."""
    try:
        yield
    except (av.FFmpegError, UnicodeError) as error:
        raise kind(f"{doing}: {last_words(error)}", hint=hint) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn FFmpeg's errors while writing `path` into StorageError or BadInput."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        code = error.errno or 0
        name = "standard output" if path.name == STDOUT else path.name
        if isinstance(error, BrokenPipeError) or code == errno.EPIPE:
            raise StorageError("the reader of our output went away", hint="is its program running?") from error
        if code in _STORAGE_ERRNO:
            hint = _STORAGE_HINT.get(code, "")
            raise StorageError(f"cannot write {name}: {last_words(error)}", hint=hint) from error
        raise BadInput(f"cannot write {name}: {last_words(error)}") from error


@contextmanager
def keep_scheduling() -> Iterator[None]:
    """Undo what encoders do to the scheduling of threads while they are opened.

    SVT-AV1 opened by root (in containers, mostly) makes its caller and its own threads real-time, SCHED_FIFO 99:
    they, and every process started later, would stop all else on the machine.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            for thread in Path("/proc/self/task").iterdir():
                with suppress(ProcessLookupError):  # it has just ended
                    os.sched_setscheduler(int(thread.name), policy, parameters)


def close_input(container: InputContainer, stream: VideoStream | None) -> None:
    """Close a container whose `stream` was decoded with FFmpeg's own threads.

    PyAV frees a decoder with the interpreter's lock in its hand. A thread of that decoder which is still at work, and
    logs while any other thread of ours is in `logged`, waits for the lock: neither goes on, nor does anything else
    of Python. So the threads are waited for first, without the lock.
    """
    if stream is not None and stream.codec_context is not None:
        stream.codec_context.flush_buffers()
    container.close()


@contextmanager
def logged() -> Iterator[None]:
    """Let errors raised inside carry FFmpeg's log line.

    Only around short calls: meanwhile every thread of FFmpeg in this process, whatever it decodes, takes the
    interpreter's lock to log (PyAV 19: even for what no level lets through). See `close_input`.
    """
    with _LOGGED:  # the level is the process's: two at a time would leave each other's behind
        before = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.logging.Capture(local=False):
                yield
        finally:
            if before in (None, av.logging.PANIC):
                _be_silent()
            else:
                av.logging.set_level(before)
            time.sleep(_LET_GO_SECONDS)


def _be_silent() -> None:
    """Let no thread of FFmpeg's ask for Python's lock: who frees its decoder holds it, and waits for the thread.

    PyAV 19 does so itself, with level None, but a thread that was about to log would compare its level with None.
    """
    av.logging.set_level(av.logging.PANIC)
    av.logging.set_libav_level(_QUIET)
    av.logging.restore_default_callback()
