"""Nothing is mixed, nothing is written twice at once, and what stops the work is explained."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sr_core.errors import BadInput
from sr_video.segments import run

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]
Clip = Callable[[str], Path]
SLOW = ("--codec", "libx264", "--preset", "slower", "--segment", 1)


@pytest.fixture
def stopped(clip: Clip, start_srvid: Start, tmp_path: Path) -> tuple[Path, Path]:
    """(input, output) of a run that was killed after its first segment."""
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    shutil.copy(clip("plain.mp4"), source)
    process = start_srvid(source, target, *SLOW)
    while not list((tmp_path / "out.mp4.srvid").glob("0*.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return source, target


def test_another_setting_is_named_and_not_mixed_in(stopped: tuple[Path, Path], srvid: Run) -> None:
    source, target = stopped
    done = srvid(source, target, *SLOW, "--crf", "25")
    assert done.returncode == 1
    assert "crf=18 preset=slower, now crf=25 preset=slower" in done.stderr
    assert "--restart" in done.stderr
    done = srvid(source, target, *SLOW, "--crf", "25", "--restart")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in target.parent.iterdir()) == ["in.mp4", "out.mp4"]


def test_a_touched_input_goes_on_and_a_replaced_one_is_refused(
    stopped: tuple[Path, Path], clip: Clip, srvid: Run
) -> None:
    source, target = stopped
    other = source.read_bytes()
    shutil.copy(clip("b-pyramid.mp4"), source)
    done = srvid(source, target, *SLOW)
    assert done.returncode == 1
    assert "differs" in done.stderr or "is not the file that was being upscaled" in done.stderr
    source.write_bytes(other)  # the same bytes, another modification time
    done = srvid(source, target, *SLOW)
    assert done.returncode == 0, done.stderr
    assert "going on" in done.stderr


def test_no_segments_does_not_quietly_drop_an_unfinished_job(stopped: tuple[Path, Path], srvid: Run) -> None:
    source, target = stopped
    done = srvid(source, target, "--no-segments", *SLOW[:-2])
    assert done.returncode == 1
    assert "holds an unfinished job" in done.stderr


def test_an_input_replaced_while_running_is_noticed(clip: Clip, start_srvid: Start, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    shutil.copy(clip("plain.mp4"), source)
    process = start_srvid(source, target, *SLOW)
    while not list((tmp_path / "out.mp4.srvid").glob("0*.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    other = tmp_path / "other.mp4"
    shutil.copy(clip("b-pyramid.mp4"), other)
    os.replace(other, source)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 1, printed
    assert "was changed while it was being upscaled" in printed
    assert not target.exists()


def test_an_input_replaced_while_its_sound_is_copied_is_noticed(
    clip: Clip, upscale_here: Callable[..., object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, target, joined = tmp_path / "in.mp4", tmp_path / "out.mkv", run.write_joined
    shutil.copy(clip("plain.mp4"), source)

    def join_and_touch(*given: Any) -> None:
        joined(*given)
        with open(source, "ab") as file:
            file.write(b"more")

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_joined", join_and_touch)
        with pytest.raises(BadInput, match="was changed while it was being upscaled"):
            upscale_here(source, target, segment=2)
    assert not target.exists()
    os.truncate(source, clip("plain.mp4").stat().st_size)  # restored: the same command goes on
    upscale_here(source, target, segment=2)
    assert target.exists()


@pytest.mark.parametrize("mode", [SLOW, (*SLOW[:-2], "--no-segments")], ids=["segments", "straight"])
def test_a_second_srvid_on_the_same_output_is_refused(
    mode: tuple[object, ...], clip: Clip, srvid: Run, start_srvid: Start, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    first = start_srvid(clip("plain.mp4"), target, *mode)
    while not list(tmp_path.rglob("*.part")):
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # so that it is surely still there
    second = srvid(clip("plain.mp4"), target, *mode)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert "another srvid is writing out.mp4" in second.stderr
    printed, _ = first.communicate(timeout=600)
    assert first.returncode == 0, printed
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_folder_that_cannot_be_written_is_named(clip: Clip, srvid: Run, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/proc")  # nobody can, not even root
    else:
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o555)
    done = srvid(clip("plain.mp4"), folder / "out.mp4", *SLOW)
    assert done.returncode == 1
    assert str(folder) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_keeps_the_job_and_space_lets_it_go_on(clip: Clip, srvid: Run, small_disk: Path) -> None:
    target = small_disk / "out.mp4"
    arguments = (clip("plain.mp4"), target, "--segment", 1, "--codec", "libx264", "--crf", "0")
    done = srvid(*arguments)
    assert done.returncode == 1
    assert "free some space" in done.stderr
    assert "the same command goes on" in done.stderr
    assert not target.exists()
    assert not list(small_disk.rglob("*.part"))
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    done = srvid(*arguments)
    assert done.returncode == 0, done.stderr
    assert "going on" in done.stderr
    assert [path.name for path in small_disk.iterdir()] == ["out.mp4"]
