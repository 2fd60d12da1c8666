"""Truths as a painter would see them: weak texture away, contours smooth and crisp. What `vivid` learns to make.

    picture ─ Gaussian ─[ guided by its own luma, back towards the picture ]x 2 ─[ shock ]x 2 ─ painted

A coded clip has lost its fine texture, and a network that is asked for it answers with the mean of all it could have
been: blur, and edges that waver with the blocks. Of a painted truth enough is left in the clip to draw it.
Rolling guidance (Zhang et al. 2014) with the guided filter (He et al. 2010) removes what is small and keeps what is
steep; a shock filter (Osher and Rudin 1990; smoothed, Alvarez and Mazorra 1994) makes steps of the slopes.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sr_train.losses import LUMA_WEIGHTS
from sr_train.unsharp import smooth

SMALLEST_SIGMA = 1.2  # HR pixels: what is thinner than this is texture
RADIUS, WEAK = 3, 0.03  # of the guided filter: HR pixels; what varies by less than this share of white is texture
ROUNDS = 2  # of guidance and of shocks
SHOCK_SIGMA, SHOCK_SHARE, SHOCK_SLOPE = 1.5, 0.4, 200.0  # slope: a curvature of 1/200 counts nearly whole


def paint(picture: Image.Image, share: float) -> Image.Image:
    """An RGB picture, `share` (0..1) of the way to its painting; gray stays gray."""
    before = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    after = _shocked(_rolled(before))
    codes = ((before + share * (after - before)).clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(codes[0].permute(1, 2, 0).numpy())


def _rolled(picture: Tensor) -> Tensor:
    """Without what is small or weak; (N, 3, H, W)."""
    made = smooth(picture, SMALLEST_SIGMA)
    mean = _boxed(picture)
    for _ in range(ROUNDS):
        guide = _luma(made)
        mean_guide = _boxed(guide)
        variance = _boxed(guide.square()) - mean_guide.square()
        slope = (_boxed(guide * picture) - mean_guide * mean) / (variance + WEAK**2)
        made = _boxed(slope) * guide + _boxed(mean - slope * mean_guide)
    return made


def _shocked(picture: Tensor) -> Tensor:
    """Every pixel part of the way to its darkest or lightest neighbor, whichever side of the edge it is on."""
    for _ in range(ROUNDS):
        luma = smooth(_luma(picture), SHOCK_SIGMA)
        side = torch.tanh(SHOCK_SLOPE * (_boxed(luma, 2) - luma))  # 1 in the dark beside an edge, -1 in the light
        goal = torch.where(side > 0, -_largest(-picture), _largest(picture))
        picture = picture + SHOCK_SHARE * side.abs() * (goal - picture)
    return picture


def _luma(picture: Tensor) -> Tensor:
    return (picture * picture.new_tensor(LUMA_WEIGHTS).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def _boxed(planes: Tensor, radius: int = RADIUS) -> Tensor:
    """Means over squares. Sums of slices: a third of the time of torch's pooling on a CPU."""
    width = 2 * radius + 1
    padded = functional.pad(planes, (radius,) * 4, mode="replicate")
    rows = torch.zeros_like(padded[..., : planes.shape[2], :])
    for y in range(width):
        rows += padded[..., y : y + planes.shape[2], :]
    total = torch.zeros_like(planes)
    for x in range(width):
        total += rows[..., x : x + planes.shape[3]]
    return total / width**2


def _largest(planes: Tensor) -> Tensor:
    """The largest of 3 x 3."""
    padded = functional.pad(planes, (1, 1, 1, 1), mode="replicate")
    rows = torch.maximum(torch.maximum(padded[..., :-2, :], padded[..., 1:-1, :]), padded[..., 2:, :])
    return torch.maximum(torch.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])
