"""Sharpened truths: crisper edges of luma; what is flat, gray or colored stays what it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sr_core.errors import BadInput
from sr_train.config import DataConfig
from sr_train.losses import chroma_l1
from sr_train.unsharp import sharpen


def test_an_edge_gets_steeper_and_flat_parts_stay() -> None:
    edge = torch.full((1, 3, 8, 64), 0.25)
    edge[..., 32:] = 0.75
    crisp = sharpen(edge, 0.25, 4)
    np.testing.assert_array_equal(crisp[..., :24], edge[..., :24])
    np.testing.assert_array_equal(crisp[..., 40:], edge[..., 40:])
    assert crisp[..., 31].max() < 0.22
    assert crisp[..., 32].min() > 0.78
    assert 0.25 - crisp.min() < 0.25 * 0.25 + 1e-6  # half of the step times the amount, no more


def test_gray_stays_gray_and_color_stays_that_color() -> None:
    gray = torch.rand(1, 1, 32, 32).expand(1, 3, 32, 32) * 0.5 + 0.25
    crisp = sharpen(gray, 0.5, 2)
    assert torch.equal(crisp[:, 0], crisp[:, 1])
    assert torch.equal(crisp[:, 1], crisp[:, 2])
    color = torch.rand(1, 3, 32, 32) * 0.2 + 0.4  # far enough from 0 and 1 that nothing is clamped
    assert float(chroma_l1(sharpen(color, 0.5, 2), color)) < 1e-6


def test_nothing_by_default_and_luma_alone_works() -> None:
    truth = torch.rand(2, 1, 24, 24)
    assert sharpen(truth, 0.0, 3) is truth
    crisp = sharpen(truth, 1.0, 3)
    assert crisp.shape == truth.shape
    assert 0.0 <= float(crisp.min()) <= float(crisp.max()) <= 1.0


def test_a_share_outside_0_to_1_is_refused() -> None:
    with pytest.raises(BadInput, match=r"data\.sharpen"):
        DataConfig(folders=("a",), sharpen=1.5)
