"""What `--steady` does to coded clips; what it, grain and sharpening cost: `python benchmarks/steady.py CLIPS`

The clips of picture.py are shrunk to half (bicubic), coded by x264 at crf 28, doubled by each model, and steadied.

flicker    mean change of luma between frames where the truth changes by less than 2 codes: steadied over not
pans       the same along the motion, of photographs that move by 1 to 9 pixels of output a frame; with --pictures
Y, chroma  PSNR gained, dB
time       CPU time of steadying, over that of the model, one thread
grain      the same of `--grain keep`: measured and laid
sharpen    CPU time of the model with `--sharpen`, over that without
"""

from __future__ import annotations

import argparse
import io
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from picture_clips import CLIPS, Image8, read_clip
from picture_measures import Floats, flicker, psnr
from PIL import Image

import srvid
from sr_core.color import ColorSpec
from sr_core.frame import Planes, yuv
from sr_core.grain import KEEP, film_of, lay
from sr_core.steady.window import steadied as steadied_in_order
from sr_video.pixels import planes_of

FORMAT, COLOR, SCALE = yuv("420"), ColorSpec(matrix="bt601"), 2
PANS = ((0, 2), (1, 3), (0, 5), (3, 9))  # pixels of output a frame, down and right
PAN_SIZE = (384, 256)


def coded(frames: Sequence[Image8], *, crf: int = 28) -> list[Planes]:
    """`frames` after one encode and decode, as planes."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as sink:
        stream = sink.add_stream("libx264", rate=25, options={"crf": str(crf)})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        sink.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as source:
        return [copied(frame) for frame in source.decode(video=0)]


def copied(frame: av.VideoFrame) -> Planes:
    return tuple(plane.copy() for plane in planes_of(frame, FORMAT))


def planes_from(image: Image8) -> Planes:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    return copied(frame.reformat(format="yuv420p"))


def steadied(given: Sequence[Planes], made: Sequence[Planes]) -> list[Planes]:
    frames = ((None, small, large) for small, large in zip(given, made, strict=True))
    return [planes for _, planes in steadied_in_order(frames, FORMAT, SCALE)]


def gained(made: Sequence[Planes], better: Sequence[Planes], truth: Sequence[Planes], planes: Iterable[int]) -> float:
    """dB of PSNR, mean over frames and `planes`."""
    rows = [
        psnr(new[i].astype(float), true[i].astype(float)) - psnr(old[i].astype(float), true[i].astype(float))
        for old, new, true in zip(made, better, truth, strict=True)
        for i in planes
    ]
    return float(np.mean(rows))


def lumas(frames: Sequence[Planes]) -> list[Floats]:
    return [planes[0] * (255 / 219) for planes in frames]


def timed(work: Callable[..., list[Planes]], *given: Sequence[Planes]) -> tuple[list[Planes], float]:
    """What it makes, and the CPU time it takes."""
    began = time.process_time()
    return work(*given), time.process_time() - began


def enlarged(engine: srvid.Upscaler) -> Callable[[Sequence[Planes]], list[Planes]]:
    return lambda low: [engine.planes(planes, FORMAT, COLOR) for planes in low]


def grainy(given: Sequence[Planes], made: Sequence[Planes]) -> list[Planes]:
    return [
        lay(film_of(KEEP, small, large, FORMAT, COLOR), large, FORMAT, COLOR, moment=n)
        for n, (small, large) in enumerate(zip(given, made, strict=True))
    ]


def measure_clips(upscaler: srvid.Upscaler, sharp: srvid.Upscaler, folder: Path, frames: int, name: str) -> None:
    rows = []
    for file, skip in CLIPS.items():
        clip = read_clip(folder / file, skip=skip, count=frames, scale=SCALE, coding="x264 crf 28")
        small = [np.asarray(Image.fromarray(i).resize((i.shape[1] // 2, i.shape[0] // 2), 3)) for i in clip.truth]
        low, truth = coded(small), [planes_from(image) for image in clip.truth]
        for engine in (upscaler, sharp):
            engine.planes(low[0], FORMAT, COLOR)  # opens its graph
        (made, plain), (_, crisp) = timed(enlarged(upscaler), low), timed(enlarged(sharp), low)
        (better, steadying), (_, laying) = timed(steadied, low, made), timed(grainy, low, made)
        costs = steadying / plain, laying / plain, crisp / plain
        still = [flicker(lumas(frames), lumas(truth)) for frames in (better, made)]
        rows.append(
            (still[0] / still[1], gained(made, better, truth, [0]), gained(made, better, truth, [1, 2]), *costs)
        )
        _print(name, Path(file).stem, rows[-1])
    _print(name, "mean", np.mean(rows, axis=0).tolist())


def measure_pans(upscaler: srvid.Upscaler, photographs: Sequence[Path], name: str) -> None:
    """Flicker is the change along the motion, which is known."""
    width, height = PAN_SIZE
    for down, right in PANS:
        rows = []
        for path in photographs:
            image = np.asarray(Image.open(path).convert("RGB"))
            moved = [image[n * down : n * down + height, n * right : n * right + width] for n in range(8)]
            low = coded([np.asarray(Image.fromarray(i).resize((width // 2, height // 2), 3)) for i in moved])
            truth, made = [planes_from(i) for i in moved], [upscaler.planes(p, FORMAT, COLOR) for p in low]
            better = steadied(low, made)
            change = [
                np.mean(
                    [
                        np.abs(a[down:, right:] - b[: height - down, : width - right]).mean()
                        for a, b in itertools.pairwise(y)
                    ]
                )
                for y in (lumas(better), lumas(made))
            ]
            rows.append((change[0] / change[1], gained(made, better, truth, [0]), gained(made, better, truth, [1, 2])))
        _print(name, f"pan {down}, {right}", np.mean(rows, axis=0).tolist())


def _print(model: str, what: str, row: Sequence[float]) -> None:
    flicker, luma, chroma, *costs = row
    shown = " | ".join(f"{cost:.2f}" for cost in costs) or "| |"
    print(f"| {model} | {what} | {flicker:.2f} | {luma:+.3f} | {chroma:+.3f} | {shown} |", flush=True)


def main(options: argparse.Namespace) -> None:
    print("| model | clip | flicker | Y | chroma | time | grain | sharpen |\n|---|---|---|---|---|---|---|---|")
    for name in options.models:
        with (
            srvid.open_upscaler(name, scale=SCALE, threads=1) as upscaler,
            srvid.open_upscaler(name, scale=SCALE, threads=1, sharpen=0.3) as sharp,
        ):
            measure_clips(upscaler, sharp, options.clips, options.frames, name)
            if options.pictures:
                measure_pans(upscaler, sorted(options.pictures.iterdir())[5:60:18], name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder that holds " + ", ".join(CLIPS))
    parser.add_argument("--models", nargs="+", default=["clear", "restore"])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--pictures", type=Path, help="folder of photographs of 640 pixels, to pan over")
    main(parser.parse_args())
