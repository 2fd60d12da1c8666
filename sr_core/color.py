"""What the samples of a frame mean: matrix, range, chroma siting.

Numbers are those of ITU-T H.273 (FFmpeg, VapourSynth and every container use them). A missing
tag is guessed here and nowhere else, and the guess is recorded in `ColorSpec.guessed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sr_core.errors import BadInput

Matrix = Literal["bt709", "fcc", "bt601", "smpte240m", "bt2020"]
Siting = Literal["left", "center", "topleft", "top", "bottomleft", "bottom"]
Matrix3 = npt.NDArray[np.float64]

# Luma weights (KR, KB), ITU-T H.273 table 4.
LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt601": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}
MATRIX_FROM_H273: dict[int, Matrix] = {
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    9: "bt2020",
}
_REFUSED_H273 = {8: "YCgCo", 10: "BT.2020 constant luminance", 14: "ICtCp", 11: "YDzDx"}
# H.273 chroma_sample_loc_type, plus one as FFmpeg's AVChromaLocation counts (0 = unspecified).
SITING_FROM_AVCHROMA: dict[int, Siting] = {
    1: "left",
    2: "center",
    3: "topleft",
    4: "top",
    5: "bottomleft",
    6: "bottom",
}
# Where chroma sample 0 lies between luma samples 0 and 1: (horizontal, vertical), in luma pixels.
SITING_OFFSET: dict[Siting, tuple[float, float]] = {
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0.0, 0.0),
    "top": (0.5, 0.0),
    "bottomleft": (0.0, 1.0),
    "bottom": (0.5, 1.0),
}
HD_HEIGHT = 720  # from this height on, untagged video is BT.709 (players' common rule)
HD_WIDTH = 1280


@dataclass(frozen=True, kw_only=True)
class ColorSpec:
    """Matrix, range and siting of a frame; `guessed` names the tags that were missing."""

    matrix: Matrix = "bt709"
    full_range: bool = False
    siting: Siting = "left"
    guessed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.matrix not in LUMA_WEIGHTS:
            raise BadInput(f"unknown matrix {self.matrix!r}", hint=f"one of {', '.join(LUMA_WEIGHTS)}")
        if self.siting not in SITING_OFFSET:
            raise BadInput(f"unknown siting {self.siting!r}", hint=f"one of {', '.join(SITING_OFFSET)}")


FULL_RANGE_RGB = ColorSpec(matrix="bt601", full_range=True)  # images: RGB needs no matrix


def color_from_tags(
    *, matrix: int, is_full_range: bool | None, chroma_location: int, width: int, height: int, family: str
) -> ColorSpec:
    """Return the meaning of a frame's tags, guessing what is missing.

    Args:
        matrix: H.273 MatrixCoefficients (2 = unspecified).
        is_full_range: True, False, or None where untagged.
        chroma_location: FFmpeg's AVChromaLocation (0 = unspecified).
        width, height: frame size, which decides an untagged matrix.
        family: 'yuv', 'gray' or 'rgb'.

    Raises:
        BadInput: a matrix whose conversion is not linear in RGB (ICtCp, constant luminance, YCgCo).
    """
    if matrix in _REFUSED_H273 and family == "yuv":
        raise BadInput(
            f"the video uses {_REFUSED_H273[matrix]} (matrix {matrix}), which is not supported",
            hint="convert it to BT.709 or BT.2020 non-constant luminance first",
        )
    guessed: list[str] = []
    named = MATRIX_FROM_H273.get(matrix)
    if named is None:
        named = "bt709" if height >= HD_HEIGHT or width >= HD_WIDTH else "bt601"
        if family == "yuv":
            guessed.append("matrix")
    if is_full_range is None:
        is_full_range = family == "rgb"
        if family == "yuv":
            guessed.append("range")
    siting = SITING_FROM_AVCHROMA.get(chroma_location)
    if siting is None:
        siting = "left"
        if family == "yuv":
            guessed.append("siting")
    return ColorSpec(matrix=named, full_range=is_full_range, siting=siting, guessed=tuple(guessed))


def code_scale(*, depth: int, full_range: bool) -> tuple[float, float, float, float]:
    """Return (luma span, luma offset, chroma span, chroma offset) in codes of `depth` bits.

    Limited range is 219 * 2^(depth-8) above 16 * 2^(depth-8), BT.709-6 §4; full range is
    2^depth - 1 with chroma centred on 2^(depth-1), H.273 equations 28 to 30.
    """
    unit = float(1 << (depth - 8))
    if full_range:
        peak = float((1 << depth) - 1)
        return peak, 0.0, peak, 128.0 * unit
    return 219.0 * unit, 16.0 * unit, 224.0 * unit, 128.0 * unit


def rgb_from_ycc(matrix: Matrix) -> Matrix3:
    """3x3 matrix from normalised (Y 0..1, Cb and Cr -0.5..0.5) to RGB 0..1."""
    kr, kb = LUMA_WEIGHTS[matrix]
    kg = 1.0 - kr - kb
    return np.array(
        [
            [1.0, 0.0, 2 * (1 - kr)],
            [1.0, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg],
            [1.0, 2 * (1 - kb), 0.0],
        ]
    )


def ycc_from_rgb(matrix: Matrix) -> Matrix3:
    """The inverse of `rgb_from_ycc`."""
    return np.linalg.inv(rgb_from_ycc(matrix))
