"""Paths for libraries that take UTF-8 only; file names on POSIX may be any bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """`path` as it is, or a link to it while its name is not UTF-8. The file need not exist yet."""
    if _is_utf8(str(path)):
        yield str(path)
        return
    with TemporaryDirectory(prefix="srvid-") as folder:
        link = Path(folder, f"image{path.suffix if _is_utf8(path.suffix) else ''}")
        link.symlink_to(path.absolute())
        yield str(link)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that did not decode stand in the text as lone surrogates
        return False
    return True
