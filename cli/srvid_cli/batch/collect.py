"""Which files a command line means: files, folders, globs, a list on stdin."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sr_core.errors import BadInput
from sr_core.image.formats import ALL_SUFFIXES

_GLOB_SIGNS = frozenset("*?[")


@dataclass(frozen=True, kw_only=True)
class Found:
    """One input: the file, and the path below OUT that keeps its place in its folder."""

    path: Path
    place: Path


@dataclass(frozen=True, kw_only=True)
class Collection:
    """All inputs in order; `ignored` counts files in folders whose suffix is no image's."""

    found: tuple[Found, ...]
    ignored: int = 0


def collect(arguments: Iterable[str], out: Path, *, listed: Iterable[str] = ()) -> Collection:
    """Resolve `arguments` (a '-' stands for the paths `listed` on stdin).

    Folders are walked recursively without following links to folders; what lies in `out` is left
    out, so that `srbatch . ./upscaled` can be repeated. A file named twice counts once.

    Raises:
        BadInput: a path that does not exist, a glob that matches nothing.
    """
    found: dict[Path, Found] = {}
    ignored = 0
    for argument in arguments:
        for entry in _expanded(argument, listed):
            if entry is None:
                ignored += 1
                continue
            real = Path(os.path.realpath(entry.path))
            if not real.is_relative_to(os.path.realpath(out)) or not out.is_dir():
                found.setdefault(real, entry)
    return Collection(found=tuple(found.values()), ignored=ignored)


def _expanded(argument: str, listed: Iterable[str]) -> Iterator[Found | None]:
    if argument == "-":
        for line in listed:
            if name := line.rstrip("\r\n"):
                yield from _of_path(Path(name))
    elif _GLOB_SIGNS & set(argument) and not Path(argument).exists():
        matches = sorted(glob.glob(argument, recursive=True))
        root = _fixed_part(argument)
        files = [Path(match) for match in matches if Path(match).is_file()]
        if not files:
            raise BadInput(f"nothing matches {argument}")
        for path in files:
            yield Found(path=path, place=path.relative_to(root))
    else:
        yield from _of_path(Path(argument))


def _of_path(path: Path) -> Iterator[Found | None]:
    if path.is_dir():
        yield from _walk(path)
    elif path.exists():
        yield Found(path=path, place=Path(path.name))
    else:
        raise BadInput(f"no file or folder {path}")


def _walk(root: Path) -> Iterator[Found | None]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith("."):
                continue
            path = Path(folder, name)
            if path.suffix.lower() in ALL_SUFFIXES:
                yield Found(path=path, place=path.relative_to(root))
            else:
                yield None


def _fixed_part(pattern: str) -> Path:
    """The folder before the first part with a glob sign."""
    parts = Path(pattern).parts
    fixed = []
    for part in parts[:-1]:
        if _GLOB_SIGNS & set(part):
            break
        fixed.append(part)
    return Path(*fixed) if fixed else Path()
