"""Layouts and meanings of planes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_core.color import (
    LUMA_WEIGHTS,
    ColorSpec,
    code_scale,
    color_from_tags,
    rgb_from_ycc,
    ycc_from_rgb,
)
from sr_core.errors import BadInput
from sr_core.frame import PixelFormat, gray, rgb, yuv
from sr_core.graph.taps import chroma_down, chroma_up_phases, cubic_up_phases


@given(width=st.integers(1, 99), height=st.integers(1, 99), sampling=st.sampled_from(["420", "422", "440", "444"]))
def test_chroma_planes_cover_odd_frames(width: int, height: int, sampling: str) -> None:
    fmt = yuv(sampling)
    (_, (rows, columns), _) = fmt.plane_shapes(width, height)
    across, down = fmt.subsampling
    assert 0 <= columns * across - width < across
    assert 0 <= rows * down - height < down
    assert fmt.check(fmt.empty(width, height)) == (width, height)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"family": "yuv", "depth": 7}, "8 to 16 bits, got 7"),
        ({"family": "yuv", "layout": "packed"}, "no packed layout"),
        ({"family": "rgb", "subsampling": (2, 2)}, "only yuv is subsampled"),
        ({"family": "yuv", "subsampling": (4, 1)}, "divisors are 1 or 2"),
        ({"family": "rgb", "is_float": True, "depth": 10}, "16 or 32 bits"),
    ],
)
def test_impossible_formats_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        PixelFormat(**wrong)  # type: ignore[arg-type]


def test_missing_and_misshapen_planes_are_refused() -> None:
    with pytest.raises(BadInput, match="has 3 planes, got 1"):
        yuv("420").check((np.zeros((4, 4), np.uint8),))
    with pytest.raises(BadInput, match="float64"):
        gray().check((np.zeros((4, 4)),))
    with pytest.raises(BadInput, match="at least 1x1"):
        rgb().plane_shapes(0, 4)


def test_limited_range_codes_are_those_of_the_standard() -> None:
    """BT.709-6 §4.2: black 16, white 235, chroma 16..240 at 8 bits, times 4 at 10 bits."""
    assert code_scale(depth=8, full_range=False) == (219, 16, 224, 128)
    assert code_scale(depth=10, full_range=False) == (876, 64, 896, 512)
    assert code_scale(depth=8, full_range=True) == (255, 0, 255, 128)


@pytest.mark.parametrize("matrix", LUMA_WEIGHTS)
def test_matrices_invert_and_keep_grey_grey(matrix: str) -> None:
    there, back = rgb_from_ycc(matrix), ycc_from_rgb(matrix)  # type: ignore[arg-type]
    assert np.allclose(there @ back, np.eye(3))
    assert np.allclose(back @ [0.5, 0.5, 0.5], [0.5, 0, 0])


def test_bt709_red_has_the_published_codes() -> None:
    """100 % red in BT.709 limited 8 bit is Y 63, Cb 102, Cr 240 (SMPTE RP 219 colour bars)."""
    luma, cb, cr = ycc_from_rgb("bt709") @ [1, 0, 0]
    assert [round(luma * 219 + 16), round(cb * 224 + 128), round(cr * 224 + 128)] == [63, 102, 240]


@pytest.mark.parametrize(
    ("height", "matrix"), [(480, "bt601"), (576, "bt601"), (719, "bt601"), (720, "bt709"), (2160, "bt709")]
)
def test_an_untagged_matrix_is_guessed_by_size_and_the_guess_is_recorded(height: int, matrix: str) -> None:
    color = color_from_tags(matrix=2, is_full_range=None, chroma_location=0, width=height, height=height, family="yuv")
    assert (color.matrix, color.full_range, color.siting) == (matrix, False, "left")
    assert color.guessed == ("matrix", "range", "siting")


def test_tags_are_believed() -> None:
    color = color_from_tags(matrix=9, is_full_range=True, chroma_location=3, width=64, height=64, family="yuv")
    assert color == ColorSpec(matrix="bt2020", full_range=True, siting="topleft")


@pytest.mark.parametrize("code", [8, 10, 14])
def test_matrices_that_are_not_linear_in_rgb_are_refused_by_name(code: int) -> None:
    with pytest.raises(BadInput, match="not supported"):
        color_from_tags(matrix=code, is_full_range=False, chroma_location=1, width=8, height=8, family="yuv")


@pytest.mark.parametrize("offset", [0.0, 0.5, 1.0])
def test_the_dual_filter_undoes_the_enlargement(offset: float) -> None:
    random = np.random.default_rng(0).random(40)
    padded = np.pad(random, 4, mode="edge")
    phases = chroma_up_phases(offset)
    large = np.stack([sum(phases[p][k] * padded[k : k + 46] for k in range(3)) for p in (0, 1)], 1).ravel()
    line, first = chroma_down(offset, dual=True)
    start = 2 * 3 + first  # sample j of the picture is at index j + 3 of the enlargement's source
    small = [sum(w * large[start + 2 * j + k] for k, w in enumerate(line)) for j in range(40)]
    assert np.allclose(small, random)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize(("offset", "divisor"), [(0.0, 1), (0.0, 2), (0.5, 2), (1.0, 2)])
def test_bicubic_phases_sum_to_one_and_follow_a_ramp(scale: int, offset: float, divisor: int) -> None:
    phases = cubic_up_phases(scale, offset=offset, divisor=divisor)
    assert np.allclose(phases.sum(axis=1), 1)
    positions = phases @ np.arange(-2, 3)
    assert np.allclose(np.diff(positions), 1 / scale)
