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
