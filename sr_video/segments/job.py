"""OUT.srvid, the work folder of one output: a manifest, segments with their records, a lock.

    out.mp4.srvid/
        lock                 held while a srvid works on out.mp4
        manifest.json        what the job is; replaced once, just before the finished file gets its name
        00000.nut            a segment; playable
        00000.json           its record, written after it: only now the segment counts
        00001.1234.part      being written by process 1234

Everything is written under another name, flushed and renamed, in this order; a crash between any
two steps leaves a folder from which the same command goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Any

from sr_core.errors import BadInput, Locked, StorageError
from sr_core.file_stamp import FileStamp
from sr_core.records import check, parse_json, record_from, seal, unseal
from sr_core.storage import (
    cache_path,
    drop_from_cache,
    file_lock,
    keep_in_cache,
    read_own,
    storage_error,
    write_atomically,
)
from sr_core.wording import option
from sr_video.decide.paths import work_folder_of
from sr_video.segments.cut import Segment
from sr_video.segments.verdict import Verdict

LAYOUT = 3  # of this folder, and of what the manifest's settings say; another number is another program's job
# names in the folder; a temporary one ends in the hexadecimal digits of `temporary_beside`
_OWN_NAME = re.compile(r"lock|manifest\.json|\d{5,}\.(json|[a-z]+|\d+\.part)|\.(manifest|\d{5,})\.json\.[0-9a-f]{8}")
_LOCK_SECONDS = 0.3  # `srkit jobs` holds the lock for an instant, to see whether it is held


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that decides the output's bytes.

    Attributes:
        source: absolute path of the input.
        digest: of the input's packets; `stamp` is what the input looked like then.
        settings: name → value, as people should read them.
        versions: of all that computes.
        encoder_threads: encoders give other bytes with another number.
        engine: what the engine said of itself: model, backend, tile.
        segment_format: FFmpeg's muxer of the segments.
        time_base: seconds in a tick of the video.
        joined: what the finished file looks like on the disk, once there is one.
        verdict: on the input as `stamp` names it.
    """

    source: str
    target: str
    stamp: FileStamp
    digest: str
    settings: dict[str, str]
    versions: dict[str, str]
    engine: dict[str, str]
    encoder_threads: int
    segment_format: str
    time_base: Fraction
    segments: tuple[Segment, ...]
    joined: tuple[int, ...] = ()
    verdict: Verdict | None = None

    @property
    def key(self) -> str:
        """What a record must carry to belong to this job."""
        bound = _as_json(self)
        for name in ("source", "target", "stamp", "joined", "verdict"):  # a job may be moved
            del bound[name]
        return hashlib.blake2b(json.dumps(bound, sort_keys=True).encode(), digest_size=16).hexdigest()

    @property
    def frames(self) -> int:
        """Frames expected in all segments."""
        return sum(segment.frames for segment in self.segments)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished segment.

    Attributes:
        ticks, durations: of its frames as shown in the output, in ticks of the video.
        reorder: how many frames, at most, are decoded before one that is shown earlier.
        bytes, digest: of its file.
        damage: what was wrong with its part of the input; '' for nothing.
        retimed: frames whose time had to be changed to rise.
        tile: what each tile of all its frames read; '' for engines without tiles.
    """

    number: int
    key: str
    ticks: tuple[int, ...]
    durations: tuple[int, ...]
    reorder: int
    bytes: int
    digest: str
    damage: str
    retimed: int
    tile: str = ""


@dataclass(frozen=True, kw_only=True)
class JobState:
    """How far a job is.

    Attributes:
        playable: the finished segments before the first that is missing; `playable_seconds` of video.
    """

    manifest: Manifest
    is_running: bool
    segments_done: int
    frames_done: int
    playable: tuple[Path, ...]
    playable_seconds: Fraction


class WorkFolder:
    """The folder of one job, at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest_path = path / "manifest.json"

    @classmethod
    def of(cls, target: Path) -> WorkFolder:
        """The work folder of the output `target`."""
        return cls(work_folder_of(target.absolute()))

    @contextmanager
    def locked(self, *, target: Path) -> Iterator[None]:
        """Hold the folder, made if missing, against any other srvid; an empty one is removed at the end.

        Raises:
            StorageError: another srvid works on this output, or the folder cannot be made.
        """
        self._make()
        lock = self.path / "lock"
        try:
            with file_lock(lock, timeout_seconds=_LOCK_SECONDS):
                try:
                    yield
                finally:
                    self._remove_if_empty()
        except Locked as error:
            raise Locked(f"another srvid is writing {target.name}", hint="wait for it to finish, or stop it") from error

    def _make(self) -> None:
        """Make the folder; one that is not ours is left as it is.

        Raises:
            StorageError: a link or a file has its name, it holds what srvid did not make, or it cannot be made.
        """
        try:
            if not self.path.is_symlink():
                self.path.mkdir(exist_ok=True)
            mode = self.path.lstat().st_mode
            foreign = [] if stat.S_ISLNK(mode) else [entry for entry in os.scandir(self.path) if not _is_own(entry)]
        except OSError as error:
            raise storage_error(error, self.path, "cannot create") from error
        if stat.S_ISLNK(mode):
            raise StorageError(f"{self.path} is a link, where srvid keeps its work", hint="move it elsewhere")
        if foreign:
            raise StorageError(
                f"{self.path} holds what srvid did not make: {foreign[0].name}",
                hint="move it, or the folder, elsewhere",
            )

    def _remove_if_empty(self) -> None:
        with suppress(FileNotFoundError):  # somebody removed it all; the work has said what that means
            if os.listdir(self.path) == ["lock"]:
                shutil.rmtree(self.path, ignore_errors=True)

    def _entries(self) -> list[Path]:
        """Files of ours that lie here; whatever else somebody puts here meanwhile is never touched."""
        return [Path(entry.path) for entry in os.scandir(self.path) if _is_own(entry)]

    # the manifest ---------------------------------------------------------------------------

    def write_manifest(self, manifest: Manifest) -> None:
        """Begin the job, or replace what is known of it."""
        write_atomically(self.manifest_path, seal({"layout": LAYOUT, **_as_json(manifest)}))
        _register(self.path)

    def read_manifest(self) -> Manifest | None:
        """The job that lies here, if any.

        Raises:
            BadInput: a manifest of another version of srvid, or one that is damaged.
        """
        raw = read_own(self.manifest_path)
        if raw is None:
            return None
        anew = f"{option('restart', True)} begins anew"
        try:
            if check(check(parse_json(raw), dict[str, Any]).get("layout"), int, "layout") == LAYOUT:
                return _manifest(unseal(raw))
        except BadInput as error:
            raise BadInput(f"{self.manifest_path} is damaged: {error.message}", hint=anew) from error
        raise BadInput(f"{self.path.name} was written by another version of srvid", hint=anew)

    # segments -------------------------------------------------------------------------------

    def segment_path(self, number: int, manifest: Manifest) -> Path:
        """Where segment `number` lies once it is complete."""
        return self.path / f"{number:05}.{manifest.segment_format}"

    def write_record(self, record: Record) -> None:
        """Say that a segment is there; its file must be complete and flushed."""
        write_atomically(self._record_path(record.number), seal(asdict(record)))

    def read_record(self, number: int, manifest: Manifest) -> Record | None:
        """The record of a finished segment; None where it must be made (again)."""
        raw = read_own(self._record_path(number))
        try:
            record = record_from(unseal(raw or b""), Record)
            found = self.segment_path(number, manifest).stat().st_size
        except (FileNotFoundError, BadInput):  # power may fail before a file is filled
            return None
        except OSError as error:
            raise storage_error(error, self._record_path(number), "cannot read") from error
        has_all = len(record.ticks) == len(record.durations)
        is_ours = (record.number, record.key, record.bytes) == (number, manifest.key, found)
        return record if is_ours and has_all else None

    def state(self) -> JobState:
        """How far the job is.

        Raises:
            BadInput: there is none.
        """
        manifest = self.read_manifest()
        if manifest is None:
            raise BadInput(f"no job in {self.path}", hint="srkit jobs lists them")
        records = [self.read_record(segment.number, manifest) for segment in manifest.segments]
        done = [record for record in records if record is not None]
        playable = list(takewhile(lambda record: record is not None, records))
        last = playable[-1] if playable else None
        seconds = Fraction(0) if last is None else (last.ticks[-1] + last.durations[-1]) * manifest.time_base
        return JobState(
            manifest=manifest,
            is_running=self._is_locked(),
            segments_done=len(done),
            frames_done=sum(len(record.ticks) for record in done),
            playable=tuple(self.segment_path(number, manifest) for number in range(len(playable))),
            playable_seconds=seconds,
        )

    def _is_locked(self) -> bool:
        try:
            with file_lock(self.path / "lock", timeout_seconds=0):
                return False
        except StorageError:
            return True

    # pausing --------------------------------------------------------------------------------

    def ask_pause(self) -> None:
        """Ask the run that works here to end after its segment; the same command goes on later."""
        if not self.manifest_path.exists():
            return
        try:
            self._pause_path.touch()
        except OSError as error:
            raise storage_error(error, self._pause_path, "cannot write") from error

    def take_pause(self) -> bool:
        """Whether somebody asked; it holds once."""
        try:
            self._pause_path.unlink()
        except OSError:
            return False
        return True

    @property
    def _pause_path(self) -> Path:
        return self.path / "pause"

    def forget(self, number: int) -> None:
        """Drop a segment, so that it is made again."""
        self._record_path(number).unlink(missing_ok=True)

    def _record_path(self, number: int) -> Path:
        return self.path / f"{number:05}.json"

    # the end --------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Remove what dead processes left half-written."""
        for path in self._entries():
            if path.suffix == ".part" or path.name.startswith("."):
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove everything but the lock, the manifest last: with it, the rest can be made again."""
        paths = sorted(self._entries(), key=lambda path: path == self.manifest_path)
        for path in paths:
            if path.name != "lock":
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """The job is done: remove all but the lock, which goes with the folder when it is let go."""
        self.clear()
        drop_from_cache(_registration(self.path))

    def write_joined(self, manifest: Manifest, part: Path) -> None:
        """Note what the finished file looks like, before it gets its name."""
        self.write_manifest(replace(manifest, joined=_identity(part)))


def was_joined_into(manifest: Manifest, target: Path) -> bool:
    """True where `target` is this job's own output, and only the cleaning up was cut short."""
    return bool(manifest.joined) and target.exists() and _identity(target) == manifest.joined


