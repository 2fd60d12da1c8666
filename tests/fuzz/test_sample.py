"""A part of the fuzzer's cases, on every submission: none may fail in any of the ways it knows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_no_damaged_file_of_the_sample_fails_otherwise_than_in_words(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--sample", "--jobs", "2", "--work", str(tmp_path)],
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "| inputs | 200 | 225 | 15 | 50 | 10 | 500 |" in done.stdout
