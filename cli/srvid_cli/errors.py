"""How a command ends: exit codes and what is printed.

0 done   1 an SrError, printed as `name: message` and `hint: …`   2 wrong usage   130 Ctrl-C or SIGTERM
"""

from __future__ import annotations

import codecs
import errno
import io
import logging
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from sr_core.errors import SrError

_STREAM_ERRORS = {errno.ENOSPC, errno.EBADF, errno.EIO}  # of stdout, on a full disk or closed

_TERMINAL_WIDTH = 80
_LOOKS_LIKE = {"█": "#", "·": ".", "→": "->", "…": "...", "×": "x"}


def run_command(command: click.Command, name: str) -> NoReturn:
    """Run `command` as the program `name` and exit with the code that fits."""
    _occupy_standard_streams()
    _draw_in_ascii()
    logging.lastResort = _Warnings(name)  # where nobody set up logging
    signal.signal(signal.SIGTERM, _interrupt)  # a service manager's stop ends the work tidily too
    try:
        code = command.main(prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        print(f"{name}: stopped", file=sys.stderr)  # click has ended the line with ^C on it
        sys.exit(130)
    except BrokenPipeError:
        _discard_stdout()  # the reader of our output went away
        sys.exit(1)
    except SrError as error:
        print_error(name, error)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _STREAM_ERRORS or error.filename is not None:
            raise
        _discard_stdout()
        print(f"{name}: cannot write: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _occupy_standard_streams() -> None:
    """Give a stream that the caller closed (`srvid … >&-`) something to be.

    Otherwise Python has None there, and the next file opened gets its number: what FFmpeg says on 2
    would land in the output. Standard output still refuses to be written, messages go nowhere.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_RDWR)  # takes the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # for the rest of the process


class _Warnings(logging.Handler):
    """Prints a warning as a line of its own, over a progress line that may stand there."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self._name = name

    def emit(self, record: logging.LogRecord) -> None:
        start = "\r" if sys.stderr.isatty() else ""
        print(f"{start}{self._name}: {record.getMessage()}".ljust(_TERMINAL_WIDTH if start else 0), file=sys.stderr)


def _draw_in_ascii() -> None:
    """Where the terminal's encoding lacks a bar, a dot or an arrow, print what looks most like it."""
    codecs.register_error("srvid", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="srvid")


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    """One character that cannot be encoded → what is printed instead, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    char = error.object[error.start]
    after = error.start + 1
    if "\udc80" <= char <= "\udcff":
        return bytes([ord(char) - 0xDC00]), after  # a byte of a file's name, as Python keeps it
    return _LOOKS_LIKE.get(char) or char.encode("ascii", "backslashreplace").decode(), after


def _discard_stdout() -> None:
    """Keep Python from complaining again at exit, where it writes what is left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def print_error(name: str, error: SrError) -> None:
    """Print an error and its hint to stderr."""
    print(f"{name}: {error}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
