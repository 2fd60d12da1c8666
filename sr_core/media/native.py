"""The seam to FFmpeg: absolute paths, its errors as ours, its own last words attached."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import av.logging
from av.rational import AVRational

from sr_core.errors import BadInput, DamagedMedia, SrError, StorageError

STDIN, STDOUT = "pipe:0", "pipe:1"
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
    return path if path in (STDIN, STDOUT) else os.path.abspath(path)


def check_path(path: str) -> None:
    """Say in words what FFmpeg would say of an input that is missing, a folder or empty.

    Raises:
        BadInput, DamagedMedia: it is one of these.
    """
    if path == STDIN:
        return
    if not path:
        raise BadInput("the input has no name", hint="give a video file, or - for a pipe")
    file = Path(path)
    if file.is_dir():
        raise BadInput(f"{path} is a folder", hint="give one video file; srbatch upscales folders of images")
    if not file.exists():
        raise BadInput(f"no file {path}", hint="check the path")
    if file.is_file() and file.stat().st_size == 0:
        raise DamagedMedia(f"{file.name} is empty", hint="was its copying cut short?")


def exact(value: AVRational) -> Fraction:
    """FFmpeg's rational as Python's; 0 where it is not set (its 0/1 is falsy, never None)."""
    return Fraction(value.numerator, value.denominator or 1)


def last_words(error: BaseException) -> str:
    """FFmpeg's own text for `error`, with its last log line where it left one."""
    if isinstance(error, av.error.EOFError):
        return "the file ends before its first frame"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    log = getattr(error, "log", None)
    return f"{text} ({log[1]}: {log[2].strip()})" if log else str(text)


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
        if isinstance(error, BrokenPipeError) or code == errno.EPIPE:
            raise StorageError("the reader of our output went away", hint="is its program running?") from error
        if code in _STORAGE_ERRNO:
            hint = _STORAGE_HINT.get(code, "")
            raise StorageError(f"cannot write {path.name}: {last_words(error)}", hint=hint) from error
        raise BadInput(f"cannot write {path.name}: {last_words(error)}") from error


@contextmanager
def scheduled_as_before() -> Iterator[None]:
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


@contextmanager
def logged() -> Iterator[None]:
    """Let errors raised inside carry FFmpeg's log line.

    Only around short calls with no decoder threads at work: FFmpeg's threads would need the
    interpreter's lock to log, and a codec being closed waits for its threads.
    """
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False):
            yield
    finally:
        av.logging.set_level(before)
