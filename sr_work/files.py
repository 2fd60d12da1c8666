"""Files that go to nodes and come back, in blocks through Ray's object store."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from sr_core.errors import BadInput, StorageError
from sr_core.file_stamp import FileStamp, stamp_of
from sr_core.storage import file_lock
from sr_work.work import Read, blocks_of

BLOCK_BYTES = 16 << 20  # of a object refs; Ray moves larger objects to disk one by one
_FOLDER_PREFIX = "srvid-worker-"

ObjectRefs = list[Any]  # references to blocks in the object store of the node that made them


class FileServer:
    """Actor: reads files for nodes that do not see them. The operating system caches."""

    def read(self, path: str, stamp: FileStamp, offset: int, size: int) -> bytes:
        """Part of the file at `path`, as long as it is the one that `stamp` was taken of."""
        if stamp_of(path) != stamp:
            raise BadInput(f"{path} was changed while it was being upscaled", hint="restore it, or begin anew")
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)


def remote_reader(path: str, stamp: FileStamp, file_server: Any) -> Read | None:
    """How this node reads the coordinator's `path`; None where it sees the same file itself."""
    try:
        if stamp_of(path) == stamp:
            return None
    except BadInput:
        pass  # no such file here: it comes over Ray
    import ray

    from sr_work.connect import get_result

    def read(offset: int, size: int) -> bytes:
        return bytes(get_result(ray, file_server.read.remote(path, stamp, offset, size)))

    return read


def pack_file(path: Path) -> ObjectRefs:
    """The file's content, put where the coordinator can fetch it; the file is removed."""
    import ray

    blocks = [ray.put(block) for block in blocks_of(path, BLOCK_BYTES)]
    path.unlink()
    return blocks


def unpack_file(ray: Any, object_refs: ObjectRefs) -> Iterator[bytes]:
    """The content of a object refs; each block is freed behind us."""
    while object_refs:
        yield ray.get(object_refs.pop(0))


def worker_folder(stack: ExitStack) -> Path:
    """A folder of this worker's own, removed when `stack` is closed.

    Workers may be killed: folders that dead ones left are removed as well.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        if not _is_our_folder(old):
            continue
        with suppress(StorageError), file_lock(old / "lock", timeout_seconds=0):
            shutil.rmtree(old, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
        with suppress(StorageError):  # another worker took it for a dead one's, and removes it
            stack.enter_context(file_lock(folder / "lock", timeout_seconds=0))
            if (folder / "lock").exists():
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                return folder


def _is_our_folder(path: Path) -> bool:
    """A real folder of this user: others may put links of such a name into a folder that all may write."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and (sys.platform == "win32" or status.st_uid == os.geteuid())
