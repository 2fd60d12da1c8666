"""Which files a command line means: files, folders, globs, a list on stdin."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_core.errors import BadInput, SrError
from sr_image.formats.capabilities import ALL_SUFFIXES
from srvid_cli.batch.manifest import MANIFEST_NAME, Manifest

_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")  # such as .tga, and not the .2024 of a folder
VIDEO_SUFFIXES = frozenset(".mp4 .m4v .mkv .mov .webm .avi .ts .m2ts .mpg .mpeg .wmv .flv .3gp .ogv".split())
_OTHER_FILES = VIDEO_SUFFIXES | frozenset(
    ".tga .psd .dds .pdf .svg .ico .pcx .ppm .pgm .pbm .pnm .hdr .jp2 .qoi .raw .dng .zip".split()
)
_GLOB_SIGNS = frozenset("*?[")


@dataclass(frozen=True, kw_only=True)
class Found:
    """One input: the file, and the path below OUT that keeps its place in its folder."""

    path: Path
    place: Path


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A folder that could not be looked into, and why."""

    path: Path
    error: SrError


@dataclass(frozen=True, kw_only=True)
class Collection:
    """All inputs in order; `ignored` counts files in folders whose suffix is no image's."""

    found: tuple[Found, ...]
    ignored: int = 0
    unreadable: tuple[Unreadable, ...] = ()


def check_out(inputs: Sequence[str], out: Path) -> None:
    """Refuse an OUT that can only be a mistake: forgotten, or a file of a kind that is not written.

    Raises:
        BadInput: which, and how to say what was meant; an input that is not there is said first.
    """
    for argument in inputs:
        if argument != "-" and not _GLOB_SIGNS & set(argument):
            _demand_present(argument)
    known = f"endings known: {' '.join(sorted(ALL_SUFFIXES))}; for a folder of that name write {out}/"
    suffix = out.suffix.lower()
    is_single = len(inputs) == 1 and os.path.isfile(inputs[0])
    try:
        if out.is_dir():
            return
        if out.is_file() and not is_single:
            hint = f"srbatch {' '.join(inputs[:2])}{' …' if len(inputs) > 2 else ''} {out} upscaled/"
            raise BadInput(f"{out} is a file, not the folder OUT that comes last: was OUT forgotten?", hint=hint)
        if out.is_file() and suffix not in ALL_SUFFIXES:
            raise BadInput(f"{out} is a file, and not one of a format that is written", hint=known)
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}") from error
    if is_single and Path(inputs[0]).suffix.lower() in VIDEO_SUFFIXES:
        raise BadInput(f"{inputs[0]} is a video", hint=f"srvid {inputs[0]} {Path(inputs[0]).stem}-large.mkv")
    if suffix in ALL_SUFFIXES and not is_single:
        raise BadInput(
            f"{out} is one image, but there may be several inputs", hint=f"give a folder, such as {out.stem}/"
        )
    if suffix not in ALL_SUFFIXES and (suffix in _OTHER_FILES or (is_single and _SUFFIX.fullmatch(out.suffix))):
        raise BadInput(f"cannot write {out.suffix} files", hint=known)


def _demand_present(argument: str) -> None:
    try:
        mode = os.stat(argument).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput(f"no file or folder {argument}", hint="check the path") from error
    except (OSError, ValueError):
        return  # `collect` says what is wrong with it
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise BadInput(f"{argument} is not a regular file", hint="copy it to a file first")


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
    unreadable: list[Unreadable] = []
    for argument in arguments:
        for entry in _expand(argument, listed, Path(os.path.realpath(out))):
            if entry is None:
                ignored += 1
                continue
            if isinstance(entry, Unreadable):
                unreadable.append(entry)
                continue
            real = Path(os.path.realpath(entry.path))
            if real in made:
                skipped += 1
            else:
                found.setdefault(real, entry)
    if not found and not skipped and not unreadable:
        raise BadInput("there are no images to enlarge", hint=f"endings known: {' '.join(sorted(ALL_SUFFIXES))}")
    return Collection(found=tuple(found.values()), ignored=ignored, unreadable=tuple(unreadable))


def _expand(argument: str, listed: Iterable[str], out: Path) -> Iterator[Found | Unreadable | None]:
    if argument == "-":
        for line in listed:
            if name := line.rstrip("\r\n"):
                yield from _of_path(Path(name), out)
    elif _GLOB_SIGNS & set(argument) and not Path(argument).exists():
        matches = sorted(glob.glob(argument, recursive=True))
        root = _find_fixed_part(argument)
        files = [Path(match) for match in matches if Path(match).is_file()]
        if not files:
            raise BadInput(f"nothing matches {argument}", hint="check the pattern; in quotes, srbatch expands it")
        for path in files:
            yield Found(path=path, place=path.relative_to(root))
    else:
        yield from _of_path(Path(argument), out)


def _of_path(path: Path, out: Path) -> Iterator[Found | Unreadable | None]:
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput(f"no file or folder {path}", hint="check the path") from error
    except (OSError, ValueError) as error:  # too long, no permission, a NUL
        raise BadInput(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(mode):
        yield from _walk(path, out)
    else:
        yield Found(path=path, place=Path(path.name))


def _walk(root: Path, out: Path) -> Iterator[Found | Unreadable | None]:
    made: set[Path] = set()  # a journal lies above the outputs it names: it is met before them
    closed: list[Unreadable] = []

    def note(error: OSError) -> None:
        failure = BadInput(f"cannot look into the folder: {error.strerror or error}")
        closed.append(Unreadable(path=Path(error.filename or root), error=failure))

    for folder, folders, files in os.walk(root, onerror=note):
        if MANIFEST_NAME in files:
            try:
                made |= Manifest(Path(folder)).made()
            except SrError as error:
                closed.append(Unreadable(path=Path(folder, MANIFEST_NAME), error=error))
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
    yield from closed


def _find_fixed_part(pattern: str) -> Path:
    """The folder before the first part with a glob sign."""
    parts = Path(pattern).parts
    fixed = []
    for part in parts[:-1]:
        if _GLOB_SIGNS & set(part):
            break
        fixed.append(part)
    return Path(*fixed) if fixed else Path()
