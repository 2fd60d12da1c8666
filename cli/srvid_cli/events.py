"""`srvid --json`: one JSON object a line on stdout. Keys are only ever added.

{"event": "start", "input", "output", "codec", "pix_fmt", "width", "height", "engine_scale",
 "frames_expected" (or null)}
{"event": "note", "text"}                        something changed or lost, before the work
{"event": "resume", "segments_done", "segments", "frames_done"}   an earlier run had made these
{"event": "progress", "frames", "frames_expected", "position_seconds", "elapsed_seconds"}
{"event": "verify", "frames"}
{"event": "done", "output", "frames", "elapsed_seconds", "output_bytes", "damage" (or "")}
{"event": "plan", "frames", "segments", "engine", "workers", "cluster" (or ""), "steady", "fps", "eta_seconds",
 "memory_bytes", "output_bytes", "notes"}        with --plan, and nothing else
{"event": "error", "message", "hint"}            then the process ends with a code that is not 0;
                                                 wrong usage, code 2, is said on stderr alone
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import cast

from sr_core.errors import SrError
from sr_core.wording import as_flag, spell
from srvid_cli.spelling import tell_error


def emit(event: str, **values: object) -> None:
    """Print one event and flush it."""
    sys.stdout.write(json.dumps({"event": event, **_as_told(values)}, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def _as_told[Value](value: Value) -> Value:
    """`value` with the options in its texts spelled for a shell."""
    if isinstance(value, str):
        return cast(Value, spell(value, as_flag))  # JSON escapes control characters itself
    if isinstance(value, dict):
        return cast(Value, {key: _as_told(item) for key, item in value.items()})
    return cast(Value, [_as_told(item) for item in value]) if isinstance(value, list) else value


def errors_as_events[**Arguments](command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """A command that, given `as_json`, also prints what ends it as an event; the error is passed on."""

    @wraps(command)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (SrError, KeyboardInterrupt) as error:
            if kwargs["as_json"]:
                message, hint = tell_error(error) if isinstance(error, SrError) else ("stopped", "")
                emit("error", message=message, hint=hint)
            raise

    return run
