"""restore: gray stays gray to the last bit and flat colors stay flat, whatever the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sr_zoo.archs.registry import build_network
from sr_zoo.archs.restore import KB, KG, KR, SPREAD, Restore

CODE = 1 / 255


@pytest.fixture
def noise() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).random((1, 1, 20, 24), np.float32))


@pytest.mark.parametrize("grown", [{}, {"deeper": 2, "wide": True, "coherent": True}])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_gray_stays_gray_with_random_weights(scale: int, grown: dict[str, Any], noise: torch.Tensor) -> None:
    network = Restore(scale, channels=8, convs=2, gate=4, **grown).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3)
        for made in (network(noise.repeat(1, 3, 1, 1)), network.folded()(noise.repeat(1, 3, 1, 1))):
            assert torch.equal(made[:, 0], made[:, 1])
            assert torch.equal(made[:, 2], made[:, 1])


@pytest.mark.parametrize("grown", [{}, {"deeper": 2, "wide": True, "coherent": True}])
def test_the_folded_network_computes_the_same(grown: dict[str, Any]) -> None:
    network = Restore(4, channels=8, convs=2, gate=4, **grown).eval()
    color = torch.from_numpy(np.random.default_rng(4).random((1, 3, 12, 14), np.float32))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1)
        assert torch.allclose(network(color), network.folded()(color), atol=1e-6)


def test_a_grown_network_computes_what_it_did_before() -> None:
    before, after = (
        Restore(4, channels=8, convs=4, gate=4),
        Restore(4, channels=8, convs=4, gate=4, deeper=4, wide=True),
    )
    with torch.no_grad():
        for parameter in before.parameters():
            parameter.normal_(std=0.2)
    left = after.load_state_dict(before.state_dict(), strict=False)
    assert not left.unexpected_keys
    color = torch.rand(1, 3, 12, 14)
    assert torch.equal(before(color), after(color))
    after(color).square().sum().backward()
    for grown in (after.body[-1].second.weight, after.wide.gate.weight):  # type: ignore[union-attr]
        assert grown.grad.abs().sum() > 0  # and can learn


def test_what_color_adds_changes_no_luma() -> None:
    luma = torch.tensor([KR, KG, KB]) @ torch.tensor(SPREAD)
    assert luma.abs().max() < 1e-7


def test_luma_only_is_refused() -> None:
    with pytest.raises(Exception, match="3 planes"):
        build_network("restore", scale=2, color_space="y")
