"""VapourSynth's formats, frames and their properties, in the words of sr_core.

    vs.VideoFormat                        -> PixelFormat
    vs.VideoFrame                         -> Planes
    _Matrix, _Range, _ChromaLocation      -> ColorSpec      (per frame; what is missing is guessed)
    ColorSpec.guessed                     -> SrvidGuessed   "matrix=bt601,siting=left"

`_ColorRange`, the name older plugins write, never arrives here: since R74 VapourSynth's core stores
it as `_Range` (with the values swapped).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import vapoursynth as vs

from sr_core.color import ColorSpec, color_from_tags
from sr_core.errors import BadInput
from sr_core.frame import Family, PixelFormat, Planes

GUESSED_PROP = "SrvidGuessed"
ALPHA_PROP = "_Alpha"
UNSPECIFIED_MATRIX = 2  # ITU-T H.273 table 4
FULL_RANGE_ALPHA = ColorSpec(full_range=True)  # opacity has no footroom in VapourSynth


def pixel_format_from_vs(video_format: vs.VideoFormat) -> PixelFormat:
    """The same format for the engine.

    Raises:
        BadInput: integers of more than 16 bits, 4:1:1 or 4:1:0.
    """
    families: dict[int, Family] = {vs.YUV: "yuv", vs.GRAY: "gray", vs.RGB: "rgb"}
    depth: int = video_format.bits_per_sample
    is_float = video_format.sample_type == vs.FLOAT
    divisors = (1 << video_format.subsampling_w, 1 << video_format.subsampling_h)
    if not is_float and depth > 16:
        raise BadInput(
            f"{video_format.name} has {depth}-bit integers",
            hint="convert first: clip.resize.Point(format=...) to at most 16 bits, or to float",
        )
    if max(divisors) > 2:
        raise BadInput(
            f"{video_format.name} has one chroma sample for {divisors[0]}x{divisors[1]} pixels",
            hint="convert first: clip.resize.Bicubic(format=vs.YUV444P8)",
        )
    return PixelFormat(family=families[video_format.color_family], depth=depth, subsampling=divisors, is_float=is_float)


def planes_of(frame: vs.VideoFrame) -> Planes:
    """Views, not copies: (rows, columns) with the frame's stride; they keep its memory alive."""
    return tuple(np.asarray(frame[plane]) for plane in range(frame.format.num_planes))


def new_frame_like(core: vs.Core, like: vs.VideoFrame, scale: int = 1) -> vs.VideoFrame:
    """An uninitialised frame from VapourSynth's pool; a copied template would cost its memory twice."""
    return core.create_video_frame(like.format, like.width * scale, like.height * scale)


def color_from_props(props: Mapping[str, Any], pixels: PixelFormat, *, width: int, height: int) -> ColorSpec:
    """What the samples of one frame mean.

    Raises:
        BadInput: the frame holds fields, or a matrix that is not linear in RGB.
    """
    if props.get("_FieldBased", vs.FIELD_PROGRESSIVE) != vs.FIELD_PROGRESSIVE:
        raise BadInput(
            "the frame is interlaced (_FieldBased), and upscaling would weave its two moments together",
            hint="deinterlace first (bwdif, QTGMC); if it is progressive in truth: clip.std.SetFieldBased(0)",
        )
    range_prop = props.get("_Range")
    # VapourSynth counts sitings from left = 0, FFmpeg from left = 1 with 0 for untagged.
    siting_prop = props.get("_ChromaLocation")
    return color_from_tags(
        matrix=int(props.get("_Matrix", UNSPECIFIED_MATRIX)),
        is_full_range=None if range_prop is None else range_prop == vs.RANGE_FULL,
        chroma_location=0 if siting_prop is None else int(siting_prop) + 1,
        width=width,
        height=height,
        family=pixels.family,
    )


def guesses_of(color: ColorSpec, pixels: PixelFormat) -> str:
    """The guessed tags that matter for `pixels`, as `SrvidGuessed` holds them; '' for none."""
    values = {
        "matrix": color.matrix,
        "range": "full" if color.full_range else "limited",
        "siting": color.siting,
    }
    is_subsampled = pixels.subsampling != (1, 1)
    return ",".join(f"{tag}={values[tag]}" for tag in color.guessed if tag != "siting" or is_subsampled)
