"""Losses by name. All take and return tensors in [0, 1], (N, C, H, W) -> scalar."""

from collections.abc import Callable

from torch import Tensor

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # BT.601


def l1(actual: Tensor, expected: Tensor) -> Tensor:
    return (actual - expected).abs().mean()


def mse(actual: Tensor, expected: Tensor) -> Tensor:
    return (actual - expected).square().mean()


def luma_l1(actual: Tensor, expected: Tensor) -> Tensor:
    """L1 of luma: what the tables measure, and where the eye sees detail."""
    weights = actual.new_tensor(LUMA_WEIGHTS).view(1, 3, 1, 1)
    return ((actual - expected) * weights).sum(dim=1).abs().mean()


def luma_mse(actual: Tensor, expected: Tensor) -> Tensor:
    weights = actual.new_tensor(LUMA_WEIGHTS).view(1, 3, 1, 1)
    return ((actual - expected) * weights).sum(dim=1).square().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1,
    "mse": mse,
    "luma_l1": luma_l1,
    "luma_mse": luma_mse,
}
