"""Which files a command line means: files, folders, globs, a list on stdin."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sr_core.errors import BadInput
from sr_core.image.formats import ALL_SUFFIXES
from srvid_cli.batch.manifest import MANIFEST_NAME, Manifest

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


def collect(
    arguments: Iterable[str], out: Path, *, listed: Iterable[str] = (), made: frozenset[Path] = frozenset()
) -> Collection:
    """Resolve `arguments` (a '-' stands for the paths `listed` on stdin).

    Folders are walked recursively without following links to folders. What earlier runs wrote is
    not an input again: an `out` inside a walked folder is left out, and so are `made` and what the
    journals of other runs met on the way name. A file named twice counts once.

    Args:
        made: outputs of earlier runs, as real paths.

    Raises:
        BadInput: a path that does not exist, a glob that matches nothing, no image at all.
    """
    found: dict[Path, Found] = {}
    ignored, skipped = 0, 0
    for argument in arguments:
        for entry in _expanded(argument, listed, Path(os.path.realpath(out))):
            if entry is None:
                ignored += 1
                continue
            real = Path(os.path.realpath(entry.path))
            if real in made:
                skipped += 1
            else:
                found.setdefault(real, entry)
    if not found and not skipped:
        raise BadInput("there are no images to enlarge", hint=f"endings known: {' '.join(sorted(ALL_SUFFIXES))}")
    return Collection(found=tuple(found.values()), ignored=ignored)


def _expanded(argument: str, listed: Iterable[str], out: Path) -> Iterator[Found | None]:
    if argument == "-":
        for line in listed:
            if name := line.rstrip("\r\n"):
                yield from _of_path(Path(name), out)
    elif _GLOB_SIGNS & set(argument) and not Path(argument).exists():
        matches = sorted(glob.glob(argument, recursive=True))
        root = _fixed_part(argument)
        files = [Path(match) for match in matches if Path(match).is_file()]
        if not files:
            raise BadInput(f"nothing matches {argument}")
        for path in files:
            yield Found(path=path, place=path.relative_to(root))
    else:
        yield from _of_path(Path(argument), out)


def _of_path(path: Path, out: Path) -> Iterator[Found | None]:
    if path.is_dir():
        yield from _walk(path, out)
    elif path.exists():
        yield Found(path=path, place=Path(path.name))
    else:
        raise BadInput(f"no file or folder {path}")


def _walk(root: Path, out: Path) -> Iterator[Found | None]:
    made: set[Path] = set()  # a journal lies above the outputs it names: it is met before them
    for folder, folders, files in os.walk(root):
        if MANIFEST_NAME in files:
            made |= Manifest(Path(folder)).made()
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and Path(os.path.realpath(folder), name) != out
        )
        for name in sorted(files):
            path = Path(folder, name)
            if name.startswith(".") or (made and Path(os.path.realpath(path)) in made):
                continue
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
