"""DRRN: Image Super-Resolution via Deep Recursive Residual Network (Tai et al., CVPR 2017), Figures 2d, 3
and 4.

B recursive blocks of U residual units; within a block all units share two convolutions, and every unit
adds the block's own first feature. On the bicubic-enlarged image. 297 K weights for B1U9 and B1U25 alike
(Table 2), 128 features. Batch norm is left out, as in later re-implementations: it changes neither the
count nor the idea.
"""

from itertools import pairwise

from torch import Tensor, nn

from sr_zoo.archs.heads import InterpolatedBase


class RecursiveBlock(nn.Module):
    def __init__(self, inputs: int, features: int, units: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inputs, features, 3, padding=1, bias=False)
        self.first = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.second = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.units = units
        for conv in (self.enter, self.first, self.second):
            nn.init.kaiming_normal_(conv.weight)
        nn.init.normal_(self.second.weight, std=1e-3)  # 25 shared units: start near the identity

    def forward(self, x: Tensor) -> Tensor:
        origin: Tensor = self.enter(x.relu())
        state = origin
        for _ in range(self.units):
            state = origin + self.second(self.first(state.relu()).relu())
        return state


class Drrn(nn.Module):
    def __init__(self, scale: int, *, planes: int = 1, blocks: int = 1, units: int = 9, features: int = 128) -> None:
        super().__init__()
        self.base = InterpolatedBase(scale, planes, kind="bicubic")
        widths = [planes] + [features] * blocks
        chain = [RecursiveBlock(a, features, units) for a, _ in pairwise(widths)]
        self.blocks = nn.Sequential(*chain)
        self.tail = nn.Conv2d(features, planes, 3, padding=1, bias=False)

    def forward(self, lr: Tensor) -> Tensor:
        enlarged = self.base(lr)
        sr: Tensor = enlarged + self.tail(self.blocks(enlarged).relu())
        return sr
