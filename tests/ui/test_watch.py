"""`srkit watch`, the real command: what arrives is made once, whatever ends the watcher."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from tests.ui.conftest import MakeClip, Ui

Watcher = Callable[..., subprocess.Popen[str]]
FAST = ("--model", "nearest", "--scale", "2", "--settle", "0.3")


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watcher]:
    """Start `srkit watch in out …` in tmp_path; its lines come from stdout."""
    started = []
    environment = os.environ | {"SRVID_CACHE": str(tmp_path / "cache"), "PYTHONUNBUFFERED": "1"}
    (tmp_path / "in").mkdir()

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from srvid_cli.srkit import main; main()", "watch", "in", "out", *options]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_file_is_made_once_it_has_stopped_growing_and_never_again(
    watch: Watcher, make_clip: MakeClip, tmp_path: Path
) -> None:
    content = make_clip("film.mp4").read_bytes()
    watcher = watch(*FAST)
    assert watcher.stdout is not None
    with (tmp_path / "in" / "film.mp4").open("wb", buffering=0) as file:
        file.write(content[:1000])
        Image.new("RGB", (20, 16)).save(tmp_path / "in" / "photo.png")
        while not (tmp_path / "out" / "photo.png").exists():  # it works, and the film has not come to its end
            assert watcher.poll() is None
            file.seek(0)
            file.write(content[:1000])
        file.seek(0)
        file.write(content)
    lines = {watcher.stdout.readline().strip(), watcher.stdout.readline().strip()}
    assert lines == {"film.mp4: done", "photo.png: done"}
    assert frames_in(tmp_path / "out" / "film.mkv") == 25
    watcher.send_signal(signal.SIGINT)
    assert watcher.wait() == 0

    made = (tmp_path / "out" / "film.mkv").stat()
    again = watch(*FAST, "--once")
    assert again.communicate()[0] == ""
    assert again.returncode == 0
    assert (tmp_path / "out" / "film.mkv").stat() == made


def test_what_is_there_is_never_replaced_and_a_failure_stops_nothing(watch: Watcher, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 16)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "bad.mp4").write_bytes(b"not a video")
    watcher = watch(*FAST, "--once")
    said = watcher.communicate()[0].splitlines()
    assert watcher.returncode == 1
    assert "is already there" in said[0]
    assert said[1] == "b.png: done"
    assert said[2].startswith("bad.mp4: cannot open")
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"
    assert watch(*FAST, "--once").communicate()[0] == ""  # failures are not tried again


def test_two_videos_that_differ_in_their_ending_get_two_outputs(
    watch: Watcher, make_clip: MakeClip, tmp_path: Path
) -> None:
    make_clip("film.mp4", frames=5).rename(tmp_path / "in" / "film.mp4")
    make_clip("film.mov", frames=7).rename(tmp_path / "in" / "film.mov")
    first = watch(*FAST, "--once")
    assert sorted(first.communicate()[0].splitlines()) == ["film.mov: done", "film.mp4: done"]
    found = {path.name: frames_in(path) for path in (tmp_path / "out").glob("*.mkv")}
    assert found == {"film.mkv": 7, "film.mp4.mkv": 5}
    make_clip("film.mp4", frames=9).rename(tmp_path / "in" / "film.mp4")  # changed: its own output is in the way
    assert "film.mp4.mkv is already there" in watch(*FAST, "--once").communicate()[0]


def test_a_killed_watcher_goes_on_and_the_page_shows_it(
    watch: Watcher, ui: Callable[..., Ui], make_clip: MakeClip, tmp_path: Path, chromium: Any
) -> None:
    make_clip("film.mp4", frames=50).rename(tmp_path / "in" / "film.mp4")
    first = watch(*FAST)
    while (
        not (tmp_path / "out" / ".srvid-watch.json").exists()
        or "begun" not in (tmp_path / "out" / ".srvid-watch.json").read_text()
    ):
        assert first.poll() is None
    first.kill()
    first.wait()
    second = watch(*FAST)
    assert second.stdout is not None
    assert second.stdout.readline() == "film.mp4: done\n"
    assert frames_in(tmp_path / "out" / "film.mkv") == 50
    page = chromium.new_page()
    page.goto(ui().address)
    page.get_by_role("button", name="Queue").click()
    card = page.get_by_role("region", name="Watched folders").get_by_role("article")
    card.wait_for()
    assert "in → out" in card.inner_text()
    assert "watching" in card.inner_text()
    assert "1 done" in card.inner_text()
    page.close()
