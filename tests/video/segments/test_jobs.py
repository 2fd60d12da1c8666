"""`srkit jobs` finds what was left unfinished and says how much of it can be watched."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from srvid_cli.srkit.jobs import command

Clip = Callable[[str], Path]
Start = Callable[..., subprocess.Popen[str]]
Run = Callable[..., subprocess.CompletedProcess[str]]
ARGUMENTS = ("--segment", 1, "--codec", "libx264", "--preset", "slower")


def jobs(*arguments: str) -> str:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_stopped_run_is_listed_can_be_watched_and_disappears_when_done(
    clip: Clip, srvid: Run, start_srvid: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path / "cache"))
    target = tmp_path / "out.mp4"
    assert jobs() == "no unfinished jobs\n"
    process = start_srvid(clip("plain.mp4"), target, *ARGUMENTS)
    while len(list((tmp_path / "out.mp4.srvid").glob("0*.json"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    assert "running" in jobs()
    process.kill()
    process.wait()
    line = jobs()
    assert line.startswith(f"{target}  stopped  ")
    assert "of 6 segments" in line
    shown = jobs("show", str(target))
    assert "to watch, up to 0:0" in shown
    first = tmp_path / "out.mp4.srvid" / "00000.nut"
    with av.open(str(first)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 25
    assert srvid(clip("plain.mp4"), target, *ARGUMENTS).returncode == 0
    assert jobs() == "no unfinished jobs\n"


def test_asking_for_a_job_that_is_not_there_says_where_to_look(tmp_path: Path) -> None:
    main = "from srvid_cli.srkit import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", main, "jobs", "show", str(tmp_path / "out.mp4")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "hint: srkit jobs lists them" in done.stderr
