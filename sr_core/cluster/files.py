"""Files that go to nodes and come back, in blocks through Ray's object store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from sr_core.errors import BadInput, StorageError
from sr_core.file_stamp import FileStamp, stamp_of
from sr_core.storage import file_lock

BLOCK_BYTES = 16 << 20  # of a parcel; Ray moves larger objects to disk one by one
_FOLDER_PREFIX = "srvid-worker-"

Read = Callable[[int, int], bytes]  # (offset, size)
Parcel = list[Any]  # references to blocks in the object store of the node that made them


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

    from sr_core.cluster.connect import got

    def read(offset: int, size: int) -> bytes:
        return bytes(got(ray, file_server.read.remote(path, stamp, offset, size)))

    return read


def packed(path: Path) -> Parcel:
    """The file's content, put where the coordinator can fetch it; the file is removed."""
    import ray

    with path.open("rb") as file:
        blocks = [ray.put(block) for block in iter(lambda: file.read(BLOCK_BYTES), b"")]
    path.unlink()
    return blocks


def unpacked(ray: Any, parcel: Parcel) -> Iterator[bytes]:
    """The content of a parcel; each block is freed behind us."""
    while parcel:
        yield ray.get(parcel.pop(0))


def worker_folder(stack: ExitStack) -> Path:
    """A folder of this worker's own, removed when `stack` is closed.

    Workers may be killed: folders that dead ones left are removed as well.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        with suppress(StorageError), file_lock(old / "lock", timeout_seconds=0):
            shutil.rmtree(old, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
        with suppress(StorageError):  # another worker took it for a dead one's, and removes it
            stack.enter_context(file_lock(folder / "lock", timeout_seconds=0))
            if (folder / "lock").exists():
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                return folder
