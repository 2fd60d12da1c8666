"""What benchmarks/picture.py measures on frames beside the truth's frames.

Y, chroma    PSNR in dB of BT.601 luma, and of Cb and Cr together
SSIM         of luma
VMAF, NEG    VMAF 0.6.1 (rewards sharpening) and its form that does not (0.6.1neg), where an FFmpeg with libvmaf is
NIQE         of the last frame, no reference; lower is more natural (sr_train/niqe.py). On frames of this size it is
             noisy, it takes noise and ringing for texture, and its photographs make it a poor judge of drawn pictures:
             only large differences say something, and only beside the truth's own
flicker      mean change between frames where the truth changes by less than 2 codes; picture.py puts it over Lanczos'
blocks       energy of the output's steps along the coded input's 8x8 grid, less that along its other lines, over the
             truth's along those, where the truth is smooth: 0 is no block. See Note [blocks]
edges        steepness of luma at the truth's steepest 5 %, over the truth's
ringing      mean codes by which luma there leaves the range of the truth around it

Note [blocks]. A line between two pixels of the input is `scale` columns (rows) wide in the output, half on either side:

    input     | 7 | 8 | 9 |        8 is the first pixel of a block
    output    ........ ....        scale 4: steps from column 30 to 33 belong to the line between 7 and 8

All lines are weighed alike, so what interpolation does to each does not count; lines of the 4x4 transforms (4, 12, ...)
are left out, as they may carry blocks, too. The steps are differences of neighbours: a sharp staircase counts more than
the same one blurred. What is left is put over the truth's, not the output's own, or a way that sharpens noise would be
said to have fewer blocks.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from shutil import which

import numpy as np
from numpy.typing import NDArray
from picture_clips import Image8
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from sr_core.color import ycc_from_rgb
from sr_train.metrics import luma_from_rgb, ssim
from sr_train.niqe import niqe

Floats = NDArray[np.float64]
COLUMNS = ("Y", "chroma", "SSIM", "VMAF", "NEG", "NIQE", "flicker", "blocks", "edges", "ringing")
CUT = np.s_[16:-16, 16:-16]
EDGE_SHARE = 95.0  # percentile of the gradient from which a pixel counts as an edge
SMOOTH_SHARE = 50.0  # percentile of the truth's activity up to which a place is smooth
GRID = 8  # pixels of the input; MPEG-2's and H.264's large transforms
BOTH_VMAFS = "version=vmaf_v0.6.1\\:name=VMAF|version=vmaf_v0.6.1neg\\:name=NEG"


def measured(made: list[Image8], truth: list[Image8], *, scale: int) -> dict[str, float]:
    """The row of one way on one clip; flicker in codes. NaN is what cannot be said."""
    ours, theirs = ([ycc(image) for image in images] for images in (made, truth))
    lumas, truths = ([image[..., 0] for image in images] for images in (ours, theirs))
    shapes = [_edges(a, b) for a, b in zip(lumas, truths, strict=True)]
    return {
        "Y": _mean(psnr(a[CUT], b[CUT]) for a, b in zip(lumas, truths, strict=True)),
        "chroma": _mean(psnr(a[CUT][..., 1:], b[CUT][..., 1:]) for a, b in zip(ours, theirs, strict=True)),
        "SSIM": _mean(float(ssim(a[CUT], b[CUT])) for a, b in zip(lumas, truths, strict=True)),
        **vmafs(made, truth),
        "NIQE": niqe(luma_from_rgb(made[-1])),
        "flicker": flicker(lumas, truths),
        "blocks": blocks(lumas, truths, scale=scale),
        "edges": _mean(steepness for steepness, _ in shapes),
        "ringing": _mean(ringing for _, ringing in shapes),
    }


def measured_alone(made: list[Image8], *, scale: int) -> dict[str, float]:
    """What needs no reference, for the truth's own row."""
    lumas = [ycc(image)[..., 0] for image in made]
    return {
        "NIQE": niqe(luma_from_rgb(made[-1])),
        "flicker": flicker(lumas, lumas),
        "blocks": blocks(lumas, lumas, scale=scale),
    }


def flicker_of(made: Sequence[Image8], truth: Sequence[Image8]) -> float:
    """`flicker` of the pictures' luma."""
    return flicker(*([ycc(image)[..., 0] for image in images] for images in (made, truth)))


