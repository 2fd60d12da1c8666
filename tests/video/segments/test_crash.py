"""Killed anywhere: the same command goes on, and the bytes are those of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_core.errors import VerificationError
from sr_core.records import seal, unseal
from sr_video.write.sink import Sink

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]
Clip = Callable[[str], Path]
HERE = Path(__file__).parent
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@needs_fork
def test_a_crash_between_any_two_file_system_steps_loses_nothing(clip: Clip, tmp_path: Path) -> None:
    source, folder = clip("tiny.mp4"), tmp_path / "out"
    folder.mkdir()
    script = [sys.executable, "-W", "ignore", str(HERE / "crash_at_every_step.py"), str(source), str(folder)]
    paths = [str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(script, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["failures"] == []
    assert result["steps"] > 30


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_moments_it_makes_the_same_bytes(
    workers: int, clip: Clip, srvid: Run, start_srvid: Start, tmp_path: Path
) -> None:
    undisturbed, target = tmp_path / "undisturbed.mp4", tmp_path / "out.mp4"
    arguments = ("--segment", 1, "--preset", "slow", "--codec", "libx264")
    assert srvid(clip("plain.mp4"), undisturbed, *arguments).returncode == 0
    work = tmp_path / "out.mp4.srvid"
    chance = random.Random(workers)
    for kill in range(3):
        process = start_srvid(clip("plain.mp4"), target, *arguments, "--workers", workers)
        while process.poll() is None and len(list(work.glob("*.nut"))) <= kill:
            time.sleep(0.01)
        time.sleep(chance.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = srvid(clip("plain.mp4"), target, *arguments)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == undisturbed.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "undisturbed.mp4"]


def test_ctrl_c_keeps_what_is_finished_and_the_next_run_says_so(
    clip: Clip, srvid: Run, start_srvid: Start, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    arguments = (clip("plain.mp4"), target, "--segment", 1, "--codec", "libx264", "--preset", "slower")
    process = start_srvid(*arguments)
    wait_for_segments(tmp_path / "out.mp4.srvid", process, 2)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 130, printed
    told = re.search(
        r"(\d+) of 6 segments are kept(; \d+ frames? will be made again)?: the same command goes on", printed
    )
    assert told, printed
    kept = int(told[1])
    assert kept == len(list((tmp_path / "out.mp4.srvid").glob("0*.json")))
    assert printed.index("stopping …") < printed.index("are kept")
    assert not target.exists()
    assert not list(tmp_path.rglob("*.part"))
    done = srvid(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"going on: {kept} of 6 segments are there" in done.stderr


def test_a_segment_that_rotted_on_the_disk_is_noticed_and_made_again(
    clip: Clip, srvid: Run, start_srvid: Start, tmp_path: Path
) -> None:
    undisturbed, target = tmp_path / "undisturbed.mp4", tmp_path / "out.mp4"
    arguments = ("--segment", 1, "--codec", "libx264", "--preset", "slower")
    assert srvid(clip("plain.mp4"), undisturbed, *arguments).returncode == 0
    process = start_srvid(clip("plain.mp4"), target, *arguments)
    wait_for_segments(tmp_path / "out.mp4.srvid", process, 2)
    process.kill()
    process.wait()
    segment = tmp_path / "out.mp4.srvid" / "00000.nut"
    rotten = bytearray(segment.read_bytes())
    rotten[len(rotten) // 2] ^= 1
    segment.write_bytes(rotten)
    done = srvid(clip("plain.mp4"), target, *arguments)
    assert done.returncode == 0, done.stderr
    assert "00000.nut was changed on the disk: it is made again" in done.stderr
    assert target.read_bytes() == undisturbed.read_bytes()


def test_a_segment_without_its_own_frames_is_noticed_and_made_again(
    clip: Clip, srvid: Run, start_srvid: Start, tmp_path: Path
) -> None:
    undisturbed, target, work = tmp_path / "undisturbed.mp4", tmp_path / "out.mp4", tmp_path / "out.mp4.srvid"
    arguments = ("--segment", 1, "--codec", "libx264", "--preset", "slower")
    assert srvid(clip("vfr.mkv"), undisturbed, *arguments).returncode == 0
    process = start_srvid(clip("vfr.mkv"), target, *arguments)
    wait_for_segments(work, process, 2)
    process.kill()
    process.wait()
    first, second = (unseal((work / f"{number:05}.json").read_bytes()) for number in (0, 1))
    first |= {"bytes": second["bytes"], "digest": second["digest"]}  # a record that fits the wrong file
    (work / "00000.json").write_bytes(seal(first))
    shutil.copy(work / "00001.nut", work / "00000.nut")
    done = srvid(clip("vfr.mkv"), target, *arguments)
    assert done.returncode == 0, done.stderr
    assert "segment 0 does not hold the frames that were put into it: it is made again" in done.stderr
    assert target.read_bytes() == undisturbed.read_bytes()


def test_an_output_that_fails_its_check_keeps_the_segments_and_says_so(
    clip: Clip, upscale_here: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, target = tmp_path / "undisturbed.mkv", tmp_path / "out.mkv"
    upscale_here(clip("plain.mp4"), undisturbed, segment=1)
    muxed = Sink.complete

    def one_frame_too_many(sink: Sink) -> None:
        muxed(sink)
        if sink.memory is None:  # not in the rehearsal
            sink.ticks.append(sink.ticks[-1] + 1)

    with monkeypatch.context() as patched:
        patched.setattr(Sink, "complete", one_frame_too_many)
        with pytest.raises(VerificationError) as caught:
            upscale_here(clip("plain.mp4"), target, segment=1)
    assert "151 frames went in, 150 came out" in str(caught.value)
    assert "the same command joins them again" in caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv.srvid", "undisturbed.mkv"]
    upscale_here(clip("plain.mp4"), target, segment=1)
    assert target.read_bytes() == undisturbed.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv", "undisturbed.mkv"]


def test_a_clock_that_jumps_changes_nothing(
    clip: Clip, srvid: Run, start_srvid: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, target, work = tmp_path / "undisturbed.mp4", tmp_path / "out.mp4", tmp_path / "out.mp4.srvid"
    arguments = ("--segment", 1, "--codec", "libx264", "--preset", "slower")
    assert srvid(clip("plain.mp4"), undisturbed, *arguments).returncode == 0
    monkeypatch.setenv("PYTHONPATH", str(jumping_clock(tmp_path / "clock")))
    process = start_srvid(clip("plain.mp4"), target, *arguments)
    wait_for_segments(work, process, 2)
    process.kill()
    process.wait()
    for index, path in enumerate(sorted(work.iterdir())):  # written before 1971, or after 2100
        os.utime(path, (index % 2 * 4e9, index % 2 * 4.2e9))
    done = srvid(clip("plain.mp4"), target, *arguments)
    assert done.returncode == 0, done.stderr
    assert "going on: " in done.stderr
    assert target.read_bytes() == undisturbed.read_bytes()


def jumping_clock(folder: Path) -> Path:
    """A folder which, on PYTHONPATH, makes the time of day jump by years with every question."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import itertools, time\n"
        "jumps = itertools.cycle((0.0, 4e9, 1.0, 1.7e9))\n"
        "time.time = lambda: next(jumps)\n"
        "time.time_ns = lambda: int(next(jumps) * 1e9)\n"
    )
    return folder


def wait_for_segments(work: Path, process: subprocess.Popen[str], count: int) -> None:
    """Until `count` segments are recorded, the process still at work."""
    while len(list(work.glob("0*.json"))) < count:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[0]
