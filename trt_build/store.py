"""Engines on disk: found by their key, checked before use, written whole or not at all.

<cache>/engines/clear-x4-nv12-3f9a….engine     its bytes
                clear-x4-nv12-3f9a….json       sidecar, written last: without it there is no engine
                clear-x4-nv12-3f9a….jit        TensorRT-RTX's own runtime cache, one a GPU and driver
                locks/<digest>                 held while one process builds
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from sr_core.engine_key import BuiltEngine, EngineFacts, EngineKey
from sr_core.errors import EngineError, message_of
from sr_core.storage import cache_dir, file_lock, storage_error, write_atomically

ENGINE_ENDING, SIDECAR_ENDING = ".engine", ".json"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One engine as found on disk; `facts` is None where `problem` says why it is unusable."""

    stem: str
    bytes_on_disk: int
    facts: EngineFacts | None
    problem: str


class EngineStore:
    """The engines in one folder (the cache's, unless told otherwise)."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder if folder is not None else cache_dir("engines")

    def engine_path(self, key: EngineKey, label: str) -> Path:
        return self.folder / (key.file_stem(label) + ENGINE_ENDING)

    def lock(self, key: EngineKey) -> AbstractContextManager[None]:
        """Held by the one process that builds `key`; others wait and then find it built."""
        return file_lock(self.folder / "locks" / key.digest)

    def find(self, key: EngineKey, label: str) -> tuple[BuiltEngine | None, str]:
        """Return (the engine, '') or (None, why a file that is there cannot be used; '' if none is)."""
        stem = key.file_stem(label)
        entry = self._read(stem)
        if entry is None:
            return None, ""
        if entry.facts is None:
            return None, entry.problem
        if entry.facts.key != key:  # the name is a hash of the key: only a renamed file gets here
            return (
                None,
                f"{stem} was built for something else ({'; '.join(key.differences(entry.facts.key))})",
            )
        engine = (self.folder / (stem + ENGINE_ENDING)).read_bytes()
        try:
            entry.facts.check_content(engine)
        except EngineError as error:
            return None, f"{stem}: {message_of(error)}"
        return BuiltEngine(content=engine, facts=entry.facts), ""

    def put(self, engine: bytes, facts: EngineFacts) -> Path:
        """Write an engine's bytes, then its sidecar; return the path of the first."""
        path = self.engine_path(facts.key, facts.label)
        path.with_suffix(SIDECAR_ENDING).unlink(missing_ok=True)  # an old sidecar must not vouch for a new engine
        write_atomically(path, engine)
        write_atomically(path.with_suffix(SIDECAR_ENDING), facts.to_json().encode())
        return path

    def entries(self) -> list[Entry]:
        """Every engine in the folder, usable or not, by name."""
        if not self.folder.is_dir():
            return []
        stems = {path.stem for path in self.folder.iterdir() if path.suffix in (ENGINE_ENDING, SIDECAR_ENDING)}
        found = [self._read(stem) for stem in sorted(stems)]
        return [entry for entry in found if entry is not None]

    def nearest(self, key: EngineKey, label: str) -> str:
        """One line on the engine of the same name that comes closest to `key`; '' if there is none."""
        compared = [
            (key.differences(entry.facts.key), entry.stem)
            for entry in self.entries()
            if entry.facts is not None and entry.facts.label == label
        ]
        if not compared:
            return ""
        different, stem = min(compared, key=lambda pair: len(pair[0]))
        return f"{stem} was not used: {'; '.join(different)}" if different else ""

    def checked_before(self, key: EngineKey) -> EngineFacts | None:
        """The facts of an engine of the same graph, lowered by the same recipe, for whatever target."""
        wanted = (key.graph_sha256, key.recipe, key.precision)
        for entry in self.entries():
            found = entry.facts
            if found is not None and (found.key.graph_sha256, found.key.recipe, found.key.precision) == wanted:
                return found
        return None

    def remove(self, stem: str) -> int:
        """Delete an engine and its runtime caches, sidecar first; return the bytes freed."""
        freed = 0
        paths = sorted(self.folder.glob(f"{stem}.*"), key=lambda path: path.suffix != SIDECAR_ENDING)
        for path in paths:
            try:
                size = path.stat().st_size
                path.unlink()
            except OSError as error:
                raise storage_error(error, path, "cannot delete") from error
            freed += size
        return freed

    def _read(self, stem: str) -> Entry | None:
        engine, sidecar = self.folder / (stem + ENGINE_ENDING), self.folder / (stem + SIDECAR_ENDING)
        sizes = [path.stat().st_size for path in (engine, sidecar) if path.exists()]
        if not sizes:
            return None
        problem, facts = "", None
        if not sidecar.exists():
            problem = f"{stem}: it was never finished (no sidecar)"
        elif not engine.exists():
            problem = f"{stem}: its bytes are missing"
        else:
            try:
                facts = EngineFacts.from_json(sidecar.read_text(encoding="utf-8"))
            except (EngineError, UnicodeDecodeError) as error:
                problem = f"{stem}: {message_of(error)}"
        if facts is not None and engine.stat().st_size != facts.engine_bytes:
            problem = f"{stem}: the engine has {engine.stat().st_size} bytes, expected {facts.engine_bytes}"
            facts = None
        return Entry(stem=stem, bytes_on_disk=sum(sizes), facts=facts, problem=problem)
