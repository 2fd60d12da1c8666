"""Colour bled under transparent pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_core.alpha import BLEED_PX, bleed


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1), height=st.integers(1, 60), width=st.integers(1, 60))
def test_visible_pixels_never_change(seed: int, share: float, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    color = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = (random.random((height, width)) < share).astype(np.uint8)
    result = bleed(color, alpha)
    np.testing.assert_array_equal(result[alpha > 0], color[alpha > 0])


def test_hidden_pixels_beside_an_edge_take_its_colour() -> None:
    color = np.zeros((20, 20, 3), np.uint8)
    alpha = np.zeros((20, 20), np.uint8)
    color[:, :5], alpha[:, :5] = (10, 200, 30), 255
    result = bleed(color, alpha)
    assert (result[:, 5 : 5 + BLEED_PX] == (10, 200, 30)).all()
    assert (result[:, 5 + BLEED_PX :] == 0).all()


def test_a_strip_with_context_bleeds_as_the_whole_image() -> None:
    random = np.random.default_rng(1)
    color = random.integers(0, 65536, (600, 300, 3), dtype=np.uint16)
    alpha = (random.random((600, 300)) < 0.01).astype(np.uint16)
    whole = bleed(color, alpha)
    strip = np.s_[210 - BLEED_PX : 320 + BLEED_PX]
    part = bleed(color[strip], alpha[strip])
    np.testing.assert_array_equal(part[BLEED_PX:-BLEED_PX], whole[210:320])


def test_an_image_with_nothing_hidden_is_returned_itself() -> None:
    color = np.zeros((4, 4, 3), np.uint8)
    assert bleed(color, np.ones((4, 4), np.uint8)) is color
