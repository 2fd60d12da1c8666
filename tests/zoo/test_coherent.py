"""Smoothing along edges: what wavers becomes straight, wherever it runs; gray, flat parts and places stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sr_zoo.archs.coherent import Coherent

SIDE = 64


@pytest.fixture
def coherent() -> Coherent:
    return Coherent().eval()


def edge_of(columns: Tensor) -> Tensor:
    """(1, 3, SIDE, SIDE): dark, and light from the column of each row on, a pixel wide between."""
    across = (torch.arange(SIDE)[None] - columns[:, None] + 0.5).clamp(0, 1)
    return (0.25 + 0.5 * across).expand(1, 3, SIDE, SIDE)


def places_of(picture: Tensor) -> np.ndarray:
    """Where each row but those at the border crosses the middle."""
    rows = np.maximum.accumulate(picture[0, 1, 8:-8].numpy(), axis=1)
    return np.array([np.interp(0.5, row, np.arange(SIDE)) for row in rows])


def test_an_edge_that_blocks_made_waver_becomes_straight_and_stays_in_its_place(coherent: Coherent) -> None:
    slanted = 24 + torch.arange(SIDE) / 4
    wavering = slanted + torch.tensor([0.7, -0.7]).repeat_interleave(4).repeat(SIDE // 8)
    before, after = edge_of(wavering), coherent(edge_of(wavering))
    ideal = places_of(edge_of(slanted))
    assert (places_of(after) - ideal).std() < 0.5 * (places_of(before) - ideal).std()
    assert abs((places_of(after) - ideal).mean()) < 0.1


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_picture_is_smoothed_the_same(coherent: Coherent, turn: int) -> None:
    generator = torch.Generator().manual_seed(1)
    picture = edge_of(20 + torch.arange(SIDE) / 3) + 0.1 * torch.rand(1, 3, SIDE, SIDE, generator=generator)
    turned = torch.rot90(coherent(picture), turn, dims=(2, 3))
    assert torch.allclose(coherent(torch.rot90(picture, turn, dims=(2, 3))), turned, atol=1e-4)


def test_what_has_no_way_keeps_more_than_what_has_one(coherent: Coherent) -> None:
    noise = 0.02 * torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2)).repeat(1, 3, 1, 1)
    kept = (coherent(0.5 + noise) - 0.5).std() / noise.std()
    edge = edge_of(torch.full((SIDE,), 32.0))
    beside = slice(31, 33)
    kept_at_edge = (coherent(edge + noise) - coherent(edge))[..., beside].std() / noise[..., beside].std()
    assert kept > 1.5 * kept_at_edge


def test_gray_stays_gray_and_flat_stays_flat_to_the_border(coherent: Coherent) -> None:
    gray = coherent(torch.rand(1, 1, 30, 40, generator=torch.Generator().manual_seed(3)).repeat(1, 3, 1, 1))
    assert torch.equal(gray[:, 0], gray[:, 1])
    assert torch.equal(gray[:, 2], gray[:, 1])
    flat = torch.tensor([0.9, 0.1, 0.4]).view(1, 3, 1, 1).expand(1, 3, 30, 40)
    assert torch.allclose(coherent(flat), flat, atol=1e-6)


def test_there_is_nothing_to_train(coherent: Coherent) -> None:
    assert not list(coherent.parameters())
    assert not coherent.state_dict()
