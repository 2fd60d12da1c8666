"""Seconds until the first frame is there: cold (an empty cache) and warm (what the run before kept).

    python benchmarks/first_frame.py [--size 240x134] [--model clear] [--scale 4] [--runs 5] [--beside CHECKOUT]

Each run is a process of its own. `frame` is from `open_upscaler` until the first frame is finished, with everything
imported before; `process` is all. --beside CHECKOUT measures another version in turns. Medians; wall seconds
need an idle machine, CPU seconds less so.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = """
import time
from sr_core.color import ColorSpec
from sr_core.frame import yuv
import srvid
import sr_core.upscaler, sr_core.backends.openvino, srvid.backend_choice
srvid.backend_choice.choose()
planes = yuv("420").empty({width}, {height})
for plane in planes:
    plane[:] = 90
start, cpu = time.perf_counter(), time.process_time()
with srvid.open_upscaler({model!r}, scale={scale}) as upscaler:
    upscaler.submit(planes, yuv("420"), ColorSpec()).result()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    runs = upscaler.precision_for(yuv("420"), ColorSpec(), {width}, {height})
    print(seconds, cpu, runs, upscaler.backend.device, sep="|")
"""
PROJECT = Path(__file__).resolve().parents[1]


def first_frame(script: str, cache: Path, tree: Path) -> tuple[float, float, float, str]:
    """(wall seconds of the process, wall and CPU seconds from opening to the frame, what ran where)."""
    variables = os.environ | {"SRVID_CACHE": str(cache), "PYTHONPATH": os.pathsep.join([str(tree), str(tree / "cli")])}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True, cwd=cache
    )
    seconds, cpu, *what = done.stdout.strip().split("|")
    return time.perf_counter() - start, float(seconds), float(cpu), ", ".join(what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="240x134")
    parser.add_argument("--model", default="clear")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--beside", type=Path, action="append", default=[])
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    script = SCRIPT.format(width=width, height=height, model=args.model, scale=args.scale)
    trees = [PROJECT, *(path.resolve() for path in args.beside)]
    found: dict[tuple[Path, str], list[tuple[float, ...]]] = {}
    for _ in range(args.runs):
        for tree in trees:
            with tempfile.TemporaryDirectory() as name:
                for label in ("cold", "warm"):
                    *seconds, what = first_frame(script, Path(name), tree)
                    found.setdefault((tree, label), []).append(tuple(seconds))
    print(f"{args.model}-x{args.scale}, {args.size}, {what} ({platform.machine()}, {os.cpu_count()} CPUs)")
    for (tree, label), runs in found.items():
        process, frame, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
        print(f"  {tree.name} {label}: frame {frame:.2f} s ({cpu:.2f} s of CPU), process {process:.2f} s")


if __name__ == "__main__":
    main()
