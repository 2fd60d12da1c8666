"""What srvid costs beside the network and the codecs.

    python benchmarks/pipeline_overhead.py [--clip FILE] [--frames 24] [--model clear] [--scale 2]

overhead    CPU-seconds of srvid ÷ (CPU-seconds of a bare inference loop over the same frames
            + of ffmpeg decoding the input + of ffmpeg encoding the same enlarged frames)
            target ≤ 1.10
The loop opens the same model on the same backend and calls it on frames already in memory. The
enlarged frames ffmpeg encodes are srvid's own, from a lossless run, read as raw video.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from child import CLIPS, SRVID, cost_of, ffmpeg, seconds_of

INFERENCE = """
import sys
from sr_core.in_order import in_order
from sr_video.read.source import Source
import srvid
path, frames, model, scale = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with Source(path) as source, srvid.open_upscaler(model, scale=scale) as engine:
    held = []
    for unit in source.units(copied=frozenset()):
        if unit.frame is not None:
            held.append(unit.frame)
        if len(held) == frames:
            break
    submit = lambda frame: engine.submit(frame.planes(), source.facts.format, frame.color)
    for _ in in_order(held if {runs} else (), submit, in_flight=engine.in_flight):
        pass
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clip", type=Path, default=CLIPS / "flower_960x540.mp4")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--model", default="clear")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--preset", default="medium")
    asked = parser.parse_args()
    end = f"{float(seconds_of(asked.clip, frames=asked.frames)):.6f}"
    common = ["--model", asked.model, "--scale", asked.scale, "--end", end, "--overwrite", "--quiet"]
    common += ["--no-audio"]
    with tempfile.TemporaryDirectory() as folder:
        target, lossless, raw = (Path(folder) / name for name in ("out.mp4", "out.mkv", "out.yuv"))
        # also tunes the tile size once, which is kept for later runs
        cost_of(*SRVID, asked.clip, lossless, *common, "--codec", "ffv1")
        cost_of(*ffmpeg(), "-i", lossless, "-f", "rawvideo", raw)
        size, pix_fmt, rate = _shape(lossless)

        srvid = cost_of(*SRVID, asked.clip, target, *common, "--preset", asked.preset, "--crf", "18")
        arguments = (asked.clip, asked.frames, asked.model, asked.scale)
        network = cost_of(sys.executable, "-c", INFERENCE.format(runs=True), *arguments)
        beside = cost_of(sys.executable, "-c", INFERENCE.format(runs=False), *arguments)
        opening = _opening(asked.model, asked.scale)
        decode = cost_of(*ffmpeg(), "-i", asked.clip, "-an", "-frames:v", asked.frames, "-f", "null", "-")
        encode = cost_of(
            *ffmpeg(), "-f", "rawvideo", "-s", size, "-pix_fmt", pix_fmt, "-r", rate, "-i", raw,
            "-c:v", "libx264", "-preset", asked.preset, "-crf", "18", target,
        )  # fmt: skip
    # the loop's own decoding is not part of the network: `beside` is the same script without it
    inference = network.cpu_seconds - beside.cpu_seconds + opening
    print(f"srvid      {srvid.cpu_seconds:8.2f} CPU-s  ({asked.frames} frames)")
    print(f"network    {inference:8.2f} CPU-s  (of which opening {opening:.2f})")
    print(f"decoding   {decode.cpu_seconds:8.2f} CPU-s")
    print(f"encoding   {encode.cpu_seconds:8.2f} CPU-s")
    bare = inference + decode.cpu_seconds + encode.cpu_seconds
    print(f"overhead   {srvid.cpu_seconds / bare:8.3f}  (target <= 1.10)")


def _opening(model: str, scale: int) -> float:
    """CPU-seconds of starting Python and opening the model, without a frame."""
    code = f"import srvid\nsrvid.open_upscaler({model!r}, scale={scale}).close()"
    return cost_of(sys.executable, "-c", code).cpu_seconds


def _shape(path: Path) -> tuple[str, str, str]:
    import av

    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return f"{video.width}x{video.height}", str(video.pix_fmt), str(video.average_rate)


if __name__ == "__main__":
    main()
