"""swscale, always told matrix, range and siting: it guesses BT.601 where one stays silent."""

from __future__ import annotations

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from sr_core.color import SITING_FROM_AVCHROMA, ColorSpec, Matrix
from sr_video.pixels import coarse_bits, fill_low_bits, nearest_format

_SWS_MATRIX: dict[Matrix, Colorspace] = {
    "bt709": Colorspace.ITU709,
    "fcc": Colorspace.FCC,
    "bt601": Colorspace.ITU601,
    "smpte240m": Colorspace.SMPTE240M,
    "bt2020": Colorspace.BT2020,
}
_AVCHROMA = {name: number for number, name in SITING_FROM_AVCHROMA.items()}
_EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP


def convert_frame(
    reformatter: VideoReformatter,
    frame: av.VideoFrame,
    pix_fmt: str,
    color: ColorSpec,
    *,
    width: int | None = None,
    height: int | None = None,
    given: ColorSpec | None = None,
    to_limited: bool = False,
) -> av.VideoFrame:
    """`frame` as `pix_fmt` at `width` x `height`; matrix and range are those of `color`, before it too unless `given`.

    Sizes change by Lanczos. RGB becomes limited-range YUV of `color.matrix`, as players expect; with
    `to_limited`, so does full-range YUV.
    """
    if (bits := coarse_bits(frame.format.name)) and pix_fmt != frame.format.name:
        frame = reformatter.reformat(frame, format="rgb24")
        fill_low_bits(frame, bits)
    from_rgb = nearest_format(frame.format.name).family == "rgb"
    to_rgb = nearest_format(pix_fmt).family == "rgb"
    given = given or color
    matrix, own_range = _SWS_MATRIX[color.matrix], _range_of(color)
    is_limited_out = from_rgb or to_limited
    frame.chroma_location = _AVCHROMA[color.siting]
    if frame.format.name.startswith("yuvj") and not given.full_range:
        # swscale takes yuvj for full range whatever it is told: the same samples under their plain name
        frame = reformatter.reformat(
            frame,
            format=frame.format.name.replace("j", "", 1),
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG,
        )
    return reformatter.reformat(
        frame,
        width=width,
        height=height,
        format=pix_fmt,
        # an RGB side has neither matrix nor range: naming one there changes the result
        src_colorspace=None if from_rgb else _SWS_MATRIX[given.matrix],
        src_color_range=None if from_rgb else _range_of(given),
        dst_colorspace=None if to_rgb else matrix,
        dst_color_range=None if to_rgb else ColorRange.MPEG if is_limited_out else own_range,
        interpolation=Interpolation.LANCZOS | _EXACT,
        threads=0,
    )


def _range_of(color: ColorSpec) -> ColorRange:
    return ColorRange.JPEG if color.full_range else ColorRange.MPEG
