"""Painted truths: weak texture away, edges steep and in their place, contours straight; gray and flat parts stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_train.painting import paint

Floats = NDArray[np.float64]
SIDE, EDGE = 96, 48


def picture_of(gray: Floats) -> Image.Image:
    return Image.fromarray(np.repeat(np.clip(np.rint(gray), 0, 255).astype(np.uint8)[..., None], 3, axis=2))


def painted(gray: Floats, share: float = 1.0) -> Floats:
    made = np.asarray(paint(picture_of(gray), share))
    assert (made[..., 0] == made[..., 1]).all()
    assert (made[..., 2] == made[..., 1]).all()
    return made[..., 1].astype(float)


def step_at(columns: Floats) -> Floats:
    """Rows of 60, and 200 from the column of each row on, with a pixel between by its share."""
    return 60 + 140 * np.clip(np.arange(SIDE)[None] - columns[:, None] + 0.5, 0, 1)


def places_of(edge: Floats) -> Floats:
    """Where each row crosses 130."""
    return np.array([np.interp(130, np.maximum.accumulate(row), np.arange(SIDE)) for row in edge])


def test_weak_texture_goes_and_what_is_flat_stays() -> None:
    texture = 120 + np.random.default_rng(1).normal(0, 4, (SIDE, SIDE))
    assert painted(texture)[8:-8, 8:-8].std() < 0.3 * texture.std()
    assert (painted(np.full((SIDE, SIDE), 77.0)) == 77).all()


def test_a_soft_edge_becomes_steep_and_is_not_moved() -> None:
    soft = 130 + 70 * np.tanh((np.arange(SIDE) - EDGE + 0.5) / 2.5)[None].repeat(SIDE, axis=0)
    made = painted(soft)
    assert np.diff(made, axis=1).max() > 1.5 * np.diff(soft, axis=1).max()
    assert abs(places_of(made).mean() - places_of(soft).mean()) < 0.1


def test_a_contour_that_wavers_becomes_straighter() -> None:
    wavering = step_at(EDGE + np.random.default_rng(2).normal(0, 1.2, SIDE))
    assert places_of(painted(wavering))[8:-8].std() < 0.75 * places_of(wavering)[8:-8].std()


def test_a_share_lies_between_the_picture_and_its_painting() -> None:
    noisy = step_at(np.full(SIDE, 48.0)) + np.random.default_rng(3).normal(0, 3, (SIDE, SIDE))
    before, whole = np.asarray(picture_of(noisy))[..., 0].astype(float), painted(noisy)
    assert np.array_equal(painted(noisy, 0.0), before)
    assert np.abs(painted(noisy, 0.5) - (before + whole) / 2).max() <= 1.0
