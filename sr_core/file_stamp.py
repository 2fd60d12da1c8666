"""What tells, without reading a file, that it is still the same."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sr_core.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class FileStamp:
    """What is quick to ask of a file, and changes when it is replaced or written."""

    bytes: int
    mtime_ns: int


def stamp_of(path: str) -> FileStamp:
    """The stamp of the file at `path`.

    Raises:
        BadInput: it is not there any more.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", hint="was it moved?") from error
    return FileStamp(bytes=status.st_size, mtime_ns=status.st_mtime_ns)


def refuse_changed(path: str, before: FileStamp, *, hint: str) -> None:
    """Refuse what was made of the file at `path` where it is not the one any more that `before` was taken of.

    Raises:
        BadInput: another program has written, replaced or removed it.
    """
    if stamp_of(path) != before:
        raise BadInput(f"{os.path.basename(path)} was changed while it was being upscaled", hint=hint)
