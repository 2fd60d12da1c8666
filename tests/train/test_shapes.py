"""Drawn pictures: the same for the same generator, each another, with long edges and flat parts."""

from __future__ import annotations

import numpy as np

from sr_train.shapes import SIDE, draw_shapes


def test_a_picture_depends_on_its_generator_alone() -> None:
    first, again, other = (np.asarray(draw_shapes(np.random.default_rng(seed))) for seed in (1, 1, 2))
    assert first.shape == (SIDE, SIDE, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_there_are_steep_edges_and_more_flat_than_steep() -> None:
    for seed in range(4):
        luma = np.asarray(draw_shapes(np.random.default_rng(seed))).mean(axis=2)
        steps = np.abs(np.diff(luma, axis=1))
        assert (steps > 20).mean() > 0.001, seed
        assert (steps < 2).mean() > 0.7, seed
