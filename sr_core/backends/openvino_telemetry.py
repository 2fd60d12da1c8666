"""`import openvino` without its telemetry.

The import alone sends an event to Google Analytics, asked or not, and writes a client's number to
~/intel. Where the package openvino_telemetry cannot be imported, OpenVINO takes a stub of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

_PACKAGE = "openvino_telemetry"


@contextmanager
def telemetry_off() -> Iterator[None]:
    """Import openvino in here, wherever it is imported."""
    modules = cast(dict[str, object], sys.modules)
    before = {name: module for name, module in modules.items() if name == _PACKAGE}
    modules[_PACKAGE] = None  # Python's own sign for: raise ModuleNotFoundError
    try:
        yield
    finally:
        del modules[_PACKAGE]
        modules.update(before)
