"""A second opinion on what was kept: Pillow for images, FFmpeg with one thread for videos.

Both say '' where all is well, or where they cannot tell.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_EXACT = (".png", ".bmp", ".tif")
_EXACT_MODES = ("1", "L", "RGB", "RGBA", "LA", "P")
_WORDS_OF_CHANGE = (b"note:", b"damage", b"salvage", b"left out", b"differ", b"without")


def image(name: str, code: int, said: bytes) -> str:
    """Where srbatch said all is done: does the output open, with twice the size, and the same pixels?"""
    if code:
        return ""
    from PIL import Image, ImageOps, UnidentifiedImageError

    made = [path for path in Path("out").iterdir() if path.name.startswith("in.")]
    if len(made) != 1:
        return f"exit code 0 and {len(made)} outputs"
    if made[0].suffix in (".exr", ".jxl", ".heic"):
        return ""  # Pillow reads none of them
    try:
        with Image.open(made[0]) as after:
            after.load()
    except UnidentifiedImageError as error:
        if made[0].suffix == ".tif" and _is_float_tiff(made[0]):
            return ""  # three channels of floats, which Pillow does not read
        return f"the output does not open: {error}"
    except Exception as error:
        return f"the output does not open: {type(error).__name__}: {error}"
    if Path(name).suffix in (".exr", ".jxl", ".heic"):
        return ""
    try:
        with Image.open(name) as before:
            before.load()
            mode, frames = before.mode, getattr(before, "n_frames", 1)
            before = ImageOps.exif_transpose(before)
    except UnidentifiedImageError:
        return ""  # Pillow gives up at tags and chunks that other readers pass over
    except Exception as error:
        return "" if b"note:" in said else f"Pillow cannot read the input: {type(error).__name__}: {error}"
    size = before.width * 2, before.height * 2
    if after.size not in (size, size[::-1]):
        return f"the output is {after.size}, expected {size}"
    if mode not in _EXACT_MODES or frames > 1 or made[0].suffix not in _EXACT or b"note:" in said:
        return ""
    return _different(before, after)


def _is_float_tiff(path: Path) -> bool:
    import tifffile

    with tifffile.TiffFile(path) as file:
        return bool(file.pages[0].dtype is not None and file.pages[0].dtype.kind == "f")


def _different(before: Any, after: Any) -> str:
    """Whether an output without loss repeats every pixel, where it can be seen."""
    expected = np.asarray(before.convert("RGBA")).repeat(2, axis=0).repeat(2, axis=1)
    found = np.asarray(after.convert("RGBA"))
    if found.shape != expected.shape:
        return ""
    seen = expected[..., 3] > 0
    wrong = int((found[seen] != expected[seen]).any(axis=-1).sum())
    return f"{wrong} of {seen.sum()} pixels differ" if wrong else ""


def video(name: str, target: str, code: int, said: bytes) -> str:
    """Where srvid said all is done: as many frames as FFmpeg decodes with one thread, or a word about it?"""
    if code or any(word in said for word in _WORDS_OF_CHANGE):
        return ""
    frames, errors = _decoded(name)
    made, broken = _decoded(target)
    if broken:
        return f"the output does not decode: {broken}"
    if made == frames and not errors:
        return ""
    return f"{made} frames of {frames}{' and FFmpeg reports ' + errors if errors else ''}"


def _decoded(path: str) -> tuple[int, str]:
    """(frames, what failed) of the first video stream, packet by packet in one thread."""
    import av

    count, problem = 0, ""
    try:
        with av.open(path, "r") as file:
            stream = file.streams.video[0]
            stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
            for packet in file.demux(stream):
                try:
                    count += len(packet.decode())
                except av.FFmpegError as error:
                    if packet.size:
                        problem = str(error)[:80]
    except (av.FFmpegError, IndexError) as error:
        problem = str(error)[:80]
    return count, problem
