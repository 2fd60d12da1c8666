"""srbatch with worker processes: the same files, a bad image alone, nothing left after Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from tests.batch.conftest import Run, command, environment, picture, tree


def test_processes_make_the_files_of_one_process_and_a_bad_one_fails_alone(srbatch: Run, tmp_path: Path) -> None:
    names = ["a.png", "deeper/b.jpg", "c.tif", "d.webp"]
    for index, name in enumerate(names):
        picture(tmp_path / "in" / name, seed=index)
    good = (tmp_path / "in/a.png").read_bytes()
    (tmp_path / "in/bad.png").write_bytes(good[: len(good) // 2])
    alone = srbatch("in", "alone")
    shared = srbatch("in", "shared", "--workers", "2")
    assert (alone.code, shared.code) == (1, 1), shared.err
    assert tree(tmp_path / "shared") == tree(tmp_path / "alone") == sorted(names)
    for name in names:
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert "0 done, 4 up to date, 1 failed" in srbatch("in", "shared").err  # the same journal


def test_ctrl_c_ends_processes_and_leaves_finished_files_only(tmp_path: Path) -> None:
    for index in range(12):
        picture(tmp_path / f"in/{index:02}.png", (500, 400), seed=index)
    arguments = command("in", "out", "--workers", "2", "--jobs", "1")
    process = subprocess.Popen(arguments, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "out").glob("*.png")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not [name for name in tree(tmp_path / "out") if not name.endswith(".png") or name.startswith(".")]
