"""What the pipeline costs beside engine and codecs: srvid with pixels repeated against ffmpeg.

    python benchmarks/null_engine.py [--clip FILE] [--scale 2] [--preset ultrafast] [--rounds 3]

fps ratio   frames/s of srvid ÷ frames/s of `ffmpeg -vf scale`; target ≥ 0.95
Both decode, enlarge to the same size by nearest neighbour, encode with the same settings and copy
the sound; srvid also reads its whole output again to verify it. Rounds alternate; medians count.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from child import CLIPS, SRVID, Cost, cost_of, ffmpeg


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clip", type=Path, default=CLIPS / "bbb_480p_30s.mp4")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--preset", default="ultrafast")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    encoding = ["-preset", asked.preset, "-crf", "18"]
    ours: list[Cost] = []
    theirs: list[Cost] = []
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.mp4"
        scaling = f"scale=iw*{asked.scale}:ih*{asked.scale}:flags=neighbor"
        for _ in range(asked.rounds):
            ours.append(
                cost_of(
                    *SRVID, asked.clip, target, "--model", "nearest", "--scale", asked.scale,
                    "--preset", asked.preset, "--crf", "18", "--overwrite", "--quiet",
                )
            )  # fmt: skip
            theirs.append(
                cost_of(
                    *ffmpeg(), "-i", asked.clip, "-vf", scaling, "-c:v", "libx264", *encoding,
                    "-c:a", "copy", target,
                )
            )  # fmt: skip
    for name, costs in (("srvid", ours), ("ffmpeg", theirs)):
        wall, cpu = median(c.wall_seconds for c in costs), median(c.cpu_seconds for c in costs)
        print(f"{name:8} {wall:7.2f} s wall {cpu:7.2f} s CPU")
    wall = median(c.wall_seconds for c in theirs) / median(c.wall_seconds for c in ours)
    cpu = median(c.cpu_seconds for c in theirs) / median(c.cpu_seconds for c in ours)
    print(f"fps ratio {wall:.3f}  (target >= 0.95)   CPU ratio {cpu:.3f}")


if __name__ == "__main__":
    main()
