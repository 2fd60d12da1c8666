"""Run beside the tests: crash before each file-system step in turn, run again, compare.

    python crash_at_every_step.py SOURCE FOLDER

Each run is a fork, so that starting one is cheap; a fork needs a process without threads. Prints
one JSON object: {"steps": how many, "failures": [what went wrong at which step]}.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from sr_core.errors import OutputExists
from sr_video.decide.plan import Plan, Request
from sr_video.read.source import Source
from sr_video.segments.run import upscale
from sr_video.segments.terms import Segmenting
from sr_video.transcode import Progress
from srvid.recipe import EngineRecipe

STEPS = ("mkdir", "fsync", "replace", "rename", "unlink", "rmdir")
CRASHED, REFUSED = 9, 3


class Quiet:
    """A listener that says nothing."""

    def reading(self) -> None: ...

    def planned(self, source: Source, plan: Plan) -> None: ...

    def progressed(self, progress: Progress) -> None: ...

    def verifying(self, progress: Progress) -> None: ...

    def indexing(self, share: float) -> None: ...

    def resuming(self, *, segments_done: int, segments: int, frames_done: int) -> None: ...

    def noted(self, text: str) -> None: ...


def crash_before(step: int) -> None:
    """Let the process die, as kill -9 would, instead of its `step`-th file-system step."""
    taken = [0]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def counting(*arguments: object, **named: object) -> object:
            taken[0] += 1
            if taken[0] == step:
                os._exit(CRASHED)
            return real(*arguments, **named)

        return counting

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def run_in_fork(source: Path, target: Path, *, crash_step: int | None) -> int:
    """The exit code of one whole run in a process of its own."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        if crash_step is not None:
            crash_before(crash_step)
        request = Request(source=str(source), target=str(target), scale=2, preset="ultrafast")
        upscale(request, EngineRecipe(model="nearest"), Quiet(), Segmenting(seconds=Fraction(1)))
    except OutputExists:
        os._exit(REFUSED)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    target = folder / "out.mp4"
    assert run_in_fork(source, target, crash_step=None) == 0
    expected = target.read_bytes()
    failures: list[str] = []
    step = 0
    while True:
        step += 1
        target.unlink(missing_ok=True)
        code = run_in_fork(source, target, crash_step=step)
        if code == 0:
            break  # fewer steps than that
        if code != CRASHED:
            failures.append(f"step {step}: ended with {code}")
        if target.exists() and target.read_bytes() != expected:
            failures.append(f"step {step}: a file that is not complete has the final name")
        finished = target.exists() and not (folder / "out.mp4.srvid" / "manifest.json").exists()
        code = run_in_fork(source, target, crash_step=None)
        if code != (REFUSED if finished else 0):  # a finished job's output is there, as any other file
            failures.append(f"step {step}: the second run ended with {code}")
        elif target.read_bytes() != expected:
            failures.append(f"step {step}: other bytes")
        left = sorted(path.name for path in folder.iterdir())
        if left != ["out.mp4"]:
            failures.append(f"step {step}: left behind {left}")
    print(json.dumps({"steps": step - 1, "failures": failures}))


if __name__ == "__main__":
    main()
