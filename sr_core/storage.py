"""Where srvid keeps files of its own, and how a file gets its name.

Nothing is ever written under its final name: bytes go to a temporary name in the same folder,
reach the disk, and are renamed. A reader therefore sees the old file, the new file, or none.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sr_core.errors import StorageError

CACHE_VARIABLE = "SRVID_CACHE"  # overrides the folder below
log = logging.getLogger(__name__)
_said: set[Path] = set()  # caches whose user was told that nothing can be kept there


def cache_path(*parts: str) -> Path:
    """A place in the cache; nothing is created, and it may be of no use (see `keep_in_cache`).

    `$SRVID_CACHE`, else the platform's user cache folder + 'srvid'.
    """
    if override := os.environ.get(CACHE_VARIABLE):
        root = Path(override)
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "srvid" / "cache"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches" / "srvid"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "srvid"
    return root.joinpath(*parts)


def cache_dir(*parts: str) -> Path:
    """A folder in the cache, created if missing: for what must be kept, such as engines.

    Raises:
        StorageError: it cannot be created.
    """
    folder = cache_path(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder, "cannot create the cache folder") from error
    return folder


def found_in_cache(path: Path) -> bytes | None:
    """What lies there; None where nothing does, or nothing that can be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def keep_in_cache(path: Path, content: bytes) -> None:
    """Write `content` for later runs; where it cannot be written, say so once and go on without."""
    try:
        write_atomically(path, content)
    except StorageError as error:
        say_not_kept(error)


def drop_from_cache(path: Path) -> None:
    """Delete `path` if it is there; what cannot be deleted stays."""
    with suppress(OSError):
        path.unlink()


def say_not_kept(error: StorageError) -> None:
    """Tell the user, once for each cache, that it is of no use: later runs do this work again."""
    root = cache_path()
    if root not in _said:
        _said.add(root)
        log.warning("nothing is kept for later runs: %s; set %s to a writable folder", error, CACHE_VARIABLE)


def storage_error(error: OSError, path: Path, doing: str) -> StorageError:
    """A StorageError that says what failed where, with the hint that fits errno."""
    hints = {
        errno.ENOSPC: "free some space, or write to another disk",
        errno.EDQUOT: "your disk quota is used up: free some space",
        errno.EACCES: "check the folder's permissions",
        errno.EPERM: "check the folder's permissions",
        errno.EROFS: "the file system is read-only: write to another folder",
        errno.ENAMETOOLONG: "choose a shorter name",
    }
    hint = hints.get(error.errno or 0, "")
    if path.is_relative_to(cache_path()) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
        hint = f"set {CACHE_VARIABLE} to a writable folder"
    return StorageError(f"{doing} {path}: {error.strerror or error}", hint=hint)


def sync_file(path: Path) -> None:
    """Force a finished file's bytes to the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes, *, is_private: bool = False) -> None:
    """Write `content` to `path` so that no reader ever sees a part of it.

    Args:
        is_private: True lets only this user read it; otherwise who may is as before, or as for any new file.

    Raises:
        StorageError: disk full, no permission; `path` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    mode = 0o600 if is_private else 0o666  # less the umask
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if path.exists() and not is_private:
                shutil.copymode(path, temporary)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise storage_error(error, path, "cannot write") from error


@contextmanager
def file_lock(path: Path, *, timeout_seconds: float | None = None) -> Iterator[None]:
    """Hold an exclusive lock on `path` (created, and left there) between processes.

    The system drops the lock when its process dies, so a crash leaves nothing to clean.

    Args:
        timeout_seconds: None waits for ever; 0 tries once.

    Raises:
        StorageError: another process held it until the timeout.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    except OSError as error:
        raise storage_error(error, path, "cannot open the lock") from error
    with file:
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not _try_lock(file.fileno()):
            if deadline is not None and time.monotonic() >= deadline:
                raise StorageError(f"{path.name} is locked by another srvid", hint="wait for it to finish, or stop it")
            time.sleep(0.05)
        try:
            yield
        finally:
            _unlock(file.fileno())


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
