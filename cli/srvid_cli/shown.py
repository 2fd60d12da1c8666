"""The last door before the terminal: what is printed, by whomever, holds no control characters.

Messages are made printable where they are made. Python's own tracebacks, click's complaints and
libraries' warnings also repeat names that came from files; here they pass, too.
"""

from __future__ import annotations

import io
import sys
from typing import TextIO

from sr_core.wording import printable

_KEPT = "\n\t"


class _Shown(io.TextIOWrapper):
    """A text stream on the buffer of another, `terminal`, which must live as long."""

    def __init__(self, terminal: io.TextIOWrapper) -> None:
        super().__init__(
            terminal.buffer,
            encoding=terminal.encoding,
            errors=terminal.errors,
            line_buffering=terminal.line_buffering,
            write_through=terminal.write_through,
        )
        self.terminal = terminal

    def write(self, text: str) -> int:
        super().write(printable(text, keep=_KEPT))
        return len(text)


def show_control_characters() -> None:
    """From now on, stdout and stderr show control characters instead of sending them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:
            stream.flush()
            setattr(sys, name, _Shown(stream))


def terminal_of(stream: TextIO) -> TextIO:
    """Where a progress line may move the cursor."""
    if isinstance(stream, _Shown):
        stream.flush()
        return stream.terminal
    return stream
