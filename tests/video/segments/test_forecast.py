"""`--plan` measures a little, writes nothing, and is about right."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Clip = Callable[[str], Path]
Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_plan_says_what_a_run_would_be_like_and_writes_nothing(clip: Clip, srvid: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    done = srvid(clip("plain.mp4"), target, "--plan", "--json", "--segment", 2, "--workers", 2)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["frames"] == 150
    assert plan["segments"] == 3
    assert plan["workers"] == 2
    assert plan["fps"] > 0
    assert abs(plan["eta_seconds"] - 150 / plan["fps"]) < 0.1
    assert list(tmp_path.iterdir()) == []
    assert srvid(clip("plain.mp4"), target, "--no-audio").returncode == 0
    video = target.stat().st_size
    assert 0.5 < plan["output_bytes"] / video < 2


def test_a_plan_names_what_will_be_lost(clip: Clip, srvid: Run, tmp_path: Path) -> None:
    done = srvid(clip("interlaced.mkv"), tmp_path / "out.mp4", "--plan")
    assert done.returncode == 0, done.stderr
    assert "note     the video is interlaced" in done.stdout
    assert "speed " in done.stdout
    assert "steady" not in done.stdout


def test_a_plan_of_a_video_shorter_than_half_its_sound_measures_its_beginning(
    clip: Clip, srvid: Run, tmp_path: Path
) -> None:
    source = tmp_path / "in.mkv"
    inputs = ["-i", str(clip("tiny.mp4")), "-f", "lavfi", "-i", "sine=d=6:r=8000"]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-c:v", "copy", "-c:a", "flac", str(source)], check=True)
    done = srvid(source, tmp_path / "out.mkv", "--plan", "--json", "--steady")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["fps"] > 0
    assert plan["steady"]
    shown = srvid(source, tmp_path / "out.mkv", "--plan", "--steady").stdout
    assert "steady   each frame is averaged with the one before and the one after" in shown


def test_a_plan_of_a_start_after_the_end_says_so(clip: Clip, srvid: Run, tmp_path: Path) -> None:
    done = srvid(clip("tiny.mp4"), tmp_path / "out.mkv", "--plan", "--start", 100)
    assert done.returncode == 1
    assert "srvid: no frame lies between --start and --end\nhint: " in done.stderr
