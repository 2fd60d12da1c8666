"""Files get their names whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from sr_core.errors import StorageError
from sr_core.storage import CACHE_VARIABLE, cache_dir, cache_path, file_lock, write_atomically


def test_a_written_file_is_whole_and_leaves_no_temporary(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "key.json"
    write_atomically(target, b"first")
    write_atomically(target, b"second")
    assert target.read_bytes() == b"second"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such modes")
def test_others_may_read_a_file_as_any_new_file_unless_it_is_private(tmp_path: Path) -> None:
    """A temporary file is for its user alone; pictures and models are not."""
    plain, private, before = (tmp_path / name for name in ("plain", "private", "before"))
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    before.touch(mode=0o640)
    write_atomically(plain, b"1")
    write_atomically(private, b"2", is_private=True)
    write_atomically(before, b"3")
    modes = [path.stat().st_mode & 0o777 for path in (plain, private, before)]
    assert modes == [ordinary.stat().st_mode & 0o777, 0o600, 0o640]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "key.json"
    write_atomically(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        write_atomically(target, b"new")
    assert "free some space" in caught.value.hint
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_unusable_cache_folder_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(StorageError) as caught:
        cache_dir("engines")
    assert CACHE_VARIABLE in caught.value.hint


def test_a_write_that_fails_in_the_cache_hints_at_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(StorageError) as caught, file_lock(cache_path("worker.lock")):
        pass
    assert CACHE_VARIABLE in caught.value.hint


def _hold(path: Path, held: object, release: object) -> None:
    with file_lock(path):
        held.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


def test_a_lock_is_exclusive_between_processes_and_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "build.lock"
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(path, held, release))
    process.start()
    assert held.wait(30)
    with pytest.raises(StorageError, match="locked by another"), file_lock(path, timeout_seconds=0):
        pass
    process.kill()
    process.join()
    with file_lock(path, timeout_seconds=5):
        pass
