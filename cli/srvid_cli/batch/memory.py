"""How much memory a batch may use."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sr_core.errors import BadInput

_SMALLEST_DEFAULT = 1 << 30
_LARGEST_DEFAULT = 16 << 30
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def bytes_from_text(text: str) -> int:
    """'1.5G', '800M' → bytes.

    Raises:
        BadInput: not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text.lower())
    if match is None:
        raise BadInput(f"{text!r} is not an amount of memory", hint="write for example 800M or 2G")
    return int(float(match[1]) * _UNITS[match[2]])


def default_memory() -> int:
    """Half of what is available now, 1 to 16 GiB."""
    available = _available()
    return min(max(available // 2, _SMALLEST_DEFAULT), _LARGEST_DEFAULT)


def _available() -> int:
    limits = []
    meminfo, cgroup = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
    if meminfo.exists():
        match = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text())
        if match:
            limits.append(int(match[1]) << 10)
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    if cgroup.exists() and (text := cgroup.read_text().strip()).isdigit():
        limits.append(int(text))
    return min(limits, default=2 * _SMALLEST_DEFAULT)


class MemoryBudget:
    """Lets images in while their estimates together stay under the total; one is always let in."""

    def __init__(self, total_bytes: int) -> None:
        self._total, self._used = total_bytes, 0
        self._changed = threading.Condition()

    @contextmanager
    def held(self, amount_bytes: int) -> Iterator[None]:
        """Wait for room, hold it."""
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + amount_bytes <= self._total)
            self._used += amount_bytes
        try:
            yield
        finally:
            with self._changed:
                self._used -= amount_bytes
                self._changed.notify_all()
