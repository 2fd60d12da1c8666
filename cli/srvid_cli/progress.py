"""Progress for people: one line on stderr that rewrites itself; plain lines where it cannot."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from sr_core.timing import text_from_seconds
from sr_core.wording import counted

_PLAIN_SECONDS = 30.0  # between lines where stderr is not a terminal
_BAR_WIDTH = 24


class ProgressLine:
    """Frames, share, speed, time left.

    The first seconds hold the engine's warm-up, so speed is taken from the first frame on.
    """

    def __init__(self, *, is_quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_quiet = is_quiet
        self._rewrites = self._stream.isatty()
        self._width = 0
        self._first: tuple[int, float] | None = None
        self._printed_at = 0.0

    def update(
        self, *, done: int, total: int | None, elapsed_seconds: float, position_seconds: float | None = None
    ) -> None:
        """Show where it is; `position_seconds` of video gives the speed against real time."""
        if self._is_quiet:
            return
        if self._first is None and done:
            self._first = (done, elapsed_seconds)
        now = time.monotonic()
        if not self._rewrites and now - self._printed_at < _PLAIN_SECONDS:
            return
        self._printed_at = now
        self._show(self._text(done, total, elapsed_seconds, position_seconds))

    def _text(self, done: int, total: int | None, elapsed: float, position: float | None) -> str:
        parts = [f"{done}/{counted(total, 'frame')}" if total else counted(done, "frame")]
        if total:
            share = min(1.0, done / total)
            filled = int(share * _BAR_WIDTH)
            parts.insert(0, f"[{'█' * filled}{'·' * (_BAR_WIDTH - filled)}] {share:4.0%}")
        fps = self._frames_per_second(done, elapsed)
        if fps:
            parts.append(f"{fps:.2f} fps" if fps < 10 else f"{fps:.0f} fps")
            if position:
                parts.append(f"{position / elapsed:.2f}x real time")
            if total and done < total:
                parts.append(f"{text_from_seconds((total - done) / fps)} left")
        else:
            parts.append("starting")
        return "  ".join(parts)

    def _frames_per_second(self, done: int, elapsed: float) -> float:
        if self._first is None:
            return 0.0
        if done <= self._first[0] or elapsed <= self._first[1]:
            return done / elapsed
        return (done - self._first[0]) / (elapsed - self._first[1])

    def _show(self, text: str) -> None:
        if self._rewrites:
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def phase(self, name: str, share: float) -> None:
        """Show work that comes before the first frame, such as building an engine."""
        if not self._is_quiet and self._rewrites:
            self._show(f"{name} {share:4.0%}")

    def clear(self) -> None:
        """Remove the line, so that something else can be printed."""
        if self._rewrites and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0

    def say(self, text: str) -> None:
        """Print a line of its own, unless quiet."""
        if not self._is_quiet:
            self.clear()
            self._stream.write(text + "\n")
            self._stream.flush()
