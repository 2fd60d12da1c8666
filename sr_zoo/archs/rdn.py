"""RDN: Residual Dense Network for Image Super-Resolution (Zhang et al., CVPR 2018), Figures 2 and 3.

D = 16 residual dense blocks of C = 8 densely connected convolutions, growth G = 64, G0 = 64 features; local
feature fusion (1x1) in each block, global fusion (1x1, 3x3) of all blocks. 22.1 / 22.3 / 22.3 M at x2/x3/x4
(22,123 K in Li et al. 2019, SRFBN, Table 3).
"""

import torch
from torch import Tensor, nn

from sr_zoo.archs.edsr import make_upsampler


class DenseBlock(nn.Module):
    def __init__(self, features: int, growth: int, convs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [nn.Conv2d(features + index * growth, growth, 3, padding=1) for index in range(convs)]
        )
        self.fuse = nn.Conv2d(features + convs * growth, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for conv in self.convs:
            seen = torch.cat([seen, conv(seen).relu()], dim=1)
        y: Tensor = x + self.fuse(seen)
        return y


class Rdn(nn.Module):
    def __init__(
        self,
        scale: int,
        *,
        planes: int = 3,
        features: int = 64,
        growth: int = 64,
        blocks: int = 16,
        convs: int = 8,
    ) -> None:
        super().__init__()
        self.shallow1 = nn.Conv2d(planes, features, 3, padding=1)
        self.shallow2 = nn.Conv2d(features, features, 3, padding=1)
        self.blocks = nn.ModuleList([DenseBlock(features, growth, convs) for _ in range(blocks)])
        self.fuse = nn.Sequential(
            nn.Conv2d(features * blocks, features, 1), nn.Conv2d(features, features, 3, padding=1)
        )
        self.upsample = make_upsampler(features, scale)
        self.tail = nn.Conv2d(features, planes, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        first = self.shallow1(lr)
        state = self.shallow2(first)
        outputs = []
        for block in self.blocks:
            state = block(state)
            outputs.append(state)
        sr: Tensor = self.tail(self.upsample(first + self.fuse(torch.cat(outputs, dim=1))))
        return sr
