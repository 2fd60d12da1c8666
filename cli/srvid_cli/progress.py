"""Progress for people: one line on stderr that rewrites itself and fits any terminal; plain lines elsewhere.

     42%  3:20 left  [██████████··············]  512/1219 frames  4.25 fps  0.17x real time

What matters most comes first, and what does not fit is left out from the end, so 60 columns show
share and time left, and so do 30. Rich draws: it knows the terminal's width at every moment.

A terminal that is made narrower breaks the line that stands there into several rows, and moves the cursor with
the character it stands at. So the cursor waits at the line's first character: from there, wherever it is now,
all rows of the old line can be erased. See _Drawn.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from sr_core.wording import count_of, printable
from sr_video.timing import text_from_seconds
from srvid_cli.shown import terminal_of
from srvid_cli.spelling import tell

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

_PLAIN_SECONDS = 30.0  # between lines where stderr is not a terminal
_BAR_WIDTH, _LEAST_BAR = 24, 8
_REDRAWS_PER_SECOND = 8
_GAP = "  "
_ERASE_BELOW = "\x1b[J"  # ECMA-48 §8.3.39: from the cursor to the end of the screen
_FLOAT_NOISE = 1e-9  # 100 * 0.29 is 28.999999999999996


@dataclass(frozen=True, kw_only=True)
class Status:
    """What the line says now; `share` is 0..1, None where nobody knows."""

    share: float | None
    seconds_left: float | None = None
    details: Sequence[str] = ()

    def text(self, width: int | None = None) -> str:
        """At most `width` characters; None: everything, without a bar."""
        head = []
        details = [printable(detail) for detail in self.details]
        if self.share is not None:
            head.append(percent(self.share))
        if self.seconds_left is not None:
            head.append(f"{text_from_seconds(self.seconds_left)} left")
        if width is None:
            return _GAP.join((*head, *details)).strip()
        kept = list(head)
        for detail in details:
            if len(_GAP.join((*kept, detail))) > width:
                break
            kept.append(detail)
        room = width - len(_GAP.join(kept)) - len(_GAP) - 2
        if self.share is not None and room >= _LEAST_BAR:
            kept.insert(len(head), _bar(self.share, min(_BAR_WIDTH, room)))
        return _GAP.join(kept)[:width]


def percent(share: float) -> str:
    """Four characters, rounded down: 100 % only when all is done."""
    return f"{math.floor(100 * min(1.0, share) + _FLOAT_NOISE):3d}%"


def _bar(share: float, width: int) -> str:
    filled = int(min(1.0, share) * width)
    return f"[{'█' * filled}{'·' * (width - filled)}]"


class ProgressLine:
    """The line of one command; thread-safe where its caller is."""

    def __init__(self, *, is_quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_quiet = is_quiet
        self._speed = _Speed()
        self._live: Live | None = None
        self._status = Status(share=None)
        self._phase = ""
        self._printed_at = -_PLAIN_SECONDS
        self._console: Console | None = None
        if not is_quiet and self._stream.isatty():
            from rich.console import Console

            console = Console(file=terminal_of(self._stream), highlight=False, soft_wrap=True)
            self._console = None if console.is_dumb_terminal else console

    def update(
        self, *, done: int, total: int | None, elapsed_seconds: float, position_seconds: float | None = None
    ) -> None:
        """Show how many frames are done; `position_seconds` of video gives the speed against real time."""
        details = [f"{done}/{count_of(total, 'frame')}" if total else count_of(done, "frame")]
        fps, real_time = self._speed.measured(done, position_seconds or 0.0, elapsed_seconds)
        if fps:
            details.append(f"{fps:.2f} fps" if fps < 10 else f"{fps:.0f} fps")
        if real_time:
            details.append(f"{real_time:.2f}x real time")
        if not done:
            details.append(self._phase or "waiting for the first frame")
        self.show(
            Status(
                share=done / total if total else None,
                seconds_left=(total - done) / fps if total and fps and done < total else None,
                details=details,
            )
        )

    @property
    def seconds_left(self) -> float | None:
        """What the line shows; None where nobody knows yet."""
        return self._status.seconds_left

    def show(self, status: Status) -> None:
        """Show `status` now; where lines cannot be rewritten, one line in half a minute."""
        self._status = status
        if self._is_quiet:
            return
        if self._console is not None:
            self._draw(self._console)
        elif time.monotonic() - self._printed_at >= _PLAIN_SECONDS:
            self._printed_at = time.monotonic()
            self._write(status.text())

    def phase(self, name: str, share: float | None = None) -> None:
        """Show work that comes before the first frame, such as building an engine; named once without a terminal."""
        begins, self._phase = name != self._phase, name
        if self._console is not None:
            self.show(Status(share=share, details=(name,)))
        elif begins and not self._is_quiet:
            self._write(f"{printable(name)} …")

    def clear(self) -> None:
        """Remove the line, so that something else can be printed."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Print a line of its own, unless quiet."""
        if not self._is_quiet:
            self.clear()
            self._write(tell(text))

    def _draw(self, console: Console) -> None:
        if self._live is None:
            from rich.live import Live

            self._live = Live(
                get_renderable=self._drawn,
                console=console,
                transient=True,
                redirect_stdout=False,  # it may be the video
                refresh_per_second=_REDRAWS_PER_SECOND,
            )
            self._live.start()

    def _drawn(self) -> _Drawn:
        assert self._console is not None
        # one column is left free: some terminals wrap what fills the last one
        return _Drawn(self._status.text(self._console.width - 1))

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


@dataclass(frozen=True)
class _Drawn:
    """The line as Rich renders it: what stood there is erased to the end of the screen, the cursor goes back."""

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import ControlType, Segment
        from rich.text import Text

        # the codes are for the old Windows console, which knows no sequences and breaks no lines again
        yield Segment(f"\r{_ERASE_BELOW}", None, [(ControlType.CARRIAGE_RETURN,)])
        yield Text(self.text, no_wrap=True, overflow="crop", end="")
        yield Segment("\r", None, [(ControlType.CARRIAGE_RETURN,)])


class _Speed:
    """Frames a second and speed against real time, both from the first frame on, by one clock.

    The first frame waits for the engine to warm up, which says nothing of the frames to come.
    """

    def __init__(self) -> None:
        self._first: tuple[int, float, float] | None = None

    def measured(self, done: int, position: float, elapsed: float) -> tuple[float, float]:
        """(frames a second, seconds of video a second); 0 where that is not known yet."""
        if not done:
            return 0.0, 0.0
        if self._first is None:
            self._first = (done, position, elapsed)
        frames, start, began = self._first
        seconds = elapsed - began
        if done <= frames or seconds <= 0:
            return 0.0, 0.0
        return (done - frames) / seconds, max(0.0, position - start) / seconds