def _is_own(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and _OWN_NAME.fullmatch(entry.name) is not None


def unfinished_jobs() -> list[WorkFolder]:
    """The jobs begun by this user that still lie somewhere, oldest first."""
    found: list[tuple[int, WorkFolder]] = []
    registered = cache_path("jobs")
    for entry in registered.glob("*.json") if os.path.isdir(registered) else ():
        try:
            job = WorkFolder(Path(os.fsdecode(bytes.fromhex(check(parse_json(entry.read_bytes()), str)))))
            found.append((job.manifest_path.stat().st_mtime_ns, job))
        except (OSError, ValueError):
            drop_from_cache(entry)  # moved or deleted by hand
    return [job for _, job in sorted(found, key=lambda pair: pair[0])]


def _register(path: Path) -> None:
    keep_in_cache(_registration(path), json.dumps(os.fsencode(path).hex()).encode())  # names are any bytes


def _registration(path: Path) -> Path:
    return cache_path("jobs") / f"{hashlib.blake2b(os.fsencode(path), digest_size=12).hexdigest()}.json"


def _identity(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _as_json(manifest: Manifest) -> dict[str, object]:
    content: dict[str, object] = asdict(manifest)
    content["time_base"] = str(manifest.time_base)
    return content


def _manifest(content: dict[str, Any]) -> Manifest:
    """The opposite of `_as_json`, beside the layout.

    Raises:
        BadInput: something in it is not what a manifest holds.
    """
    manifest = record_from({name: value for name, value in content.items() if name != "layout"}, Manifest)
    if manifest.time_base <= 0 or not manifest.segment_format.isalnum():
        raise BadInput(f"time base {manifest.time_base}, segments in {manifest.segment_format!r}")
    if [segment.number for segment in manifest.segments] != list(range(len(manifest.segments))):
        raise BadInput("its segments are not numbered in turn")
    return manifest
