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
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import click

from sr_core.errors import SrError
from sr_core.wording import printable
from srvid_cli.command import LongCommand
from srvid_cli.shown import show_control_characters, terminal_of
from srvid_cli.spelling import tell_error

_STREAM_ERRORS = {errno.ENOSPC, errno.EBADF, errno.EIO}  # of stdout, on a full disk or closed

_TERMINAL_WIDTH, _LINE_END = 80, "\n"
_LOOKS_LIKE = {"█": "#", "·": ".", "→": "->", "…": "...", "×": "x"}


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or another signal that ends the program.

    A plain KeyboardInterrupt that passes through `exec` of a string, as dataclasses are made while a module is
    imported, marks the process: `python -m` ends by SIGINT (-2) then, whatever code it asked to exit with. Only the
    class itself does (`run_eval_code_obj` in CPython's pythonrun.c), not a subclass.
    """


def run_command(command: click.Command, name: str) -> NoReturn:
    """Run `command` as the program `name` and exit with the code that fits."""
    _occupy_standard_streams()
    _draw_in_ascii()
    show_control_characters()
    logging.lastResort = _Warnings(name)  # where nobody set up logging
    _listen_to_signals(f"{name}: stopping …" if isinstance(command, LongCommand) else "")
    try:
        code = command.main(prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _print_usage_error(name, error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        with suppress(OSError):  # the terminal may be gone
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
        line = f"{self._name}: {printable(record.getMessage(), keep=_LINE_END)}"
        print(f"{start}{line}".ljust(_TERMINAL_WIDTH if start else 0), file=terminal_of(sys.stderr))


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


def _listen_to_signals(answer: str) -> None:
    """Let what asks the program to end do so tidily, as Ctrl-C; `answer` is said at once."""
    start = "\r" if sys.stderr.isatty() else ""
    line = f"{start}{answer}\n".encode(sys.stderr.encoding or "ascii", "srvid")

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        if answer:
            with suppress(OSError):  # the terminal may be gone
                os.write(2, line)  # not print: what is interrupted may be writing there
        raise Interrupted

    signal.signal(signal.SIGTERM, interrupt)  # a service manager's stop ends the work tidily too
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background job does not listen
        signal.signal(signal.SIGINT, interrupt)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup wants to go on
        signal.signal(signal.SIGHUP, interrupt)  # the terminal was closed


def _print_usage_error(name: str, error: click.ClickException) -> None:
    """What click refuses, as everything else is refused: one line, and one with what to do next."""
    context = getattr(error, "ctx", None)
    path = name if context is None else context.command_path
    print(f"{path}: {printable(error.format_message())}", file=sys.stderr)
    print(f"hint: {path} --help shows how it is called", file=sys.stderr)


def print_error(name: str, error: SrError) -> None:
    """Print an error and its hint to stderr."""
    message, hint = tell_error(error)
    print(f"{name}: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
