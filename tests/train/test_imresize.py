"""MATLAB's imresize, sample for sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_train.decoding import read_rgb
from sr_train.imresize import crop_to_multiple, imresize, imresize_float


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_not_one_sample_differs_from_what_matlab_wrote(shared_data: Path, scale: int) -> None:
    references = sorted((shared_data / f"eval/Set5-LR_bicubic/X{scale}").glob("*.png"))
    assert len(references) == 5
    for reference in references:
        high = read_rgb(shared_data / "eval/Set5" / f"{reference.stem.removesuffix(f'x{scale}')}.png")
        low = imresize(crop_to_multiple(high, scale), 1 / scale)
        assert np.array_equal(low, read_rgb(reference)), reference.name


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1 / 4, 1 / 3, 1 / 2, 2.0, 3.0, 4.0]))
def test_sides_are_scaled_and_rounded_up(height: int, width: int, factor: float) -> None:
    made = imresize(np.zeros((height, width, 3), np.uint8), factor)
    assert made.shape == (int(np.ceil(height * factor - 1e-9)), int(np.ceil(width * factor - 1e-9)), 3)


@given(st.integers(0, 255), st.sampled_from([1 / 3, 1 / 2, 2.0, 3.0]))
@settings(max_examples=20, deadline=None)
def test_a_flat_image_stays_flat(code: int, factor: float) -> None:
    made = imresize(np.full((12, 18), code, np.uint8), factor)
    assert (made == code).all()


def test_the_floating_point_form_does_not_round() -> None:
    ramp = np.linspace(0, 1, 24)[:, None] * np.ones((1, 8))
    made = imresize_float(ramp, 0.5)
    assert made.shape == (12, 4)
    assert 0 < made[5, 0] < 1
