"""`srkit watch`, the real command: what arrives is made once, whatever ends the watcher."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from sr_ui.watch import Watch, WatchOptions
from tests.ui.conftest import MakeClip, Ui, Windows

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


class Looks:
    """Stands for the watcher's pauses: between its looks the film grows, then it rests, then the watcher ends."""

    def __init__(self, film: Path, content: bytes, made: Path) -> None:
        self._film, self._content, self._made, self._count = film, content, made, 0

    def is_set(self) -> bool:
        return self._made.exists()

    def wait(self, seconds: float) -> bool:
        self._count += 1
        share = min(1.0, 0.1 + self._count / 5)
        assert not self._made.exists()
        if self._count < 6:
            self._film.write_bytes(self._content[: int(len(self._content) * share)])
        assert self._count < 20  # then something else is waited for
        return self.is_set()


def test_a_file_that_still_grows_is_not_touched(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path / "cache"))
    clip = make_clip("film.mp4")
    film, made = tmp_path / "in" / "film.mp4", tmp_path / "out" / "film.mkv"
    film.parent.mkdir()
    film.write_bytes(clip.read_bytes()[:100])
    options = {"model": "nearest", "scale": 2}
    said: list[str] = []
    watch = Watch(WatchOptions(source=film.parent, target=made.parent, options=options), said.append)
    monkeypatch.setattr(watch, "_ending", Looks(film, clip.read_bytes(), made))
    assert watch.run() == 0  # a look at half a film would have failed
    assert said == ["film.mp4: done"]
    assert frames_in(made) == 25


def test_a_file_is_made_once_and_never_again(watch: Watcher, make_clip: MakeClip, tmp_path: Path) -> None:
    watcher = watch(*FAST)
    assert watcher.stdout is not None
    make_clip("film.mp4").rename(tmp_path / "in" / "film.mp4")
    Image.new("RGB", (20, 16)).save(tmp_path / "photo.png")
    (tmp_path / "photo.png").rename(tmp_path / "in" / "photo.png")
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
    watch: Watcher, ui: Callable[..., Ui], make_clip: MakeClip, tmp_path: Path, chromium: Windows
) -> None:
    make_clip("film.mp4", frames=50).rename(tmp_path / "in" / "film.mp4")
    first = watch(*FAST)
    while (
        not (tmp_path / "out" / ".srvid-watch.json").exists()
        or "begun" not in (tmp_path / "out" / ".srvid-watch.json").read_text()
    ):
        assert first.poll() is None
        time.sleep(0.02)
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
