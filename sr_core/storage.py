"""Where srvid keeps files of its own, and how a file gets its name.

Nothing is ever written under its final name: bytes go to a temporary name in the same folder,
reach the disk, and are renamed (`published`). A reader therefore sees the old file, the new file,
or none. Files of srvid's own (temporary ones, locks, journals) are never opened through links, and
never where somebody put a pipe, a device or a folder under their name.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sr_core.errors import Locked, SrError, StorageError

CACHE_VARIABLE = "SRVID_CACHE"  # overrides the folder below
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # opening a pipe that nobody writes into would never return
_MAX_NAME_BYTES = 200  # file systems take 255, and a writer may put an ending of its own behind
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


def find_in_cache(path: Path) -> bytes | None:
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
        log.warning("nothing is kept for later runs: %s; set %s to a writable folder", error.message, CACHE_VARIABLE)


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
    hint = hints.get(error.errno or 0, "write to another folder")
    if path.is_relative_to(cache_path()) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
        hint = f"set {CACHE_VARIABLE} to a writable folder"
    return StorageError(f"{doing} {path}: {error.strerror or error}", hint=hint)


@contextmanager
def published(
    path: Path,
    *,
    part: Path | None = None,
    is_private: bool = False,
    on_complete: Callable[[Path], None] | None = None,
) -> Iterator[Path]:
    """A new, empty file beside `path`, which takes that name once the block ends and all is on the disk.

    Args:
        part: the temporary name, in the same folder; None: one that nobody can guess.
        is_private: True lets only this user read it; otherwise who may is as before, or as for any new file.
        on_complete: gets the temporary path, complete, just before it gets its name.

    Raises:
        StorageError: disk full, no permission; `path` is then as it was, and nothing is left beside it.
    """
    part = part or temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        claim(part, mode=0o600 if is_private else 0o666)
        try:
            yield part
            sync_file(part)
            if not is_private and path.exists():
                shutil.copymode(path, part)
            if on_complete is not None:
                on_complete(part)
            _rename(part, path)
        finally:
            drop(part)
    except SrError:
        raise
    except OSError as error:
        raise storage_error(error, path, "cannot write") from error


def temporary_beside(path: Path) -> Path:
    """A hidden name in the folder of `path` that nobody can guess."""
    stem = path.name if len(os.fsencode(path.name)) < _MAX_NAME_BYTES else "srvid"
    return path.with_name(f".{stem}.{secrets.token_hex(4)}")


def claim(part: Path, *, mode: int = 0o666) -> None:
    """Make `part` a new, empty file: a file or a link of that name is removed, never written through.

    Args:
        mode: who may read and write it, less the umask.

    Raises:
        StorageError: a folder, a pipe or a device has that name, or the folder cannot be written.
    """
    try:
        drop(part)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NO_LINK, mode))
    except OSError as error:
        _refuse_special(part)
        raise storage_error(error, part, "cannot write") from error


def drop(part: Path) -> None:
    """Remove a file or a link of ours; folders, pipes and devices of that name are not ours and stay."""
    try:
        mode = part.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
        part.unlink(missing_ok=True)


def publish(part: Path, path: Path) -> None:
    """Give the finished file `part` the name `path`; both the bytes and the name are on the disk then.

    Raises:
        StorageError: it cannot be renamed; `part` is still there.
    """
    try:
        sync_file(part)
        _rename(part, path)
    except OSError as error:
        raise storage_error(error, path, "cannot rename the finished file to") from error


def _rename(part: Path, path: Path) -> None:
    os.replace(part, path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Force a finished file's bytes to the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Force renames inside `path` to the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes, *, is_private: bool = False) -> None:
    """Write `content` to `path` so that no reader ever sees a part of it; see `published`.

    Raises:
        StorageError: disk full, no permission; `path` is then as it was.
    """
    with published(path, is_private=is_private) as part:
        part.write_bytes(content)


def open_own(path: Path, flags: int) -> int:
    """A descriptor of a file of srvid's own: never through a link, and never of anything but a file.

    Args:
        flags: of `os.open`.

    Raises:
        FileNotFoundError: there is none, and `flags` do not create it.
        StorageError: it is a link, a folder, a pipe or a device, or may not be opened.
    """
    try:
        descriptor = os.open(path, flags | _NO_LINK | _NO_WAIT, 0o666)
    except FileNotFoundError:
        raise
    except OSError as error:
        _refuse_special(path)
        raise storage_error(error, path, "cannot open") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        _refuse_special(path)
        raise StorageError(f"{path} is not a file", hint="remove it")
    return descriptor


def read_own(path: Path) -> bytes | None:
    """The content of a file of srvid's own; None where there is none.

    Raises:
        StorageError: see `open_own`.
    """
    try:
        descriptor = open_own(path, os.O_RDONLY)
        with open(descriptor, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except SrError:
        raise
    except OSError as error:
        raise storage_error(error, path, "cannot read") from error


def _refuse_special(path: Path) -> None:
    """Say what it is that has the name of a file of ours."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISLNK, "link"), (stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "named pipe"))
        kind = next((word for test, word in kinds if test(mode)), "device or socket")
        raise StorageError(f"{path} is a {kind}, where srvid keeps a file of its own", hint="move it elsewhere")


@contextmanager
def file_lock(path: Path, *, timeout_seconds: float | None = None) -> Iterator[None]:
    """Hold an exclusive lock on `path` (created, and left there; never through a link) between processes.

    The system drops the lock when its process dies, so a crash leaves nothing to clean.

    Args:
        timeout_seconds: None waits for ever; 0 tries once.

    Raises:
        Locked: another process held it until the timeout.
        StorageError: there cannot be such a file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
    except SrError:
        raise
    except OSError as error:
        raise storage_error(error, path, "cannot open the lock") from error
    with open(descriptor, "r+b") as file:
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not _try_lock(file.fileno()):
            if deadline is not None and time.monotonic() >= deadline:
                raise Locked(f"{path.name} is locked by another srvid", hint="wait for it to finish, or stop it")
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
