"""numpy images through the engine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sr_core.array import upscale_image
from sr_core.color import ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import Array, PixelFormat, Planes
from sr_core.upscaler import Upscaler

DTYPES = ("uint8", "uint16", "float16", "float32")
quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@st.composite
def images(draw: st.DrawFn) -> Array:
    sides = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    channels = draw(st.sampled_from([(), (1,), (2,), (3,), (4,)]))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    elements = st.floats(0, 1, width=dtype.itemsize * 8) if dtype.kind == "f" else st.integers(0, np.iinfo(dtype).max)
    return draw(arrays.arrays(dtype, sides + channels, elements=elements))


@quick
@given(image=images())
def test_a_network_that_repeats_pixels_repeats_every_visible_one(doubling: Upscaler, image: Array) -> None:
    large = upscale_image(doubling, image)
    expected = image.repeat(2, axis=0).repeat(2, axis=1)
    assert large.dtype == image.dtype
    assert large.shape == expected.shape
    visible: Array = np.ones(expected.shape[:2], bool)
    if image.ndim == 3 and image.shape[2] in (2, 4):
        visible = expected[..., -1] > 0
        np.testing.assert_allclose(large[..., -1], expected[..., -1], rtol=0, atol=1e-6)
    # float samples go through one multiplication: one rounding
    atol = 1e-6 if image.dtype == np.float32 else 0
    np.testing.assert_allclose(large[visible], expected[visible], rtol=0, atol=atol)


def test_the_input_is_left_as_it_was(doubling: Upscaler) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 4), dtype=np.uint8)
    image[3:6, 2:8, 3] = 0
    before = image.copy()
    upscale_image(doubling, image)
    np.testing.assert_array_equal(image, before)


def test_strided_views_give_what_their_copies_give(network: Upscaler) -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    view = image[::-2, ::3, ::-1]
    np.testing.assert_array_equal(upscale_image(network, view), upscale_image(network, view.copy()))


def test_hidden_colour_does_not_reach_visible_pixels(network: Upscaler) -> None:
    """The halo test: the same red disc over black and over green must come out alike."""
    y, x = np.mgrid[:48, :48]
    alpha = np.where((y - 24) ** 2 + (x - 24) ** 2 < 200, 255, 0).astype(np.uint8)
    results = []
    for hidden in ((0, 0, 0), (0, 255, 0)):
        image = np.full((48, 48, 4), (200, 30, 30, 0), np.uint8)
        image[..., 3] = alpha
        image[alpha == 0, :3] = hidden
        large = upscale_image(network, image)
        results.append(large[large[..., 3] > 127])
    np.testing.assert_array_equal(results[0], results[1])


class _Counting:
    """The real engine, counting its frames."""

    def __init__(self, inner: Upscaler) -> None:
        self.inner, self.families = inner, list[str]()

    @property
    def scale(self) -> int:
        return self.inner.scale

    def planes(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Planes:
        self.families.append(fmt.family)
        return self.inner.planes(planes, fmt, color)


@pytest.mark.parametrize(("opacity", "expected"), [(128, ["rgb"]), (None, ["rgb", "gray"])])
def test_constant_alpha_is_not_computed(doubling: Upscaler, opacity: int | None, expected: list[str]) -> None:
    image = np.random.default_rng(0).integers(1, 256, (8, 8, 4), dtype=np.uint8)
    if opacity is not None:
        image[..., 3] = opacity
    counting = _Counting(doubling)
    large = upscale_image(counting, image)
    assert counting.families == expected
    assert opacity is None or (large[..., 3] == opacity).all()


def test_float_alpha_stays_between_0_and_1(network: Upscaler) -> None:
    image = np.random.default_rng(0).integers(0, 2, (32, 32, 4)).astype(np.float32)
    alpha = upscale_image(network, image)[..., 3]
    assert alpha.min() >= 0
    assert alpha.max() <= 1


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4, 5), np.uint8), "1 to 4 channels"),
        (np.zeros((4,), np.uint8), "2 or 3 dimensions"),
        (np.zeros((0, 4, 3), np.uint8), "at least one pixel"),
        (np.zeros((4, 4), np.int32), "sample type"),
        (np.full((4, 4), np.nan, np.float32), "NaN"),
    ],
)
def test_what_is_no_image_is_refused_with_its_shape(identity: Upscaler, image: Array, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        upscale_image(identity, image)
    assert str(image.shape) in str(caught.value)
    assert caught.value.hint
