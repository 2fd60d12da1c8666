"""Whether IN and OUT are what they should be: asked before anything is opened, IN first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sr_core.errors import BadInput, OutputExists, StorageError
from sr_core.wording import option
from sr_video.native import STDOUT, check_path, is_local, is_remote

if TYPE_CHECKING:
    from sr_video.decide.plan import Request


def check_source(request: Request) -> None:
    """Refuse an input that is not there, and guess where IN and OUT were swapped.

    Raises:
        BadInput, DamagedMedia: missing, a folder, empty, or where the output lies until it is complete.
    """
    source, target = request.source, request.target
    is_missing = is_local(source) and source != "" and not os.path.exists(source)
    if is_missing and (is_remote(target) or (target != STDOUT and os.path.isfile(target))):
        raise BadInput(f"no file {source}, but {target} is there", hint=f"IN comes first: srvid {target} {source}")
    check_path(source)
    if is_local(source) and target not in ("", STDOUT):
        _refuse_own(Path(source), Path(target))


def check_target(request: Request) -> None:
    """Refuse an output that would hurt something, before anything is done.

    Raises:
        BadInput, OutputExists, StorageError: a folder, the input itself, there already, no folder.
    """
    if request.target == STDOUT:
        return
    if is_remote(request.target):
        raise BadInput(f"{request.target} cannot be written: it is a URL", hint="write a file, then upload it")
    path, source = Path(request.target), Path(request.source)
    if os.path.isdir(path):  # not Path's: on Python 3.12 it raises OSError where a name is too long
        raise BadInput(f"{path} is a folder", hint=f"name a file in it: {path / 'out.mp4'}")
    if not path.absolute().parent.is_dir():
        raise StorageError(f"no folder {path.absolute().parent}", hint="create it first")
    if not os.path.exists(path):
        return
    if source.exists() and path.samefile(source):
        raise BadInput("input and output are the same file", hint="write under another name")
    if not path.is_file():
        raise BadInput(f"{path} is not a regular file", hint="write to a file, or to - for a pipe")
    if not request.overwrite:
        raise OutputExists(
            f"{path} exists already", hint=f"{option('overwrite', True)} replaces it once the new one is done"
        )


def part_of(path: Path) -> Path:
    """Where the output `path` lies until it is complete."""
    return path.with_name(path.name + ".part")


def work_folder_of(path: Path) -> Path:
    """Where the segments of the output `path` lie."""
    return path.with_name(path.name + ".srvid")


def _refuse_own(source: Path, target: Path) -> None:
    """Refuse an input that lies where srvid replaces and removes files while it writes `target`: film.mkv.part."""
    for own in (part_of(target), work_folder_of(target)) if target.name else ():
        if os.path.exists(own) and any(own.samefile(place) for place in (source, *source.absolute().parents)):
            raise BadInput(
                f"{source} lies where srvid keeps {target.name} until it is complete: it would be removed",
                hint="rename it, or write under another name",
            )
