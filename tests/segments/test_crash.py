"""Killed anywhere: the same command goes on, and the bytes are those of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

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
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130, printed
    assert "the same command goes on" in printed
    assert not target.exists()
    assert not list(tmp_path.rglob("*.part"))
    done = srvid(*arguments)
    assert done.returncode == 0, done.stderr
    assert "going on: " in done.stderr


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
    assert done.returncode == 1
    assert "was changed on the disk" in done.stderr
    assert not target.exists()
    done = srvid(clip("plain.mp4"), target, *arguments)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == undisturbed.read_bytes()


def wait_for_segments(work: Path, process: subprocess.Popen[str], count: int) -> None:
    """Until `count` segments are recorded, the process still at work."""
    while len(list(work.glob("0*.json"))) < count:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[0]
