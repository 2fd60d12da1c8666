"""A watched folder: what arrives and has stopped growing is upscaled into another one, once.

    IN/a.mp4 ─► the same size and time at two looks ─► srvid ───► OUT/a.mkv
    IN/b.jpg ─────────────────────────────────────────► srbatch ─► OUT/b.jpg

OUT/.srvid-watch.json is written before and after every file. A watcher that was killed finds there what
it had begun: segments go on, and an output that had been finished is not made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_core.errors import BadInput, SrError, StorageError
from sr_core.storage import cache_dir, file_lock, keep_in_cache, read_own, write_atomically
from sr_image.formats.capabilities import ALL_SUFFIXES
from sr_ui.library import VIDEO_SUFFIXES
from sr_ui.work import LOCKED, RETRY_SECONDS, TRIES, Child, arguments_of
from sr_video.segments.job import WorkFolder

JOURNAL, _LOCK = ".srvid-watch.json", ".srvid-watch.lock"
_LOCK_SECONDS = 5.0  # a page that asks whether somebody watches holds it for a moment
_PROGRESS_SECONDS = 1.0
Stamp = tuple[int, int]  # bytes, nanoseconds of the last change


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """What is watched.

    Attributes:
        settle_seconds: a file is whole when it has not changed for so long.
        options: as the commands' long options, without dashes.
        once: end when nothing is left to do.
    """

    source: Path
    target: Path
    options: dict[str, Any]
    settle_seconds: float = 5.0
    once: bool = False

    def __post_init__(self) -> None:
        """Refuse a folder whose outputs would arrive in it."""
        source, target = self.source.resolve(), self.target.resolve()
        if not source.is_dir():
            raise BadInput(f"{self.source} is no folder", hint="watch a folder")
        if target.is_relative_to(source):
            raise BadInput(f"{self.target} lies in {self.source}: it would watch itself", hint="choose another OUT")


class Watch:
    """One watcher. `say` gets a line for people about each file."""

    def __init__(self, options: WatchOptions, say: Callable[[str], None]) -> None:
        self._options, self._say = options, say
        self._ending = threading.Event()
        self._child: Child | None = None
        self._seen: dict[str, Stamp] = {}
        self._journal: dict[str, Any] = {}
        self._written = 0.0

    def stop(self) -> None:
        """Stop as Ctrl-C does: segments stay, the next watcher goes on."""
        self._ending.set()
        if self._child is not None:
            self._child.ask_to_stop()

    def run(self) -> int:
        """Watch until stopped; returns how many files failed.

        Raises:
            StorageError: OUT cannot be written, or another watcher works on it.
        """
        failed = 0
        with self._held():
            self._journal = _read(self._options.target)
            self._journal |= {"source": str(self._options.source.resolve()), "now": None}
            self._write()
            while not self._ending.is_set():
                settled, is_quiet = self._look()
                for name, stamp in settled:
                    failed += not self._make(name, stamp)
                    if self._ending.is_set():
                        break
                if not settled and is_quiet and self._options.once:
                    break
                if not settled:
                    self._ending.wait(self._options.settle_seconds)
        return failed

    @contextmanager
    def _held(self) -> Iterator[None]:
        target = self._options.target
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot create {target}: {error.strerror}", hint="choose another OUT") from error
        name = hashlib.blake2b(os.fsencode(target.resolve()), digest_size=8).hexdigest()
        keep_in_cache(cache_dir("ui", "watched") / name, os.fsencode(target.resolve()))
        with file_lock(target / _LOCK, timeout_seconds=_LOCK_SECONDS):
            yield

    # looking ----------------------------------------------------------------------------------

    def _look(self) -> tuple[list[tuple[str, Stamp]], bool]:
        """(files that are whole and not yet made, whether none is still arriving)."""
        seen = dict(_find_arrivals(self._options.source))
        fresh = {name: stamp for name, stamp in seen.items() if not self._is_over(name, stamp)}
        settled = [(name, stamp) for name, stamp in sorted(fresh.items()) if self._seen.get(name) == stamp]
        self._seen = seen
        return settled, len(settled) == len(fresh)

    def _is_over(self, name: str, stamp: Stamp) -> bool:
        known = self._journal["files"].get(name)
        return known is not None and known["state"] in ("done", "failed") and tuple(known["stamp"]) == stamp

    # making -----------------------------------------------------------------------------------

    def _make(self, name: str, stamp: Stamp) -> bool:
        source, target = self._options.source / name, self._target_of(name)
        known = self._journal["files"].get(name) or {}
        had_begun = known.get("state") == "begun" and tuple(known["stamp"]) == stamp
        if had_begun and _is_made(target):
            return self._note(name, stamp, "done")
        if os.path.lexists(target) and not WorkFolder.of(target).manifest_path.exists():
            return self._note(name, stamp, "failed", f"{target} is already there; it is never replaced")
        self._note(name, stamp, "begun")
        for _ in range(TRIES):
            code, error = self._run(name, source, target)
            if not code or LOCKED not in error or self._ending.wait(RETRY_SECONDS):
                break
        if self._ending.is_set() and code != 0:
            return True  # it stays begun
        if code and had_begun and _is_made(target):
            code = 0  # by what an earlier watcher had begun, in the meantime
        return self._note(name, stamp, "failed" if code else "done", error)

    def _run(self, name: str, source: Path, target: Path) -> tuple[int, str]:
        ended, codes, errors = threading.Event(), [0], [""]

        def heard(event: dict[str, Any]) -> None:
            if event["event"] in ("error", "failed"):
                errors[0] = f"{event['message']} ({event['hint']})" if event["hint"] else event["message"]
            key = "frames" if "frames" in event else "pixels"
            if event["event"] == "progress" and time.monotonic() - self._written > _PROGRESS_SECONDS:
                self._journal["now"] = {"name": name, "done": event[key], "total": event[f"{key}_expected"]}
                self._write()

        def end(code: int) -> None:
            codes[0] = code
            ended.set()

        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            kind = "images" if source.suffix.lower() in ALL_SUFFIXES else "video"
            arguments = arguments_of(kind, [str(source)], str(target), self._options.options)
            self._child = Child(arguments, heard=heard, said=lambda line: None, ended=end)
        except (OSError, SrError) as error:
            return 1, str(error)
        if self._ending.is_set():
            self._child.ask_to_stop()
        ended.wait()
        self._child = None
        return codes[0], errors[0] or (f"it ended with code {codes[0]}" if codes[0] else "")

    def _note(self, name: str, stamp: Stamp, state: str, error: str = "") -> bool:
        self._journal["files"][name] = {
            "stamp": list(stamp),
            "state": state,
            "error": error if state == "failed" else "",
            "target": str(self._target_of(name).relative_to(self._options.target)),
        }
        self._journal["now"] = {"name": name, "done": 0, "total": None} if state == "begun" else None
        self._write()
        if state != "begun":
            self._say(f"{name}: {error if state == 'failed' else state}")
        return state != "failed"

    def _target_of(self, name: str) -> Path:
        """Where the output of IN/`name` goes, always the same.

        Images keep their name, a.mp4 becomes a.mkv; where that is another input's, a.mov becomes a.mov.mkv.
        """
        known = self._journal["files"]
        taken = {_target_in(entry, other) for other, entry in known.items() if other != name}
        if name in known:
            return self._options.target / _target_in(known[name], name)
        plain = _plain_target(name)
        tries = [plain, f"{name}.mkv", *(f"{name}-{number}.mkv" for number in range(2, len(known) + 3))]
        return self._options.target / next(target for target in tries if target not in taken)

    def _write(self) -> None:
        self._written = time.monotonic()
        write_atomically(self._options.target / JOURNAL, json.dumps(self._journal, indent=1).encode())


def _plain_target(name: str) -> str:
    path = Path(name)
    return str(path if path.suffix.lower() in ALL_SUFFIXES else path.with_suffix(".mkv"))


def _target_in(entry: dict[str, Any], name: str) -> str:
    return str(entry.get("target") or _plain_target(name))  # earlier versions had the plain one alone


def _is_made(target: Path) -> bool:
    return target.exists() and not WorkFolder.of(target).manifest_path.exists()


def watches() -> list[dict[str, Any]]:
    """Every folder that was ever watched and still has its journal, for pages."""
    found = []
    for entry in sorted(cache_dir("ui", "watched").iterdir()):
        target = Path(os.fsdecode(entry.read_bytes()))
        if not (target / JOURNAL).exists():
            continue
        journal = _read(target)
        states = [file["state"] for file in journal["files"].values()]
        failed = {name: file["error"] for name, file in journal["files"].items() if file["state"] == "failed"}
        found.append(
            {
                "source": journal.get("source", ""), "target": str(target), "is_running": _is_held(target),
                "done": states.count("done"), "failed": failed, "now": journal.get("now"),
            }
        )  # fmt: skip
    return found


def _is_held(target: Path) -> bool:
    try:
        with file_lock(target / _LOCK, timeout_seconds=0):
            return False
    except StorageError:
        return True


def _find_arrivals(folder: Path) -> Iterator[tuple[str, Stamp]]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(".srvid"))
        for name in files:
            path = Path(place, name)
            if name.startswith(".") or path.suffix.lower() not in VIDEO_SUFFIXES | ALL_SUFFIXES:
                continue
            try:
                status = path.stat()
            except OSError:
                continue  # it has gone again
            if status.st_size:
                yield str(path.relative_to(folder)), (status.st_size, status.st_mtime_ns)


def _read(target: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_own(target / JOURNAL) or b"{}")
        return found if isinstance(found.get("files"), dict) else {"files": {}}
    except (ValueError, AttributeError):
        return {"files": {}}
