"""Truths that are a little too sharp: an unsharp mask of luma (Real-ESRGAN, Wang et al. 2021, §4.1).

A network that is trained on what people see as sharp draws edges as people like them, at no cost when it runs: of two
pictures with the same error the crisper one is chosen. Radius and share are small: a halo is an error, too.
"""

import torch
from torch import Tensor
from torch.nn import functional

from sr_train.losses import LUMA_WEIGHTS

SIGMA = 0.5  # of the mask's Gaussian, in LR pixels
REACH = 3  # sigmas


def sharpen(truth: Tensor, amount: float, scale: int) -> Tensor:
    """`amount` of what a Gaussian takes from luma, added to every channel; (N, C, H, W) in [0, 1], C = 1 or 3.

    0 is the truth itself. Gray stays gray, colors keep their Cb and Cr up to the clamp to [0, 1].
    """
    if amount == 0.0:
        return truth
    weights = truth.new_tensor(LUMA_WEIGHTS if truth.shape[1] == 3 else (1.0,)).view(1, -1, 1, 1)
    luma = (truth * weights).sum(dim=1, keepdim=True)
    return (truth + amount * (luma - smooth(luma, SIGMA * scale))).clamp(0.0, 1.0)


def smooth(planes: Tensor, sigma: float) -> Tensor:
    """(N, C, H, W) through a Gaussian of `sigma` pixels, the border repeated."""
    reach = round(REACH * sigma)
    x = torch.arange(-reach, reach + 1, dtype=planes.dtype, device=planes.device)
    taps = torch.exp(-x.square() / (2 * sigma**2))
    taps /= taps.sum()
    count = planes.shape[1]
    padded = functional.pad(planes, (reach, reach, reach, reach), mode="replicate")
    down = functional.conv2d(padded, taps.view(1, 1, -1, 1).repeat(count, 1, 1, 1), groups=count)
    return functional.conv2d(down, taps.view(1, 1, 1, -1).repeat(count, 1, 1, 1), groups=count)
