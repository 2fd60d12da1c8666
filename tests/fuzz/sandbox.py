"""One case in a forked child: limits of time and memory, its words in a file, and how it ended.

A fork of a process that has everything imported costs milliseconds where a new interpreter costs a
second. The child becomes the command: the real entry point with the real `sys.argv`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ADDRESS_BYTES = 6 << 30  # beyond it, allocation fails: protects the machine
CPU_SECONDS = 20  # of work, for inputs of a few kilobytes
WALL_SECONDS = 300.0  # of waiting, on a machine that may be shared with ten times its work
_SAID, _ENDED, _JUDGED = "said.txt", "ended.json", "judged.txt"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one child ended.

    Attributes:
        code: exit code of the command; None where it did not come to its end.
        signal: what killed the child, after `code` was known or before; 0 = nothing.
        timed_out: it was killed for taking too long.
        peak_bytes: most memory of the child and of its own children, the interpreter included.
        said: stdout and stderr.
        judged: what the second opinion found wrong; '' = nothing.
    """

    code: int | None
    signal: int
    timed_out: bool
    peak_bytes: int
    seconds: float
    said: bytes
    judged: str


@dataclass
class Child:
    """A case under way."""

    pid: int
    notes: Path
    started: float
    timed_out: bool = False

    def kill_if_late(self) -> None:
        """End it where its time is over."""
        if time.monotonic() - self.started > WALL_SECONDS and not self.timed_out:
            self.timed_out = True
            os.killpg(self.pid, signal.SIGKILL)

    def ended(self, status: int) -> Ended:
        """What it left, once it has been waited for."""
        _kill_rest(self.pid)
        by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        facts = json.loads(_text(self.notes / _ENDED) or "{}")
        return Ended(
            code=facts.get("code"),
            signal=by,
            timed_out=self.timed_out or by == signal.SIGXCPU,
            peak_bytes=facts.get("peak_bytes", 0),
            seconds=time.monotonic() - self.started,
            said=(self.notes / _SAID).read_bytes() if (self.notes / _SAID).exists() else b"",
            judged=_text(self.notes / _JUDGED),
        )


def start(command: Callable[[], object], judge: Callable[[int, bytes], str], *, folder: Path, notes: Path) -> Child:
    """Fork a child that runs `command` in `folder` and then `judge` on its exit code and its words."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        try:
            _be_the_case(command, judge, folder, notes)
        finally:
            os._exit(70)
    return Child(pid=pid, notes=notes, started=time.monotonic())


def _be_the_case(command: Callable[[], object], judge: Callable[[int, bytes], str], folder: Path, notes: Path) -> None:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    said = os.open(notes / _SAID, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(number, target)
    os.chdir(folder)
    code = _code_of(command)
    sys.stdout.flush()
    sys.stderr.flush()
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    (notes / _ENDED).write_text(json.dumps({"code": code, "peak_bytes": max(usage) * 1024}))
    (notes / _JUDGED).write_text(judge(code, (notes / _SAID).read_bytes()))
    os._exit(0)


def _code_of(command: Callable[[], object]) -> int:
    """Run it as the interpreter would: SystemExit is a code, anything else a traceback and 1."""
    try:
        command()
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _kill_rest(group: int) -> None:
    """End what the child has left running."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
