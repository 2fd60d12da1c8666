"""Linear light and HDR to the network's curve and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_image.color.curve import Curve


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    values=st.lists(st.floats(-100, 10_000, width=32), min_size=1, max_size=50),
    is_linear=st.booleans(),
)
def test_decoding_undoes_encoding(values: list[float], is_linear: bool) -> None:
    samples = np.array(values, np.float32)
    curve = Curve(is_linear=is_linear, low=float(samples.min()), high=float(samples.max()))
    codes = curve.encode(samples)
    assert codes.min() >= -1e-6
    assert codes.max() <= 1 + 1e-6
    back = curve.decode(codes, np.dtype(np.float32), is_linear_out=is_linear)
    # float32 codes of a range of n hold steps of n * 6e-8; the logarithm multiplies by the value
    np.testing.assert_allclose(back, samples, rtol=2e-5, atol=2e-3 if not is_linear else 2e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_linear_integer_comes_back_exactly(dtype: type) -> None:
    samples = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    curve = Curve(is_linear=True)
    np.testing.assert_array_equal(curve.decode(curve.encode(samples), samples.dtype, is_linear_out=True), samples)


def test_the_extension_past_one_continues_the_slope() -> None:
    curve = Curve(is_linear=True, high=2.0)
    step = 1e-3
    below, one, above = (float(curve.encode(np.array([v], np.float64))[0]) for v in (1 - step, 1, 1 + step))
    assert abs((above - one) / (one - below) - 1) < 0.01


def test_middle_gray_stays_a_useful_code_beside_a_very_bright_light() -> None:
    """A plain division by the peak would leave 0.18 / 1000 almost black."""
    code = float(Curve(is_linear=True, high=1000.0).encode(np.array([0.18]))[0])
    assert code > 0.1
