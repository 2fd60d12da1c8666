"""Files get their names whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
import stat
import sys
from pathlib import Path

import pytest

from sr_core.errors import Locked, StorageError
from sr_core.storage import (
    CACHE_VARIABLE,
    cache_dir,
    cache_path,
    file_lock,
    published,
    read_own,
    write_atomically,
)

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of another kind")


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


def test_a_held_lock_is_an_error_of_its_own(tmp_path: Path) -> None:
    with file_lock(tmp_path / "lock"), pytest.raises(Locked), file_lock(tmp_path / "lock", timeout_seconds=0):
        pass


def test_a_block_that_fails_publishes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")

    def stopped() -> None:
        with published(target) as part:
            part.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_name_is_given_only_when_bytes_and_then_the_folder_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    with published(tmp_path / "out") as part:
        part.write_bytes(b"new")
    assert steps == ["file", "rename", *(["folder"] if os.name == "posix" else [])]


@posix_only
def test_a_file_that_nobody_may_write_is_replaced_and_stays_so(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.touch(mode=0o440)
    write_atomically(target, b"new")
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new", 0o440)


def test_a_name_near_the_limit_of_the_file_system_is_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("n" * 250), b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


@posix_only
def test_a_link_under_a_temporary_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim, part = tmp_path / "victim", tmp_path / "out.part"
    victim.write_bytes(b"mine")
    part.symlink_to(victim)
    with published(tmp_path / "out", part=part) as made:
        assert not made.is_symlink()
        made.write_bytes(b"new")
    assert victim.read_bytes() == b"mine"
    assert (tmp_path / "out").read_bytes() == b"new"
    assert not part.exists()


@posix_only
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_pipes_and_folders_under_a_temporary_name_are_refused_and_kept(kind: str, tmp_path: Path) -> None:
    part = tmp_path / "out.part"
    os.mkfifo(part) if kind == "pipe" else part.mkdir()
    with pytest.raises(StorageError, match=f"is a .*{kind}"), published(tmp_path / "out", part=part):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out.part"]


@posix_only
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder"])
def test_a_lock_or_journal_is_never_opened_through_what_is_no_file(kind: str, tmp_path: Path) -> None:
    own, victim = tmp_path / "lock", tmp_path / "victim"
    if kind == "link":
        victim.write_bytes(b"mine")
    {"pipe": lambda: os.mkfifo(own), "folder": own.mkdir}.get(kind, lambda: own.symlink_to(victim))()
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(StorageError, match=f"is a .*{kind.split()[-1]}"), file_lock(own):
        pass
    with pytest.raises(StorageError, match=f"is a .*{kind.split()[-1]}"):
        read_own(own)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert kind != "link" or victim.read_bytes() == b"mine"


def test_a_file_of_ours_that_is_missing_is_no_error(tmp_path: Path) -> None:
    assert read_own(tmp_path / "none") is None
