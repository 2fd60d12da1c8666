"""Up-sampling heads and the interpolated base."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from sr_zoo.archs.heads import HEADS, InterpolatedBase, make_head, phase_taps


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_bilinear_base_is_torchs_interpolate(scale: int) -> None:
    image = torch.rand(2, 3, 9, 11)
    expected = functional.interpolate(image, scale_factor=scale, mode="bilinear", align_corners=False)
    assert torch.allclose(InterpolatedBase(scale, 3)(image), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_interpolation_weights_sum_to_one_in_every_phase(kind: str, scale: int) -> None:
    assert np.allclose(phase_taps(scale, kind).sum(axis=1), 1.0)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_head_enlarges_by_its_scale(kind: str, scale: int) -> None:
    assert make_head(kind, 8, 3, scale)(torch.rand(1, 8, 5, 6)).shape == (1, 3, 5 * scale, 6 * scale)


def test_an_unknown_head_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match="subpixel-icnr"):
        make_head("magic", 8, 3, 2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_icnr_starts_as_nearest_neighbour(scale: int) -> None:
    made = make_head("subpixel-icnr", 8, 3, scale)[0]  # type: ignore[index]
    features = torch.rand(1, 8, 5, 6)
    enlarged = functional.pixel_shuffle(made(features), scale)
    block = enlarged[:, :, :scale, :scale]
    assert torch.allclose(block, block[:, :, :1, :1].expand_as(block), atol=1e-6)
