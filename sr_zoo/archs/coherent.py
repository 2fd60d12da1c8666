"""Smoothing along edges, before a network: what coding made waver becomes straight, whatever was learnt.

    rgb ─ G, R-G, B-G ─┬─ 16 line filters ─ each as far as the edge here runs its way ─ + ─ × coherence ─ + ─ rgb
                       └──────────────────────────────────────────────────────────────────────────────────┘
    luma ─ Gaussian ─ differences ─ products ─ Gaussian ─ structure tensor ─ way and coherence of the edge

A block of a coded clip is as large as all that a small network looks at: where the edge of a roof goes on beyond the
block, it cannot know. A long filter along the edge can. The structure tensor (Bigün and Granlund 1987) says which way;
coherence-enhancing filters (Weickert 1999) smooth that way only. All weights are fixed: there is nothing to train, and
where R = G = B, the differences are exactly 0 before and after.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

LINES = 16  # ways a line filter may run
ALONG, ACROSS = 4.0, 0.5  # sigmas of a line filter, in LR pixels: half a block to both sides, and no blur
REACH = 10  # of a line filter
NOISE_SIGMA, NEAR_SIGMA = 1.0, 3.0  # of luma before its differences, and of their products
SHARPNESS = 12.0  # of the choice of lines: a neighbor at 1/16 of a half turn weighs 0.6 times as much
FAINT = 2e-5  # squared slope, of white a pixel: an edge much fainter than this is none
GAIN = 16.0  # of luma: its squared slopes then lie within half precision
TINY = 1e-4  # where nothing slopes, no way is taken


class Coherent(nn.Module):
    """(N, 3, H, W) to the same, smoothed along its edges."""

    def __init__(self) -> None:
        super().__init__()
        angles = math.pi / LINES * torch.arange(LINES)
        lines = torch.stack([_line(float(angle)) for angle in angles])
        across = [[[0.0, 0, 0], [-0.5, 0, 0.5], [0, 0, 0]]]
        fixed = {
            "luma": GAIN * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1),
            "noise": _gaussian(NOISE_SIGMA).view(1, 1, -1, 1),
            "near": _gaussian(NEAR_SIGMA).view(1, 1, -1, 1).repeat(3, 1, 1, 1),
            "slopes": torch.tensor([across, [[list(row) for row in zip(*across[0], strict=True)]]]),
            "ways": -SHARPNESS * torch.stack([torch.cos(2 * angles), torch.sin(2 * angles)], dim=1)[..., None, None],
            "planes": torch.tensor([[0.0, 1, 0], [1, -1, 0], [0, -1, 1]]).view(3, 3, 1, 1),
            "lines": torch.einsum("po,kyx->pkoyx", torch.eye(3), lines).flatten(0, 1),
            "rgb": torch.tensor([[1.0, 1, 0], [1, 0, 0], [1, 0, 1]]).repeat_interleave(LINES, dim=1)[..., None, None],
        }
        for name, value in fixed.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, lr: Tensor) -> Tensor:
        luma = _smooth(functional.conv2d(lr, cast(Tensor, self.luma)), cast(Tensor, self.noise))
        x, y = functional.conv2d(_padded(luma, 1), cast(Tensor, self.slopes)).chunk(2, dim=1)
        xx, yy, xy = _smooth(torch.cat([x * x, y * y, x * y], dim=1), cast(Tensor, self.near)).chunk(3, dim=1)
        even, odd = xx - yy, 2 * xy  # of the tensor: as cosine and sine of twice the angle across the edge
        length = torch.sqrt(even * even + odd * odd)
        coherence = length / (xx + yy + FAINT * GAIN**2)
        across = torch.cat([even, odd], dim=1) / (length + TINY)
        chosen = torch.softmax(functional.conv2d(across, cast(Tensor, self.ways)), dim=1) * coherence
        planes = _padded(functional.conv2d(lr, cast(Tensor, self.planes)), REACH)
        lines = functional.conv2d(planes, cast(Tensor, self.lines)) * torch.cat([chosen] * 3, dim=1)
        smoothed: Tensor = lr * (1 - coherence) + functional.conv2d(lines, cast(Tensor, self.rgb))
        return smoothed


def _line(angle: float) -> Tensor:
    """An elongated Gaussian that runs at `angle`, of sum 1."""
    steps = torch.arange(-REACH, REACH + 1.0)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    window = torch.exp(-(along.square() / ALONG**2 + across.square() / ACROSS**2) / 2)
    window[window < 1e-4] = 0.0  # far down there are numbers that take a CPU 30 times as long
    return window / window.sum()


def _gaussian(sigma: float) -> Tensor:
    reach = round(3 * sigma)
    taps = torch.exp(-torch.arange(-reach, reach + 1.0).square() / (2 * sigma**2))
    return taps / taps.sum()


def _smooth(planes: Tensor, down: Tensor) -> Tensor:
    """Correlated with the taps `down`, (C, 1, taps, 1), down and across."""
    rows = functional.conv2d(_padded(planes, down.shape[2] // 2), down, groups=planes.shape[1])
    return functional.conv2d(rows, down.transpose(2, 3), groups=planes.shape[1])


def _padded(planes: Tensor, reach: int) -> Tensor:
    return functional.pad(planes, (reach,) * 4, mode="replicate")
