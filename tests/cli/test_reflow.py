"""The progress line in tmux, a terminal that breaks a line into rows when it is made narrower."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail

PROJECT = Path(__file__).resolve().parents[2]
WIDE, NARROW = 100, 24
SCRIPT = f"""
import os, time
from srvid_cli import progress

for number in range(40):  # the screen is full: tmux pushes rows out before it uses the empty ones below
    print("before", number, flush=True)
progress._REDRAWS_PER_SECOND = 1e-6  # what is measured before the terminal shrinks and written after it breaks, too
line = progress.ProgressLine()
for frames in (100, 200):
    line.update(done=frames, total=1000, elapsed_seconds=frames / 10, position_seconds=frames / 25)
line._live.refresh()
while os.get_terminal_size().columns != {NARROW}:
    time.sleep(0.05)
line._live.refresh()
line.clear()
print("after", flush=True)
time.sleep(600)
"""


class Tmux:
    """One server of its own, with one pane."""

    def __init__(self, socket: Path, program: str) -> None:
        self._words = ("tmux", "-S", str(socket), "-f", "/dev/null", "-u")
        self("new-session", "-d", "-x", str(WIDE), "-y", "24", program)

    def __call__(self, *words: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "COLUMNS", "LINES")}
        environment["PYTHONPATH"] = os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])
        done = subprocess.run([*self._words, *words], env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    def lines(self) -> list[str]:
        """All that the pane shows, and what was pushed out above it."""
        return [line for line in self("capture-pane", "-p", "-S", "-").splitlines() if line]

    def wait_for(self, text: str) -> list[str]:
        """The lines, once `text` is among them; pytest's own limit ends a wait in vain."""
        while text not in "\n".join(lines := self.lines()):
            time.sleep(0.05)
        return lines


@pytest.fixture
def tmux() -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        skip_or_fail("needs tmux")
    with tempfile.TemporaryDirectory() as folder:  # a socket's name is short; pytest's folders are long
        (Path(folder) / "draw.py").write_text(SCRIPT)
        server = Tmux(Path(folder) / "socket", shlex.join([sys.executable, f"{folder}/draw.py"]))
        yield server
        server("kill-server")


def test_no_row_of_a_broken_line_stays_behind(tmux: Tmux) -> None:
    tmux.wait_for("real time")
    tmux("resize-window", "-x", str(NARROW))
    assert tmux.wait_for("after")[-3:] == ["before 38", "before 39", "after"]
