"""Runs that are stopped, killed, or have nowhere to write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import NEAREST, SRVID, environment, outputs, srvid


def started(source: Path, target: Path) -> subprocess.Popen[str]:
    """A straight run, without segments, that has encoded its first frames."""
    process = subprocess.Popen(
        [*SRVID, str(source), str(target), "--model", "nearest", "--codec", "ffv1", "--json", "--no-segments"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["frames"] > 3:
            return process
    raise AssertionError(f"never got going: {process.communicate()}")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_stops_and_leaves_nothing(long_source: Path, tmp_path: Path, name: str) -> None:
    """Ctrl-C, a service manager, a terminal that is closed."""
    number = signal.Signals[name]
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("this test run was started so that it ignores the signal, and so would srvid")
    process = started(long_source, tmp_path / "out.mkv")
    assert "out.mkv.part" in outputs(tmp_path)
    process.send_signal(number)
    _, message = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "srvid: stopped" in message
    assert "\n\n" not in message
    assert outputs(tmp_path) == []


@pytest.mark.parametrize("frames_given", [0, 1])
def test_ctrl_c_ends_a_wait_for_a_silent_pipe(source: Path, tmp_path: Path, frames_given: int) -> None:
    """FFmpeg is blocked in a read then; the process must end, and must not crash."""
    command = [*SRVID, "-", str(tmp_path / "out.mkv"), *NEAREST]
    with subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        if frames_given:
            process.stdin.write(source.read_bytes()[:-3000])
            process.stdin.flush()
            plan = process.stderr.readline()  # it has begun
            assert b"yuv420p" in plan, plan + process.stderr.read()
        else:
            _wait_until_it_reads(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=600) == 130, process.stderr.read()
    assert outputs(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_module_is_loaded_gives_the_same_code(tmp_path: Path, number: int) -> None:
    """Dataclasses are made by `exec` of a string: after one that was interrupted, `python -m` died of SIGINT."""
    (tmp_path / "work.py").write_text(
        "import click; from srvid_cli.errors import run_command\n"
        "@click.command()\n"
        "def work():\n"
        f"    exec('import signal; signal.raise_signal({number.value})')\n"
        "run_command(work, 'work')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "work"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert ended.returncode == 130, ended.stderr
    assert "work: stopped" in ended.stderr


def _wait_until_it_reads(pid: int) -> None:
    """Until one of its threads waits for the first bytes of the pipe."""
    deadline = time.monotonic() + 600
    while not any("pipe" in _waits_in(task) for task in Path(f"/proc/{pid}/task").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _waits_in(task: Path) -> str:
    try:
        return (task / "wchan").read_text()
    except OSError:  # it has ended
        return ""


def test_a_killed_run_leaves_no_file_under_the_final_name(long_source: Path, tmp_path: Path) -> None:
    process = started(long_source, tmp_path / "out.mkv")
    process.kill()
    process.communicate(timeout=600)
    assert "out.mkv" not in outputs(tmp_path)
    assert "out.mkv.part" in outputs(tmp_path)
    done = srvid(long_source, tmp_path / "out.mkv", *NEAREST, "--end", "0.5")
    assert done.returncode == 0, done.stderr
    assert outputs(tmp_path) == ["out.mkv"]


def test_a_full_disk_is_an_error_with_a_hint_and_leaves_nothing(long_source: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = srvid(long_source, tmp_path / "out.mkv", *NEAREST, "-q", preexec_fn=limited)
    assert done.returncode == 1
    assert "cannot write out.mkv" in done.stderr
    assert "hint:" in done.stderr
    assert outputs(tmp_path) == []
