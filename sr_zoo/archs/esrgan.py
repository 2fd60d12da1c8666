"""ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks (Wang et al., ECCVW 2018), Figures 3
and 4.

RRDB: residual in residual dense blocks (three dense blocks of five convolutions, residual scaling 0.2), no
batch norm; 23 blocks of 64 features, growth 32; nearest x2 stages. 16,697,987 parameters at x4 (authors'
code).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr_zoo.archs.srresnet import upsampling_stages

SLOPE = 0.2
RESIDUAL_SCALING = 0.2


class DenseBlock(nn.Module):
    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.grow = nn.ModuleList([nn.Conv2d(features + index * growth, growth, 3, padding=1) for index in range(4)])
        self.close = nn.Conv2d(features + 4 * growth, features, 3, padding=1)
        for conv in [*self.grow, self.close]:
            assert isinstance(conv, nn.Conv2d)
            nn.init.kaiming_normal_(conv.weight)
            conv.weight.data *= 0.1  # §3.1: smaller initial weights train deeper networks

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for conv in self.grow:
            seen = torch.cat([seen, functional.leaky_relu(conv(seen), SLOPE)], dim=1)
        y: Tensor = x + self.close(seen) * RESIDUAL_SCALING
        return y


class Rrdb(nn.Module):
    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*[DenseBlock(features, growth) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.blocks(x) * RESIDUAL_SCALING
        return y


class RrdbNet(nn.Module):
    def __init__(self, scale: int, *, planes: int = 3, features: int = 64, growth: int = 32, blocks: int = 23) -> None:
        super().__init__()
        self.head = nn.Conv2d(planes, features, 3, padding=1)
        chain: list[nn.Module] = [Rrdb(features, growth) for _ in range(blocks)]
        self.body = nn.Sequential(*chain, nn.Conv2d(features, features, 3, padding=1))
        stages: list[nn.Module] = []
        for factor in upsampling_stages(scale):
            stages += [
                nn.Upsample(scale_factor=factor, mode="nearest"),
                nn.Conv2d(features, features, 3, padding=1),
                nn.LeakyReLU(SLOPE, inplace=True),
            ]
        stages += [nn.Conv2d(features, features, 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
        self.upsample = nn.Sequential(*stages)
        self.tail = nn.Conv2d(features, planes, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(lr)
        sr: Tensor = self.tail(self.upsample(shallow + self.body(shallow)))
        return sr
