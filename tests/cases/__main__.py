"""`python -m tests.cases`: run the rows, each in a copy of its folder and a forked child."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shlex
import shutil
import tempfile
import time
from pathlib import Path

from PIL import Image

from tests.cases.rows import ROWS, Row
from tests.fuzz.__main__ import import_everything
from tests.fuzz.cases import command_of
from tests.fuzz.outcomes import outcome_of
from tests.fuzz.sandbox import Ended, start

CAP_VERSION, MAY_READ_ALL = 0x20080522, 0b110  # linux/capability.h: version 3; DAC_OVERRIDE, DAC_READ_SEARCH
POLL_SECONDS = 0.005


def run_row(row: Row, source: Path, place: Path) -> dict[str, object]:
    """How the commands of one row ended, as a JSON object."""
    folder = place / "at"
    shutil.copytree(source, folder, symlinks=True, copy_function=shutil.copyfile)
    for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        each.chmod(0o755)  # the cases themselves are not to be written
    for name, kind in row.before.items():
        _make(folder / name, kind)
    before = {name: (folder / name).read_bytes() for name in row.untouched}
    endings, said = [], ""
    for number, words in enumerate(row.commands):
        notes = place / str(number)
        notes.mkdir()
        ended = _ended(shlex.split(words), folder, notes, place, is_locked="locked" in row.before.values())
        said += ended.said.decode("utf-8", "replace")
        endings.append({"outcome": outcome_of(ended, []), "code": ended.code, "words": words})
    return {
        "endings": endings,
        "said": said,
        "changed": [name for name, content in before.items() if _bytes(folder / name) != content],
        "missing": [name for name in row.made if not (folder / name).exists()],
        "parts": sorted(path.name for path in folder.rglob("*.part") if path.is_file() and path.name not in row.before),
    }


def _ended(words: list[str], folder: Path, notes: Path, place: Path, *, is_locked: bool) -> Ended:
    def command() -> object:
        if os.getuid() == 0 and is_locked:
            _obey_permissions()
        os.environ.update({"SRVID_CACHE": str(place / "cache"), "HOME": str(place / "home")})
        return command_of(words[0], tuple(words[1:]))()

    child = start(command, lambda code, said: "", folder=folder, notes=notes)
    while True:
        pid, status, _ = os.wait4(child.pid, os.WNOHANG)
        if pid:
            return child.ended(status)
        child.kill_if_late()
        time.sleep(POLL_SECONDS)


def _obey_permissions() -> None:
    """Give up root's right to read everything, but not the files that root owns."""
    libc, header, data = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(CAP_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    data[0] &= ~MAY_READ_ALL  # effective; 1 is permitted
    data[1] &= ~MAY_READ_ALL
    assert libc.capset(header, data) == 0


def _make(path: Path, kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        path.mkdir(exist_ok=True)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind in ("picture", "locked"):
        Image.new("RGB", (8, 6), "red").save(path, "PNG")
        if kind == "locked":
            path.parent.chmod(0)
    else:
        path.symlink_to(kind.removeprefix("-> "))


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def main() -> None:
    """Print one JSON line for each row: its folder and what `run_row` found."""
    parser = argparse.ArgumentParser(prog="python -m tests.cases", description=__doc__)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--only", action="append")
    options = parser.parse_args()
    import_everything()
    for name, row in ROWS.items():
        if not row.commands or (options.only and name not in options.only) or not (options.cases / name).is_dir():
            continue
        with tempfile.TemporaryDirectory() as place:
            print(json.dumps({"folder": name, **run_row(row, options.cases / name, Path(place))}), flush=True)


if __name__ == "__main__":
    main()
