"""Every benchmark can be started: its imports are there, and it says what it does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# All in one process, for the sake of what they import; each with its own folder first on the path, as when it is run.
ASK = """
import runpy, sys
from pathlib import Path
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    sys.path.insert(0, str(Path(name).parent))
    print(f"== {name}", flush=True)
    try:
        runpy.run_path(name, run_name="__main__")
    except SystemExit as end:
        if end.code:
            sys.exit(end.code)
    else:
        sys.exit("it ran, and said nothing of itself")
"""


def test_every_benchmark_says_what_it_does() -> None:
    programs = [str(path) for path in sorted(BENCHMARKS.rglob("*.py")) if "__main__" in path.read_text("utf-8")]
    done = subprocess.run([sys.executable, "-c", ASK, *programs], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    helps = [part.partition("\n")[2] for part in done.stdout.split("== ")[1:]]
    assert len(helps) == len(programs) > 25
    assert all(text.startswith("usage:") and text.count("\n") > 4 for text in helps)
