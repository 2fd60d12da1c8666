"""What is done already: a small journal in OUT, by content and settings, never by name or date.

One JSON object a line: {"target", "input", "settings", "output"}; the last three are hashes. An
output counts as done when the journal has the same input and settings for it and the file still
hashes to what was written. A line is written just before the file gets its name, so that no crash
leaves an output that nobody knows; one torn by a crash is ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from sr_core.errors import BadInput, SrError
from sr_core.records import parse_json
from sr_core.storage import open_own, read_own, storage_error
from sr_image.formats.writer import PART_PREFIX

MANIFEST_NAME = ".srbatch.jsonl"
LOCK_NAME = ".srbatch.lock"
_KEYS = ("target", "input", "settings", "output")
_BLOCK_BYTES = 1 << 20
_LEFTOVER = re.compile(rf"{re.escape(PART_PREFIX)}(\d+)-.*\.(?:part|bare)", re.DOTALL)


def hash_of_file(path: Path) -> str:
    """Hash of a file's content."""
    digest = hashlib.blake2b(digest_size=20)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def hash_of_settings(settings: Mapping[str, object]) -> str:
    """Hash of everything that decides the pixels and metadata of an output."""
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=20).hexdigest()


class Manifest:
    """The journal of one OUT folder; thread-safe."""

    def __init__(self, out: Path) -> None:
        self._out, self._path = out, out / MANIFEST_NAME
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, str]] = {}
        self._ends_torn = False
        self._load()

    def is_done(self, target: Path, *, input_hash: str, settings: str) -> bool:
        """Whether `target` holds what this input and these settings gave."""
        entry = self._entries.get(self._key(target))
        if entry is None or (entry["input"], entry["settings"]) != (input_hash, settings):
            return False
        return target.is_file() and hash_of_file(target) == entry["output"]

    def record(self, target: Path, made: Path, *, input_hash: str, settings: str) -> None:
        """Note that `target` will be the file `made`, which is complete.

        Raises:
            StorageError: the journal cannot be written.
        """
        entry = {
            "target": self._key(target),
            "input": input_hash,
            "settings": settings,
            "output": hash_of_file(made),
        }
        line = json.dumps(entry, ensure_ascii=True) + "\n"
        with self._lock:
            self._entries[entry["target"]] = entry
            try:
                descriptor = open_own(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                with open(descriptor, "a", encoding="ascii") as file:
                    file.write(("\n" if self._ends_torn else "") + line)
                    file.flush()
                    os.fsync(file.fileno())
            except SrError:
                raise
            except OSError as error:
                raise storage_error(error, self._path, "cannot write the journal") from error
            self._ends_torn = False

    def made(self) -> frozenset[Path]:
        """Real paths of everything the journal says was written."""
        return frozenset(Path(os.path.realpath(self._out / name)) for name in self._entries)

    def _key(self, target: Path) -> str:
        return target.relative_to(self._out).as_posix()

    def _load(self) -> None:
        text = (read_own(self._path) or b"").decode("ascii", errors="replace")
        self._ends_torn = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            entry = _entry_from(line)
            if entry is not None:  # else torn by a crash, or damaged: that file is simply done again
                self._entries[entry["target"]] = entry


def _entry_from(line: str) -> dict[str, str] | None:
    """A line of the journal; None where it is none."""
    try:
        held = parse_json(line)
    except BadInput:
        return None
    if not isinstance(held, dict) or any(not isinstance(held.get(key), str) for key in _KEYS):
        return None
    entry = {key: held[key] for key in _KEYS}
    return entry if _is_place(entry["target"]) else None


def _is_place(name: str) -> bool:
    """Whether `name` can be a file below OUT."""
    try:
        is_name = len(os.fsencode(name)) > 0 and "\0" not in name
    except UnicodeEncodeError:  # half a character that no file name holds
        return False
    return is_name and not Path(name).is_absolute() and ".." not in Path(name).parts


def remove_leftovers(out: Path) -> int:
    """Delete temporary files that killed runs left in `out`; call with the lock held, before anything is made.

    Those of other programs that still run stay: a folder inside `out` may be the OUT of another run.
    """
    count = 0
    for folder, _, names in os.walk(out):
        for name in names:
            found = _LEFTOVER.fullmatch(name)
            if found and not _runs(int(found[1])):
                Path(folder, name).unlink(missing_ok=True)
                count += 1
    return count


def _runs(pid: int) -> bool:
    """Whether another process has the number `pid`; ours has made no files yet."""
    if pid == os.getpid() or sys.platform == "win32":
        return False  # Windows itself refuses to delete a file that a process has open
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
