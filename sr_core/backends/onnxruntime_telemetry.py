"""`import onnxruntime` without its telemetry.

Since 1.31 the import alone writes a number for this machine and a queue of events for Microsoft
under ~/.cache/Microsoft. The variable below, which it reads once, keeps it from both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "ORT_DISABLE_TELEMETRY"


@contextmanager
def telemetry_off() -> Iterator[None]:
    """Import onnxruntime in here, wherever it is imported first."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
