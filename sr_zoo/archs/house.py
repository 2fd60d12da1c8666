"""The house family (srvid): swift, clear and fine. A plain chain of 3x3 convolutions for today's engines.

    lr ─ conv ─ act ─[ conv ─ act ─ conv ─ + ─ act ]x B ─ conv ─ DepthToSpace ─ + ─ sr
     │               └────────────────────┘                                    │
     └────────────── edge pad ─ fixed bilinear conv ─ DepthToSpace ────────────┘   base/

No batch norm, attention, concatenation or depthwise layer: on CPUs and GPUs alike those cost more time than
their multiply-adds say. Every convolution works on low-resolution pixels. The interpolated base is a
branch of its own, so that an engine may keep it in FP32 while the rest runs in half precision.
"""

import torch
from torch import Tensor, nn

from sr_zoo.archs.heads import InterpolatedBase, make_head

SLOPE = 0.1  # of every LeakyReLU: keeps small networks alive, fuses into the convolution everywhere


class Block(nn.Module):
    """Two convolutions around an identity, as in ResNet: the addition and activation fuse into the second."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.act1 = make_activation(activation, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.act2 = make_activation(activation, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act2(x + self.second(self.act1(self.first(x))))
        return y


class Deeper(nn.Module):
    """A block that starts as the identity: put behind trained ones, it changes nothing until it learns."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.act1 = nn.LeakyReLU(SLOPE, inplace=True)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, a=SLOPE)
        for parameter in (self.first.bias, *self.second.parameters()):
            nn.init.zeros_(parameter)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(self.act1(self.first(x)))
        return y


class House(nn.Module):
    """`convs` body convolutions (an even number) of `channels` features; unclipped output."""

    def __init__(
        self,
        scale: int,
        *,
        planes: int = 3,
        channels: int = 32,
        convs: int = 8,
        activation: str = "leaky",
        head: str = "subpixel",
    ) -> None:
        super().__init__()
        self.head = nn.Conv2d(planes, channels, 3, padding=1)
        self.head_act = make_activation(activation, channels)
        self.body = nn.Sequential(*[Block(channels, activation) for _ in range(convs // 2)])
        self.tail = make_head(head, channels, planes, scale)
        self.base = InterpolatedBase(scale, planes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            for block in self.body:
                block.second.weight.mul_(0.3)  # type: ignore[union-attr, operator]
            for parameter in self.tail.parameters():
                parameter.mul_(0.1)  # starts close to the base

    def forward(self, lr: Tensor) -> Tensor:
        features = self.body(self.head_act(self.head(lr)))
        sr: Tensor = self.tail(features) + self.base(lr)
        return sr


def make_activation(kind: str, channels: int) -> nn.Module:
    """'leaky' (cheapest to train), 'prelu' (per channel, best for few channels) or 'relu'."""
    if kind == "leaky":
        return nn.LeakyReLU(SLOPE, inplace=True)
    if kind == "prelu":
        return nn.PReLU(channels, init=SLOPE)
    if kind == "relu":
        return nn.ReLU(inplace=True)
    raise ValueError(f"unknown activation {kind!r}: leaky, prelu or relu")
