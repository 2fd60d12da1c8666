"""srbatch's journal and lock are files of OUT: never links, pipes or folders that somebody put there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.batch.conftest import Run, picture

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of another kind")


@pytest.mark.parametrize("name", [".srbatch.jsonl", ".srbatch.lock"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_has_the_journals_name_is_refused_in_a_line_and_kept(
    name: str, kind: str, srbatch: Run, tmp_path: Path
) -> None:
    picture(tmp_path / "a.png")
    own, victim = tmp_path / "out" / name, tmp_path / "victim.txt"
    own.parent.mkdir()
    victim.write_text("precious")
    {"link": lambda: own.symlink_to(victim), "pipe": lambda: os.mkfifo(own), "folder": own.mkdir}[kind]()
    done = srbatch("a.png", "out/")
    assert done.code == 1
    assert f"{name} is a" in done.err
    assert "Traceback" not in done.err
    assert victim.read_text() == "precious"
    assert not (tmp_path / "out/a.png").exists()
