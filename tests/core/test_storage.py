"""Files get their names whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
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
