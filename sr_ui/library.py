"""Which paths may be touched, and which files are open.

Everything lies below a root: the home folder, the folder the server was started in, what it was
started with, and what `--root` names. Links are followed before that is decided. Files are then
spoken of by an id, never by a path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sr_core.errors import BadInput, StorageError
from sr_core.storage import cache_dir, storage_error
from sr_core.wording import text_from_bytes
from sr_image.formats.capabilities import ALL_SUFFIXES

Kind = Literal["video", "image", "folder"]
VIDEO_SUFFIXES = frozenset(
    ".3gp .asf .avi .divx .dv .flv .m2ts .m2v .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob .webm .wmv "
    ".y4m".split()
)
MAX_UPLOAD_BYTES = 2_000_000_000  # larger files are opened where they lie
_LIKELY_FOLDERS = ("", "Desktop", "Downloads", "Videos", "Movies", "Pictures")
_ENTRIES = 2000  # of a folder that are shown


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file or folder that the user opened."""

    id: str
    path: Path
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a folder: a folder, or a file that srvid may read."""

    name: str
    path: Path
    kind: Kind
    bytes: int


class Library:
    """What is open here; safe from any thread."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = tuple(dict.fromkeys(Path(os.path.realpath(root)) for root in roots))
        self._lock = threading.Lock()
        self._opened: dict[str, Opened] = {}
        self._listed: dict[str, None] = {}

    def inside(self, path: str | Path) -> Path:
        """`path`, absolute, if it lies below a root once every link is followed.

        Raises:
            BadInput: it does not, or is no path.
        """
        if not str(path) or "\0" in str(path):
            raise BadInput("that is no path", hint="give the path of a file or folder on this machine")
        absolute = Path(os.path.abspath(os.path.expanduser(path)))
        real = Path(os.path.realpath(absolute))
        if not any(real.is_relative_to(root) for root in self.roots):
            raise BadInput(
                f"{absolute} is outside of what may be opened here",
                hint="start with --root FOLDER to allow another folder",
            )
        return absolute

    def open(self, path: str | Path, *, is_aside: bool = False) -> Opened:
        """Open a file or folder, and give it its id: always the same for the same path.

        Args:
            is_aside: it is found by its id, and not among `all`: a part of something else that is open.

        Raises:
            BadInput: outside of the roots, or not there.
        """
        absolute = self.inside(path)
        if not absolute.exists():
            raise BadInput(f"no file or folder {absolute}", hint="check the path")
        if not absolute.is_dir() and not absolute.is_file():
            raise BadInput(f"{absolute} is neither a file nor a folder", hint="give a video, an image or a folder")
        opened = Opened(id=_id_of(absolute), path=absolute, kind=kind_of(absolute))
        with self._lock:
            self._opened[opened.id] = opened
            if not is_aside:
                self._listed[opened.id] = None
        return opened

    def find(self, file_id: str) -> Opened | None:
        """What is open under `file_id`."""
        with self._lock:
            return self._opened.get(file_id)

    def close(self, file_id: str) -> None:
        """Forget it; nothing on the disk changes."""
        with self._lock:
            self._opened.pop(file_id, None)
            self._listed.pop(file_id, None)

    def all(self) -> list[Opened]:
        """Everything that was opened by itself, oldest first."""
        with self._lock:
            return [self._opened[file_id] for file_id in self._listed]

    def entries(self, folder: str | Path) -> list[Entry]:
        """Folders first, then the files srvid may read, by name; hidden ones are left out.

        Raises:
            BadInput, StorageError: outside of the roots, no folder, or it cannot be read.
        """
        path = self.inside(folder)
        if not path.is_dir():
            raise BadInput(f"{path} is no folder", hint="choose a folder")
        found: list[Entry] = []
        try:
            for entry in os.scandir(path):
                kind = kind_of(Path(entry.name), is_folder=entry.is_dir())
                is_known = kind != "video" or Path(entry.name).suffix.lower() in VIDEO_SUFFIXES
                if entry.name.startswith(".") or not is_known or not (entry.is_dir() or entry.is_file()):
                    continue
                size = 0 if kind == "folder" else entry.stat().st_size
                found.append(Entry(name=entry.name, path=path / entry.name, kind=kind, bytes=size))
        except OSError as error:
            raise storage_error(error, path, "cannot read") from error
        return sorted(found, key=lambda entry: (entry.kind != "folder", entry.name.casefold()))[:_ENTRIES]

    def locate(self, name: str, size: int, folders: Iterable[Path] = ()) -> Path | None:
        """Where a dropped file lies, so that it need not be sent: its name and size, in the likely folders."""
        if not name or Path(name).name != name:
            return None
        for folder in self._likely(folders):
            candidate = folder / name
            try:
                if candidate.is_file() and candidate.stat().st_size == size:
                    return self.inside(candidate)
            except (OSError, BadInput):
                continue
        return None

    def locate_folder(self, name: str, holds: Iterable[str], folders: Iterable[Path] = ()) -> Path | None:
        """Where a dropped folder lies: its name, and the names of what it holds, in the likely folders."""
        names = list(holds)
        if any(Path(part).name != part or not part for part in (name, *names)):
            return None
        for folder in self._likely(folders):
            candidate = folder / name
            try:
                if candidate.is_dir() and all(os.path.lexists(candidate / part) for part in names):
                    return self.inside(candidate)
            except (OSError, BadInput):
                continue
        return None

    def _likely(self, folders: Iterable[Path]) -> list[Path]:
        return [*folders, Path.cwd(), *(Path.home() / folder for folder in _LIKELY_FOLDERS)]

    def path_of_drop(self, name: str, size: int) -> Path:
        """A place for an upload of `size` bytes, below a root of its own.

        Raises:
            BadInput: too large, or no name for a file; StorageError: no room.
        """
        if size > MAX_UPLOAD_BYTES:
            raise BadInput(
                f"{text_from_bytes(size)} is too large to be sent",
                hint="give its path instead: it is read where it lies",
            )
        if Path(name).name != name or name in ("", ".", "..") or "\0" in name:
            raise BadInput("that is no name for a file", hint="rename the file")
        folder = cache_dir("ui", "dropped")
        if shutil.disk_usage(folder).free < 2 * size:
            raise StorageError("too little room for a copy of that file", hint="give its path instead of dropping it")
        root = Path(os.path.realpath(folder))
        if root not in self.roots:
            self.roots = (*self.roots, root)
        return folder / name


def kind_of(path: Path, *, is_folder: bool | None = None) -> Kind:
    """By its ending: what is no image is tried as a video, which FFmpeg then knows better."""
    if path.is_dir() if is_folder is None else is_folder:
        return "folder"
    return "image" if path.suffix.lower() in ALL_SUFFIXES else "video"


def _id_of(path: Path) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