def ycc(image: Image8) -> Floats:
    """Y, Cb, Cr of BT.601 in codes of 0..255, chroma around 0."""
    found: Floats = image.astype(np.float64) @ ycc_from_rgb("bt601").T
    return found


def psnr(a: Floats, b: Floats) -> float:
    """In dB; infinite for equals."""
    error = float(np.mean((a - b) ** 2))
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def flicker(made: Sequence[Floats], truth: Sequence[Floats]) -> float:
    """Mean absolute change where the truth stands still; NaN where nothing does."""
    values = []
    for now, then, a, b in zip(made[1:], made, truth[1:], truth, strict=False):
        still = (np.abs(a - b) < 2)[CUT]
        if still.sum() > 500:
            values.append(np.abs(now - then)[CUT][still].mean())
    return float(np.mean(values)) if values else float("nan")


def blocks(made: Sequence[Floats], truth: Sequence[Floats], *, scale: int) -> float:
    """How much more energy steps on the input's grid have than others, over the truth's; see Note [blocks]."""
    on, off, usual = [], [], []
    for luma, wanted in zip(made, truth, strict=True):
        active = uniform_filter(np.hypot(*np.gradient(wanted)), 9)
        smooth = active <= np.percentile(active, SMOOTH_SHARE)
        for output, clip, places in ((luma, wanted, smooth), (luma.T, wanted.T, smooth.T)):
            energy, usual_energy = (np.diff(plane, axis=1) ** 2 for plane in (output, clip))  # x: from x to x + 1
            line = (np.arange(1, output.shape[1]) + scale // 2) // scale
            within = places[:, 1:]
            grid, other = line % GRID == 0, line % (GRID // 2) != 0
            on.append(energy[:, grid][within[:, grid]])
            off.append(energy[:, other][within[:, other]])
            usual.append(usual_energy[:, other][within[:, other]])
    of_grid, of_others, of_truth = (float(np.concatenate(parts).mean()) for parts in (on, off, usual))
    return (of_grid - of_others) / max(1e-9, of_truth)


def _edges(made: Floats, truth: Floats) -> tuple[float, float]:
    """(steepness over the truth's, codes outside the truth's 5x5 range), at the truth's edges."""
    steep, wanted = (np.hypot(*np.gradient(image))[CUT] for image in (made, truth))
    at = wanted >= np.percentile(wanted, EDGE_SHARE)
    over = np.maximum(made - maximum_filter(truth, 5), 0) + np.maximum(minimum_filter(truth, 5) - made, 0)
    near = maximum_filter(at, 9)
    return float(steep[at].mean() / wanted[at].mean()), float(over[CUT][near].mean())


def vmafs(made: list[Image8], truth: list[Image8]) -> dict[str, float]:
    """VMAF and NEG, 0..100; NaN without an FFmpeg that has libvmaf."""
    program = _ffmpeg_with_vmaf()
    if program is None:
        return {"VMAF": float("nan"), "NEG": float("nan")}
    height, width = truth[0].shape[:2]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    compare = f"libvmaf=model='{BOTH_VMAFS}':log_fmt=json:log_path=found.json"
    graph = f"[0]format=yuv420p[a];[1]format=yuv420p[b];[a][b]{compare}"
    with tempfile.TemporaryDirectory() as folder:
        for name, images in (("made", made), ("truth", truth)):
            (Path(folder) / name).write_bytes(b"".join(image.tobytes() for image in images))
        command = [program, "-v", "error", *raw, "-i", "made", *raw, "-i", "truth"]
        subprocess.run([*command, "-lavfi", graph, "-f", "null", "-"], cwd=folder, check=True)
        pooled = json.loads((Path(folder) / "found.json").read_text())["pooled_metrics"]
    return {name: float(pooled[name]["mean"]) for name in ("VMAF", "NEG")}


@cache
def _ffmpeg_with_vmaf() -> str | None:
    """imageio-ffmpeg's FFmpeg or the system's, whichever has libvmaf."""
    programs: list[str] = []
    try:
        import imageio_ffmpeg

        programs.append(imageio_ffmpeg.get_ffmpeg_exe())
    except ModuleNotFoundError:
        pass
    programs += [found for found in [which("ffmpeg")] if found]
    for program in programs:
        done = subprocess.run([program, "-v", "error", "-filters"], capture_output=True, text=True, check=False)
        if " libvmaf " in done.stdout:
            return program
    return None


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
