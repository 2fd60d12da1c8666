"""`import onnxruntime` without its telemetry.

Since 1.31 the import alone writes a number for this machine and a queue of events for Microsoft
under ~/.cache/Microsoft. The variable below, which it reads once, keeps it from both.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from sr_core.children import variable_set

_VARIABLE = "ORT_DISABLE_TELEMETRY"


def telemetry_off() -> AbstractContextManager[None]:
    """Import onnxruntime in here, wherever it is imported first."""
    return variable_set(_VARIABLE)
