"""Every folder of cases has its row, and every row comes out as it must."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cases.rows import ROWS
from tests.conftest import PROJECT, skip_or_fail

RUN = sorted(name for name, row in ROWS.items() if row.commands)
HELD = sorted(name for name, row in ROWS.items() if row.held_by)


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of cases beside the project; what needs it skips without, except in CI."""
    folder = PROJECT.parent / "shared" / "cases"
    if not folder.is_dir():
        skip_or_fail(f"needs {folder}")
    return folder


@pytest.fixture(scope="session")
def found(cases: Path) -> dict[str, dict[str, Any]]:
    """What came of every row, run once in children of a process without threads."""
    if sys.platform == "win32":
        pytest.skip("forks")
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.cases", "--cases", str(cases)],
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {entry["folder"]: entry for entry in map(json.loads, done.stdout.splitlines())}


def test_every_folder_of_cases_has_its_row(cases: Path) -> None:
    folders = {readme.parent.relative_to(cases).as_posix() for readme in cases.rglob("README.txt")}
    assert folders == set(ROWS)


@pytest.mark.parametrize("name", RUN)
def test_a_case_comes_out_as_it_must(name: str, found: dict[str, dict[str, Any]]) -> None:
    row, ended = ROWS[name], found[name]
    for ending in ended["endings"]:
        assert ending["outcome"] in ("kept", "refused"), (ending, ended["said"])
        assert row.code is None or ending["code"] == row.code, (ending, ended["said"])
    assert re.search(row.says, ended["said"]), ended["said"]
    assert not row.never or not re.search(row.never, ended["said"]), ended["said"]
    assert (ended["changed"], ended["missing"], ended["parts"]) == ([], [], [])


@pytest.mark.parametrize("name", HELD)
def test_a_case_that_is_not_run_here_is_held_by_a_test(name: str) -> None:
    path, _, function = ROWS[name].held_by.partition("::")
    text = (PROJECT / path).read_text()
    assert f"def {function}(" in text if function else "def test_" in text
