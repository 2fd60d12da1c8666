"""One job as a child process: `srvid --json` or `srbatch --json`, its events heard.

A child, because a crash in a driver must not end the page, and because the real command is what
people would type: the log shows it.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from sr_core.errors import StorageError

Options = dict[str, Any]
_VIDEO_OPTIONS = (
    "model",
    "scale",
    "strength",
    "sharpen",
    "grain",
    "height",
    "codec",
    "crf",
    "preset",
    "start",
    "end",
    "segment",
    "backend",
    "precision",
)
_IMAGE_OPTIONS = (
    "model",
    "scale",
    "strength",
    "sharpen",
    "grain",
    "height",
    "format",
    "quality",
    "suffix",
    "backend",
    "precision",
)
LOCKED = "another srvid is writing"  # the child of a parent that was killed still ends: it is tried again,
TRIES = 15
RETRY_SECONDS = 1.0  # apart
_KILL_SECONDS = 20.0  # after asking; a frame of a large video may take that long


def arguments_of(kind: str, sources: list[str], target: str, options: Options) -> list[str]:
    """The command a person would type for this job."""
    program, known = ("srvid", _VIDEO_OPTIONS) if kind == "video" else ("srbatch", _IMAGE_OPTIONS)
    given: list[str] = []
    for name in known:
        if (value := options.get(name)) not in (None, "") and not (name == "scale" and options.get("height")):
            given += [f"--{name}", f"{value:g}" if name == "scale" and isinstance(value, float) else str(value)]
    if options.get("overwrite"):
        given.append("--overwrite")
    for name in ("no_audio", "steady"):
        if options.get(name) and kind == "video":
            given.append(f"--{name.replace('_', '-')}")
    return [program, *given, "--json", "--", *sources, target]


def spoken(arguments: list[str]) -> str:
    """The same as text for a shell; bytes that are no text are shown as �."""
    return shlex.join(arguments).encode("utf-8", "replace").decode()


class Child:
    """A running command. `heard` is called from a thread: once a line, then `ended` with the exit code."""

    def __init__(
        self,
        arguments: list[str],
        *,
        heard: Callable[[dict[str, Any]], None],
        said: Callable[[str], None],
        ended: Callable[[int], None],
    ) -> None:
        program, *rest = arguments
        module = {"srvid": "srvid_cli.srvid", "srbatch": "srvid_cli.srbatch"}[program]
        self._heard, self._said, self._ended = heard, said, ended
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *rest],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=os.name == "posix",  # Ctrl-C in the terminal is for the server, which asks
            )
        except OSError as error:
            raise StorageError(f"cannot start {program}: {error.strerror}", hint="is there memory left?") from error
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """As Ctrl-C does: half-made files are removed, finished segments stay. Killed where it does not listen."""
        if self._process.poll() is not None:
            return
        if os.name == "posix":
            self._process.send_signal(signal.SIGTERM)
        else:
            self._process.terminate()
        threading.Thread(target=self._insist, name="insist", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Until it has ended and everything it said was heard, or that long."""
        self._thread.join(seconds)

    def _insist(self) -> None:
        try:
            self._process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            with self._process.stdout as lines:
                for line in lines:
                    self._hear(line)
        finally:
            self._ended(self._process.wait())

    def _hear(self, line: bytes) -> None:
        event = _event(line)
        if event is None:
            self._said(line.decode("utf-8", "replace").rstrip())
            return
        try:
            self._heard(event)
        except (KeyError, TypeError) as error:  # not an event of ours: it is shown, and costs nothing else
            self._said(f"{line.decode('utf-8', 'replace').rstrip()} ({type(error).__name__}: {error})")


def _event(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b'{"event"'):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
