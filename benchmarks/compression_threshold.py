"""From which quantizer on clear-restore gives the better picture: `python benchmarks/compression_threshold.py CLIP...`

Each clip is shrunk four times by area, compressed by x264 at rising crf, measured and enlarged again by clear
and by clear-restore; both are compared with the clip (PSNR of RGB). The crossing is what srvid's advice uses.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from PIL import Image

import srvid
from sr_video.read.compression import measure_quantizer

SCALE, FRAMES, CRFS = 4, 24, (14, 18, 22, 26, 30, 34, 38)


def frames_of(path: Path, count: int) -> list[np.ndarray]:
    """The first frames as RGB, cropped to multiples of 2 * SCALE."""
    with av.open(str(path)) as container:
        found = [f.to_ndarray(format="rgb24") for f, _ in zip(container.decode(video=0), range(count), strict=False)]
    height, width = (side - side % (2 * SCALE) for side in found[0].shape[:2])
    return [frame[:height, :width] for frame in found]


def compress(frames: list[np.ndarray], crf: int, path: Path) -> None:
    """Write `frames` by x264."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": str(crf)})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """In dB, over all channels."""
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    clips = parser.parse_args().clips
    upscalers = {name: srvid.open_upscaler(name, scale=SCALE) for name in ("clear", "clear-restore")}
    print(f"{'clip':24} crf    QP   clear  restore  gain dB")
    for clip in clips:
        truth = frames_of(clip, FRAMES)
        height, width = truth[0].shape[:2]
        small = [
            np.asarray(Image.fromarray(f).resize((width // SCALE, height // SCALE), Image.Resampling.BOX))
            for f in truth
        ]
        for crf in CRFS:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "small.mkv"
                compress(small, crf, path)
                quantizer = measure_quantizer(str(path))
                decoded = frames_of_whole(path)
            shown = range(FRAMES // 2, min(FRAMES, len(decoded)), 4)
            means = {
                name: float(np.mean([psnr(upscaler.image(decoded[n]), truth[n]) for n in shown]))
                for name, upscaler in upscalers.items()
            }
            plain, restored = means["clear"], means["clear-restore"]
            print(f"{clip.name:24} {crf:3} {quantizer or 0:5.1f} {plain:7.2f} {restored:8.2f} {restored - plain:+8.2f}")


def frames_of_whole(path: Path) -> list[np.ndarray]:
    """Every frame as RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


if __name__ == "__main__":
    main()
