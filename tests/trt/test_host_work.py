"""The benchmark of what the host does runs, and its order holds: fewer tiles, fewer calls."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "host_work.py"


def test_a_whole_frame_takes_a_tenth_of_the_drivers_calls_of_tiles() -> None:
    said = subprocess.run(
        [sys.executable, str(BENCHMARK), "--frames", "1"], capture_output=True, text=True, timeout=300, check=True
    ).stdout
    calls = {
        label.strip(): int(number)
        for label, number in re.findall(r"^(\S.*?)\s+[\d.]+ ms CPU.* (\d+) calls$", said, re.MULTILINE)
    }
    assert len(calls) == 6
    tiles, whole = calls["512          host"], calls["whole frame  host"]
    assert whole * 10 < tiles
    assert calls["whole frame  card"] == calls["whole frame  card in"]  # nothing is downloaded, nothing else is added
