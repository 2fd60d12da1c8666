"""The progress line: what it says in how much room, on real terminals that change their size."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srvid_cli.batch.report import status_of
from srvid_cli.progress import ProgressLine, Status

FULL = Status(share=0.42, seconds_left=200, details=("512/1219 frames", "4.25 fps", "0.17x real time"))
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine is no failure
@given(width=st.integers(4, 200), share=st.none() | st.floats(0, 2), left=st.none() | st.floats(0, 1e6))
def test_the_line_never_is_wider_than_its_room(width: int, share: float | None, left: float | None) -> None:
    status = Status(share=share, seconds_left=left, details=("512/1219 frames", "4.25 fps", "0.17x real time"))
    assert len(status.text(width)) <= width


def test_sixty_columns_show_percent_and_time_left_first() -> None:
    assert FULL.text(60).startswith(" 42%  3:20 left  ")
    assert "512/1219 frames" in FULL.text(60)
    assert FULL.text(15) == " 42%  3:20 left"


class Terminal:
    """A pseudo-terminal that keeps what is written, and whose size can be changed."""

    def __init__(self, columns: int) -> None:
        self._leader, follower = pty.openpty()
        self.resize(columns)
        self.stream: TextIO = os.fdopen(follower, "w", encoding="utf-8")
        self._read = bytearray()
        self._reader = threading.Thread(target=self._collect)
        self._reader.start()

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def _collect(self) -> None:
        try:
            while piece := os.read(self._leader, 4096):
                self._read += piece
        except OSError:  # the other side was closed
            return

    def lines(self) -> list[str]:
        """Everything ever drawn, line by line; the terminal is closed."""
        self.stream.close()
        self._reader.join(timeout=10)
        os.close(self._leader)
        text = _CONTROL.sub("\r", self._read.decode())
        return [line for line in re.split(r"[\r\n]+", text) if line]


@contextmanager
def columns_of(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's own terminal, if any, must not answer for it: rich asks the standard streams."""
    for name in ("COLUMNS", "LINES", "TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("rich.console._STD_STREAMS", (terminal.stream.fileno(),))
    yield


def advance(line: ProgressLine, frames: int) -> None:
    line.update(done=frames, total=1000, elapsed_seconds=frames / 10, position_seconds=frames / 25)


def drawn(monkeypatch: pytest.MonkeyPatch, use: Callable[[Terminal, ProgressLine], None], columns: int) -> list[str]:
    terminal = Terminal(columns)
    with columns_of(terminal, monkeypatch):
        line = ProgressLine(stream=terminal.stream)
        use(terminal, line)
        line.clear()
    return terminal.lines()


def refresh(line: ProgressLine) -> None:
    assert line._live is not None
    line._live.refresh()


def test_a_terminal_that_shrinks_in_the_middle_gets_shorter_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(terminal: Terminal, line: ProgressLine) -> None:
        advance(line, 100)
        advance(line, 200)
        refresh(line)
        terminal.resize(30)
        advance(line, 500)
        refresh(line)

    lines = drawn(monkeypatch, use, 100)
    assert max(len(text) for text in lines if "20%" in text) > 60
    assert all(len(text) < 30 for text in lines if "50%" in text)
    assert any("50%" in text for text in lines)


def test_speed_and_real_time_are_read_from_one_clock() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream=stream)
    line.update(done=1, total=1000, elapsed_seconds=60, position_seconds=0.04)  # a minute to warm up
    line._printed_at = -1e9
    line.update(done=251, total=1000, elapsed_seconds=70, position_seconds=10.04)
    assert "25 fps" in stream.getvalue()
    assert "1.00x real time" in stream.getvalue()  # 25 fps of a clip that has 25


def test_without_a_terminal_each_phase_is_named_once() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream=stream)
    for share in (0.1, 0.5, 0.9):
        line.phase("building the engine", share)
    line.phase("measuring tiles", 0.0)
    assert stream.getvalue().splitlines() == ["building the engine …", "measuring tiles …"]


def test_the_line_says_what_it_waits_for_before_the_first_frame() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream=stream)
    line.phase("opening the engine")
    line.update(done=0, total=100, elapsed_seconds=3)
    assert stream.getvalue().splitlines()[-1].endswith("0/100 frames  opening the engine")


def test_quiet_says_nothing_at_all() -> None:
    stream = io.StringIO()
    line = ProgressLine(is_quiet=True, stream=stream)
    line.phase("opening the engine")
    advance(line, 500)
    line.say("note: something")
    line.clear()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("share", "shown"), [(0.0, "0%"), (0.29, "29%"), (0.996, "99%"), (0.9999, "99%"), (1, "100%")])
def test_a_hundred_percent_is_all_of_it(share: float, shown: str) -> None:
    assert Status(share=share).text(60).split()[0] == shown


@pytest.mark.parametrize(("files", "done"), [(0, 50), (0, 100), (1, 100), (1, 130), (2, 200), (2, 180)])
def test_the_percent_of_a_batch_agrees_with_its_count_of_files(files: int, done: int) -> None:
    text = status_of(files=files, of_files=2, done=done, total=200 if files else 100, seconds=3).text(60)
    assert ("100%" in text) == (files == 2)
    assert f"{files}/2 files" in text


def test_a_file_whose_pixels_are_through_is_being_written() -> None:
    text = status_of(files=0, of_files=1, done=100, total=100, seconds=3).text(60)
    assert text.startswith(" 99%  [")
    assert text.endswith("]  0/1 file  writing")
    assert "left" not in text
