"""srbatch's parts, where a process would be too blunt a tool."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_core.errors import BadInput, EngineError
from sr_image.enlarge import EnlargeOptions
from sr_image.sizing import SizeTarget
from sr_video.nearest import NearestUpscaler
from srvid_cli.batch.collect import collect
from srvid_cli.batch.manifest import MANIFEST_NAME, Manifest, hash_of_file, remove_leftovers
from srvid_cli.batch.memory import MemoryBudget, bytes_from_text, default_memory
from srvid_cli.batch.options import BatchOptions
from srvid_cli.batch.plan import BatchPlan, Naming, plan_batch
from srvid_cli.batch.run import Result, RunOptions, run_batch
from srvid_cli.srbatch import srbatch_command
from tests.batch.conftest import picture


class _Silent:
    def pixels(self, done: int) -> None: ...

    def finished(self, result: Result) -> None: ...


class Given:
    """A recipe that opens what a test gives."""

    gpus, takes_gpu = 0, False

    def __init__(self, opener: Callable[[], NearestUpscaler]) -> None:
        self._opener = opener

    def open(self, scale: int) -> NearestUpscaler:
        return self._opener()

    def like(self, identity: dict[str, str]) -> Given:
        return self

    def versions(self) -> dict[str, str]:
        return {}


def planned(folder: Path, count: int) -> BatchPlan:
    for index in range(count):
        picture(folder / f"in/{index}.png", seed=index)
    collection = collect([str(folder / "in")], folder / "out")
    return plan_batch(collection, folder / "out", EnlargeOptions(), Naming(scale=2))


def test_the_engine_is_opened_once_for_all_workers(tmp_path: Path) -> None:
    plan, opened = planned(tmp_path, 6), []

    def open_engine() -> NearestUpscaler:
        opened.append(NearestUpscaler(2))
        return opened[-1]

    options = RunOptions(enlarge=EnlargeOptions(), settings="", jobs=4, memory_bytes=1 << 30)
    results = run_batch(plan.jobs, Given(open_engine), 2, options, manifest=None, listener=_Silent())
    assert len(opened) == 1
    assert [result.state for result in results] == ["done"] * 6


def test_an_engine_that_does_not_open_is_one_error_and_not_one_a_file(tmp_path: Path) -> None:
    def refuse() -> NearestUpscaler:
        raise EngineError("no device")

    options = RunOptions(enlarge=EnlargeOptions(), settings="", jobs=2, memory_bytes=1 << 30)
    with pytest.raises(EngineError, match="no device"):
        run_batch(planned(tmp_path, 4).jobs, Given(refuse), 2, options, manifest=None, listener=_Silent())


def test_a_bug_in_one_image_costs_one_image(tmp_path: Path) -> None:
    class Buggy(NearestUpscaler):
        calls = 0

        def planes(self, planes, fmt, color):  # type: ignore[no-untyped-def]
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("a bug")
            return super().planes(planes, fmt, color)

    options = RunOptions(enlarge=EnlargeOptions(), settings="", jobs=1, memory_bytes=1 << 30)
    jobs = planned(tmp_path, 3).jobs
    results = run_batch(jobs, Given(lambda: Buggy(2)), 2, options, manifest=None, listener=_Silent())
    assert sorted(result.state for result in results) == ["done", "done", "failed"]
    (failed,) = (result for result in results if result.state == "failed")
    assert "a bug" in str(failed.error)


def test_the_memory_budget_lets_one_large_image_in_and_no_second() -> None:
    budget, inside, most = MemoryBudget(100), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with budget.held(150):
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_torn_line_in_the_journal_costs_one_file_only(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        manifest.record(tmp_path / name, tmp_path / name, input_hash="in", settings="s")
    journal = tmp_path / MANIFEST_NAME
    journal.write_text(journal.read_text()[:-30])
    again = Manifest(tmp_path)
    assert again.is_done(tmp_path / "a", input_hash="in", settings="s")
    assert not again.is_done(tmp_path / "b", input_hash="in", settings="s")
    again.record(tmp_path / "b", tmp_path / "b", input_hash="in", settings="s")
    third = Manifest(tmp_path)
    assert third.is_done(tmp_path / "a", input_hash="in", settings="s")
    assert third.is_done(tmp_path / "b", input_hash="in", settings="s")


def test_done_means_this_input_these_settings_and_this_very_output(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    (tmp_path / "a").write_text("output")
    manifest.record(tmp_path / "a", tmp_path / "a", input_hash="in", settings="s")
    assert not manifest.is_done(tmp_path / "a", input_hash="other", settings="s")
    assert not manifest.is_done(tmp_path / "a", input_hash="in", settings="other")
    (tmp_path / "a").write_text("changed")
    assert not manifest.is_done(tmp_path / "a", input_hash="in", settings="s")


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        dead = ended.pid
    alive = f"sub/.srbatch-{os.getppid()}-c.png.part"  # of a run into a folder inside this one
    left = [f".srbatch-{dead}-a.png.part", f"sub/.srbatch-{dead}-b.jpg.part.bare", f".srbatch-{os.getpid()}-d.png.part"]
    for name in (*left, alive, "mine.part", ".srbatch.jsonl"):
        (tmp_path / name).write_text("x")
    assert remove_leftovers(tmp_path) == len(left)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == sorted([".srbatch.jsonl", "mine.part", alive])


@pytest.mark.parametrize("template", ["{stem:d}", "{stem!z}", "{stem:{foo}}", "{width:q}", "", "sub/", "{stem:.0}"])
def test_a_template_that_cannot_name_a_file_is_refused_before_any_work(template: str) -> None:
    with pytest.raises(BadInput, match="name template"):
        Naming(template=template)


@pytest.mark.parametrize("megapixels", [math.nan, math.inf, 0.0])
def test_what_is_no_area_is_refused(megapixels: float) -> None:
    with pytest.raises(BadInput, match="is not a size"):
        SizeTarget(megapixels=megapixels)


def test_a_file_named_twice_counts_once(tmp_path: Path) -> None:
    path = picture(tmp_path / "in/a.png")
    (tmp_path / "link.png").symlink_to(path)
    found = collect([str(path), str(tmp_path / "in"), str(tmp_path / "link.png")], tmp_path / "out").found
    assert [entry.path for entry in found] == [path]


def test_folders_that_are_links_are_not_walked(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    assert len(collect([str(tmp_path / "in")], tmp_path / "out").found) == 1


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file or folder"):
        collect([str(tmp_path / "nowhere")], tmp_path / "out")
    with pytest.raises(BadInput, match="nothing matches"):
        collect([str(tmp_path / "*.png")], tmp_path / "out")


@pytest.mark.parametrize(("text", "expected"), [("800M", 800 << 20), ("1.5g", 3 << 29), ("2 GiB", 2 << 30), ("7", 7)])
def test_amounts_of_memory_are_read_as_people_write_them(text: str, expected: int) -> None:
    assert bytes_from_text(text) == expected


def test_nonsense_is_no_amount_of_memory() -> None:
    with pytest.raises(BadInput, match="not an amount"):
        bytes_from_text("lots")


def test_the_default_memory_is_between_1_and_16_gib() -> None:
    assert 1 << 30 <= default_memory() <= 16 << 30


def test_hashes_follow_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"x" * 3_000_000)
    assert hash_of_file(tmp_path / "a") == hash_of_file(tmp_path / "b")
    (tmp_path / "b").write_bytes(b"x" * 2_999_999 + b"y")
    assert hash_of_file(tmp_path / "a") != hash_of_file(tmp_path / "b")


def test_what_decides_the_pixels_is_among_what_a_done_file_is_known_by() -> None:
    def hash_of(*words: str) -> str:
        given = srbatch_command.make_context(
            "srbatch", ["in", "out", "--model", "restore", "--scale", "2", *words]
        ).params
        options = BatchOptions.of({name: value for name, value in given.items() if name not in ("inputs", "out")})
        return options.settings_hash(options.enlarge_options(None))

    asked = [(), ("--grain", "0.3"), ("--grain", "keep"), ("--sharpen", "0.3"), ("--strength", "0.5")]
    assert len({hash_of(*words) for words in asked}) == len(asked)
    assert hash_of(*asked[1]) == hash_of("--grain", ".30")
