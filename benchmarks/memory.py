"""Memory does not grow with the video: peak of a short run against a long one.

    python benchmarks/memory.py [--clip FILE] [--short 100] [--long 2000] [--model nearest]

growth      peak RSS of the long run ÷ peak RSS of the short one, minus 1; target < 5 %
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from child import CLIPS, SRVID, cost_of, looped, seconds_of


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clip", type=Path, default=CLIPS / "bbb_480p_30s.mp4")
    parser.add_argument("--short", type=int, default=100)
    parser.add_argument("--long", type=int, default=2000)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--preset", default="ultrafast")
    parser.add_argument("--model", default="nearest")
    asked = parser.parse_args()
    peaks: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        clip = looped(asked.clip, Path(folder) / "in.mkv", frames=asked.long + 8)
        for frames in (asked.short, asked.long):
            end = float(seconds_of(clip, frames=frames))
            cost = cost_of(
                *SRVID, clip, Path(folder) / "out.mp4", "--model", asked.model, "--scale", asked.scale,
                "--preset", asked.preset, "--end", f"{end:.6f}", "--overwrite", "--quiet",
            )  # fmt: skip
            peaks[frames] = cost.peak_bytes
            print(f"{frames:6} frames: peak {cost.peak_bytes / 1e6:7.1f} MB, {cost.wall_seconds:6.1f} s")
    growth = peaks[asked.long] / peaks[asked.short] - 1
    print(f"growth {growth:+.1%}  (target < 5 %)")


if __name__ == "__main__":
    main()
