"""The rule for every file that a command writes where the user says.

Never over an input, not even with --overwrite; over another file only with it; and what the name ends in
is what is written.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from sr_core.errors import BadInput, OutputExists
from sr_core.wording import option


def check_output(
    path: Path, *, inputs: Iterable[Path] = (), overwrite: bool = False, endings: Collection[str] = ()
) -> None:
    """Refuse, before any work, an output that must not be written.

    Args:
        inputs: files the command reads.
        endings: those that can be written, with their dots; none = any.

    Raises:
        BadInput: a folder, an ending that cannot be written, an input.
        OutputExists: something else is there and `overwrite` is False.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder", hint="give the name of a file in it")
    refuse_irregular(path)
    if endings and path.suffix.lower() not in endings:
        what = f"cannot write {path.suffix} files" if path.suffix else f"{path} has no ending, which says what to write"
        raise BadInput(what, hint=f"endings known: {' '.join(sorted(endings))}")
    if any(is_same_file(path, given) for given in inputs):
        raise BadInput(f"{path} is an input, it would be replaced", hint="give another name")
    if os.path.lexists(path) and not overwrite:
        raise OutputExists(f"{path} is already there", hint=f"give another name, or {option('overwrite', True)}")


def refuse_irregular(path: Path) -> None:
    """Refuse a pipe, a device or a socket in the place of an output: writing would replace it by a file.

    Raises:
        BadInput: it is one.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise BadInput(f"{path} is not a regular file", hint="give another name")


def is_same_file(one: Path, other: Path) -> bool:
    """Whether both names lead to one file, through links of any kind."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
