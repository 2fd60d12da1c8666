"""`srvid --json`: one JSON object a line on stdout. Keys are only ever added.

{"event": "start", "input", "output", "codec", "pix_fmt", "width", "height", "engine_scale",
 "frames_expected" (or null)}
{"event": "note", "text"}                        something changed or lost, before the work
{"event": "resume", "segments_done", "segments", "frames_done"}   an earlier run had made these
{"event": "progress", "frames", "frames_expected", "position_seconds", "elapsed_seconds"}
{"event": "verify", "frames"}
{"event": "done", "output", "frames", "elapsed_seconds", "output_bytes", "damage" (or "")}
{"event": "plan", "frames", "segments", "engine", "workers", "fps", "eta_seconds", "memory_bytes",
 "output_bytes", "notes"}                        with --plan, and nothing else
{"event": "error", "message", "hint"}            then the process ends with a code that is not 0
"""

from __future__ import annotations

import json
import sys


def emit(event: str, **values: object) -> None:
    """Print one event and flush it."""
    sys.stdout.write(json.dumps({"event": event, **values}, ensure_ascii=True) + "\n")
    sys.stdout.flush()
