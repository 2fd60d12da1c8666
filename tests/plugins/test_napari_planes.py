"""Layers' data plane by plane, with a real network and without napari."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from sr_core.array import upscale_image
from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.upscaler import Upscaler
from sr_plugins.hosts.napari.planes import enlarge_planes
from sr_plugins.testing import open_test_model

random = np.random.default_rng(2)


def opened(model: str) -> Upscaler:
    return open_test_model(model, scale=2, backend="auto", tile=None, shared_tiles=True, reuse=False, progress=None)


@pytest.fixture(scope="module")
def nearest() -> Iterator[Upscaler]:
    with opened("nearest") as upscaler:
        yield upscaler


def enlarged(data: Array, upscaler: Upscaler, *, is_rgb: bool = False) -> Array:
    steps = enlarge_planes(data, upscaler, is_rgb=is_rgb)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Array = end.value
            return result


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(12, 10), (3, 12, 10), (2, 3, 12, 10)])
def test_grey_stacks_of_every_type_keep_their_values(nearest: Upscaler, dtype: str, shape: tuple[int, ...]) -> None:
    data = (random.random(shape) * 4000 - (900 if dtype in ("int16", "float32", "float64") else 0)).astype(dtype)
    result = enlarged(data, nearest)
    assert result.dtype == data.dtype
    tolerance = 0 if data.dtype.kind in "ui" else 2e-3  # float32 of a range of 4000
    np.testing.assert_allclose(result, data.repeat(2, -2).repeat(2, -1), atol=tolerance)


@pytest.mark.parametrize("channels", [3, 4])
def test_rgb_series_are_enlarged_plane_by_plane(channels: int) -> None:
    data = random.integers(0, 256, (3, 12, 10, channels), np.uint8)
    with opened("random") as upscaler:
        result = enlarged(data, upscaler, is_rgb=True)
        for plane, expected in zip(result, data, strict=True):
            np.testing.assert_array_equal(plane, upscale_image(upscaler, expected))


def test_a_factor_between_two_is_a_resize_of_the_larger() -> None:
    data = random.integers(0, 256, (2, 12, 11), np.uint8)
    with opened("random") as upscaler:
        steps = enlarge_planes(data, upscaler, is_rgb=False, scale=1.5)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result = end.value
                break
        for plane, source in zip(result, data, strict=True):
            whole = Image.fromarray(upscale_image(upscaler, source)).resize((17, 18), Image.Resampling.LANCZOS)
            assert np.abs(plane.astype(int) - np.asarray(whole)).max() <= 1


def test_progress_counts_the_planes(nearest: Upscaler) -> None:
    assert list(enlarge_planes(np.zeros((4, 8, 8), np.uint8), nearest, is_rgb=False)) == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("data", [np.zeros(5), np.zeros((4, 4), complex), np.full((4, 4), np.nan)])
def test_what_is_no_image_of_numbers_is_refused(nearest: Upscaler, data: Array) -> None:
    with pytest.raises(BadInput):
        enlarged(data, nearest)
