"""How a command ends: exit codes and what is printed.

0 done   1 an SrError, printed as `name: message` and `hint: …`   2 wrong usage   130 Ctrl-C or SIGTERM
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from sr_core.errors import SrError


def run_command(command: click.Command, name: str) -> NoReturn:
    """Run `command` as the program `name` and exit with the code that fits."""
    signal.signal(signal.SIGTERM, _interrupt)  # a service manager's stop ends the work tidily too
    try:
        code = command.main(prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        print(f"\n{name}: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # the reader of our output went away; keep Python from complaining again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except SrError as error:
        print_error(name, error)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def print_error(name: str, error: SrError) -> None:
    """Print an error and its hint to stderr."""
    print(f"{name}: {error}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
