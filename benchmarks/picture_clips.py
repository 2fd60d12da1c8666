"""Degraded clips for benchmarks/picture.py and picture_blind.py: frames shrunk, spoilt, coded and decoded.

real clips (CLIPS) ──────────────────────────┐
drawings: comic pages and scenes, panned ────┴─ frames of the truth

truth ─ bicubic shrink ─ [stored smaller and enlarged again] ─ [noise] ─ [first encode] ─ encode ─ what models get

4:2:0 is made and undone by swscale, for every row alike.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from sr_train.config import read_config
from sr_train.decoding import read_rgb
from sr_train.recipes import find_recipe
from sr_train.scenes import draw_scene

Image8 = NDArray[np.uint8]
Source = Callable[[int], list[Image8]]  # the first so many frames
DRAWN_SEEDS = (91, 92, 93, 94, 95, 96)  # of scenes; trainings draw theirs from seeds of two numbers
DRAWING_PX = 624  # a side of the view of a drawing; by 2, 3 and 4 of even sides
PAN_PX = (1, 3)  # down and right, a frame
CLIPS = {"bikes_640x272.mp4": 20, "flower_960x540.mp4": 10, "bbb_480p_30s.mp4": 300, "sar_64_45.mp4": 30}


@dataclass(frozen=True, kw_only=True)
class Coding:
    """What happens to a shrunk clip.

    resized: stored at this share of its size, enlarged by bilinear again, before all else, as sites do.
    noise: sigma in codes of white noise on R, G and B, as of a camera in the dark.
    encodes: (FFmpeg's encoder, its options), one after the other.
    """

    resized: float | None = None
    noise: float = 0.0
    encodes: tuple[tuple[str, dict[str, str]], ...]


def _x264(*crfs: int) -> tuple[tuple[str, dict[str, str]], ...]:
    return tuple(("libx264", {"crf": str(crf)}) for crf in crfs)


CODINGS = {
    "not coded": Coding(encodes=()),
    "x264 crf 23": Coding(encodes=_x264(23)),
    "x264 crf 28": Coding(encodes=_x264(28)),
    "x264 crf 34": Coding(encodes=_x264(34)),
    "x265 crf 30": Coding(encodes=(("libx265", {"crf": "30", "x265-params": "log-level=none"}),)),
    "av1 crf 45": Coding(encodes=(("libsvtav1", {"crf": "45", "preset": "8"}),)),
    "vp9 crf 40": Coding(
        encodes=(("libvpx-vp9", {"crf": "40", "b": "0", "deadline": "realtime", "cpu-used": "6"}),),
    ),
    "mpeg2 q 8": Coding(encodes=(("mpeg2video", {"qmin": "8", "qmax": "8"}),)),
    "noise 4, x264 crf 23": Coding(noise=4.0, encodes=_x264(23)),
    "x264 crf 30, then 26": Coding(encodes=_x264(30, 26)),
    "resized, x264 crf 28": Coding(resized=0.6, encodes=_x264(28)),
}


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames (H, W, 3) of the truth and of what the models get."""

    truth: list[Image8]
    low: list[Image8]


def rgb_from_frame(frame: av.VideoFrame) -> Image8:
    """(H, W, 3), by swscale."""
    return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def read_frames(path: Path, *, skip: int, count: int) -> list[Image8]:
    """`count` frames (H, W, 3) after the first `skip`; fewer where the file ends."""
    frames = []
    with av.open(str(path)) as source:
        for index, frame in enumerate(source.decode(video=0)):
            if index >= skip:
                frames.append(rgb_from_frame(frame))
            if len(frames) == count:
                break
    return frames


def sources(folder: Path, *, drawings: bool) -> Mapping[str, Source]:
    """By name: the real clips in `folder`; or the comic pages there that anime never learnt from, and drawn scenes."""
    if not drawings:
        return {file: partial(_frames, folder / file, skip) for file, skip in CLIPS.items()}
    held_back = read_config(find_recipe("anime-x4")).data.held_back
    pages = [path for path in sorted(folder.iterdir()) if any(fnmatch(path.name, pattern) for pattern in held_back)]
    if len(pages) != len(held_back):
        raise SystemExit(f"{folder} holds {len(pages)} of the pages {', '.join(held_back)}")
    scenes = {f"scene {seed}": partial(_panned_scene, seed) for seed in DRAWN_SEEDS}
    return {path.name: partial(_panned_page, path) for path in pages} | scenes


def _frames(path: Path, skip: int, count: int) -> list[Image8]:
    return read_frames(path, skip=skip, count=count)


def _panned_page(path: Path, count: int) -> list[Image8]:
    return _panned(read_rgb(path), count)


def _panned_scene(seed: int, count: int) -> list[Image8]:
    return _panned(np.asarray(draw_scene(np.random.default_rng(seed))), count)


def _panned(picture: Image8, count: int) -> list[Image8]:
    starts = [(index * PAN_PX[0], index * PAN_PX[1]) for index in range(count)]
    return [picture[top : top + DRAWING_PX, left : left + DRAWING_PX] for top, left in starts]


def read_clip(path: Path, *, skip: int, count: int, scale: int, coding: str) -> Clip:
    """`count` frames after `skip`, as `degraded` makes them."""
    return degraded(read_frames(path, skip=skip, count=count), scale=scale, coding=coding)


def degraded(frames: Sequence[Image8], *, scale: int, coding: str) -> Clip:
    """`frames` cropped to multiples of twice the scale, shrunk and made as CODINGS[coding] says."""
    truth = []
    for image in frames:
        height, width = (side - side % (2 * scale) for side in image.shape[:2])
        truth.append(np.ascontiguousarray(image[:height, :width]))
    size = (truth[0].shape[1] // scale, truth[0].shape[0] // scale)
    small = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in truth]
    return Clip(truth=truth, low=spoilt(small, CODINGS[coding]))


def spoilt(frames: Sequence[Image8], coding: Coding) -> list[Image8]:
    """`frames` as they come out of `coding`; the same every time."""
    found = list(frames)
    if coding.resized is not None:
        found = [_resized_and_back(image, coding.resized) for image in found]
    if coding.noise:
        random = np.random.default_rng(0)
        noisy = (image + random.normal(0, coding.noise, image.shape) for image in found)
        found = [np.clip(np.rint(image), 0, 255).astype(np.uint8) for image in noisy]
    for codec, options in coding.encodes:
        found = coded(found, codec, options)
    return found


def _resized_and_back(image: Image8, factor: float) -> Image8:
    picture = Image.fromarray(image)
    small = picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BICUBIC)
    return np.asarray(small.resize(picture.size, Image.Resampling.BILINEAR))


def coded(frames: Sequence[Image8], codec: str, options: dict[str, str]) -> list[Image8]:
    """`frames` after one encode and decode in 4:2:0."""
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints a banner otherwise; 1 is errors
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
    with av.open(buffer, "r") as source:
        return [rgb_from_frame(frame) for frame in source.decode(video=0)]
