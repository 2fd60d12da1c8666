"""An identity network through the whole graph returns what went in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sr_core.backend import open_backend
from sr_core.color import FULL_RANGE_RGB, LUMA_WEIGHTS, SITING_OFFSET, ColorSpec
from sr_core.difference import difference
from sr_core.frame import PixelFormat, gray, rgb, yuv
from sr_core.model_spec import ColorSpace, spec_of
from sr_core.testing import nearest_model, picture, planes_from_rgb
from sr_core.upscaler import Upscaler

INTEGER_YUV = [
    yuv(sampling, depth, semiplanar=semi)
    for sampling, depth, semi in [
        *itertools.product(("420", "422", "440", "444"), (8, 10, 12, 16), (False,)),
        ("420", 8, True),
        ("420", 10, True),
        ("422", 16, True),
    ]
]
OTHERS = [gray(), gray(12), gray(16), rgb(), rgb(10), rgb(16), rgb(packed=True), rgb(16, packed=True)]
FLOATS = [
    PixelFormat(family="yuv", depth=32, is_float=True, subsampling=(2, 2)),
    PixelFormat(family="yuv", depth=32, is_float=True),
    PixelFormat(family="rgb", depth=32, is_float=True),
    PixelFormat(family="rgb", depth=16, is_float=True, layout="packed"),
    PixelFormat(family="gray", depth=32, is_float=True),
]


def worst_difference(fmt: PixelFormat, color: ColorSpec, color_space: ColorSpace, backend: str) -> float:
    """Largest |out - in| in codes of an identity network on a 37x31 picture, in two tiles or more."""
    planes = planes_from_rgb(picture(37, 31), fmt, color)
    model = nearest_model(1, color_space=color_space)
    spec = spec_of(model)
    assert spec is not None
    with Upscaler(model, spec, open_backend(backend), tile=24) as upscaler:
        out = upscaler.planes(planes, fmt, color)
    step = 1 << (16 - fmt.depth) if fmt.msb_aligned else 1
    return max(difference(a, b).worst for a, b in zip(out, planes, strict=True)) / step


@pytest.mark.parametrize("color_space", ["rgb", "y"])
@pytest.mark.parametrize("fmt", INTEGER_YUV, ids=str)
def test_yuv_comes_back_exactly_in_every_format(fmt: PixelFormat, color_space: ColorSpace) -> None:
    assert worst_difference(fmt, ColorSpec(matrix="bt709"), color_space, "openvino") == 0


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", LUMA_WEIGHTS)
@pytest.mark.parametrize("siting", SITING_OFFSET)
def test_yuv_comes_back_exactly_for_every_matrix_range_and_siting(matrix: str, full_range: bool, siting: str) -> None:
    color = ColorSpec(matrix=matrix, full_range=full_range, siting=siting)  # type: ignore[arg-type]
    assert worst_difference(yuv("420", 10), color, "rgb", "openvino") == 0


@pytest.mark.parametrize("color_space", ["rgb", "y"])
@pytest.mark.parametrize("fmt", OTHERS, ids=str)
def test_rgb_and_gray_come_back_exactly(fmt: PixelFormat, color_space: ColorSpace) -> None:
    assert worst_difference(fmt, FULL_RANGE_RGB, color_space, "openvino") == 0


@pytest.mark.parametrize("color_space", ["rgb", "y"])
@pytest.mark.parametrize("fmt", FLOATS, ids=str)
def test_float_comes_back_within_rounding(fmt: PixelFormat, color_space: ColorSpace) -> None:
    assert worst_difference(fmt, FULL_RANGE_RGB, color_space, "openvino") < 1e-6


@pytest.mark.parametrize("fmt", [yuv("420"), yuv("422", 10), yuv("420", 10, semiplanar=True), rgb()], ids=str)
def test_onnxruntime_gives_the_same_identity(fmt: PixelFormat) -> None:
    assert worst_difference(fmt, ColorSpec(), "rgb", "onnxruntime") == 0


def test_a_wrong_matrix_would_be_noticed() -> None:
    """The comparison above can fail: encode with one matrix, decode with another."""
    planes = planes_from_rgb(picture(32, 32), yuv("444"), ColorSpec(matrix="bt709"))
    again = planes_from_rgb(picture(32, 32), yuv("444"), ColorSpec(matrix="bt601"))
    assert max(difference(a, b).worst for a, b in zip(planes, again, strict=True)) > 3


def test_codes_outside_the_rgb_cube_survive() -> None:
    """Super-white and wide-gamut codes are not clipped on their way through RGB."""
    random = np.random.default_rng(1)
    fmt = yuv("444")
    planes = tuple(random.integers(0, 256, (24, 32), np.uint8) for _ in range(3))
    model = nearest_model(1)
    spec = spec_of(model)
    assert spec is not None
    with Upscaler(model, spec, open_backend("openvino"), tile=64) as upscaler:
        out = upscaler.planes(planes, fmt, ColorSpec())
    assert all(np.array_equal(a, b) for a, b in zip(out, planes, strict=True))
