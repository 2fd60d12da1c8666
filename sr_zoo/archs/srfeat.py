"""SRFeat: Single Image Super-Resolution with Feature Discrimination (Park et al., ECCV 2018), Figure 2.

9x9 conv, 16 residual blocks (conv-BN-LeakyReLU-conv-BN) of 128 features; each block's output also reaches the
end through a 1x1 bottleneck (long-range skips), all summed; x2 sub-pixel stages; 3x3 conv. The second
discriminator judges VGG features: `FeatureDiscriminator`.
"""

import torch
from torch import Tensor, nn

from sr_zoo.archs.edsr import make_upsampler


class Block(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1),
            nn.BatchNorm2d(features),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(features, features, 3, padding=1),
            nn.BatchNorm2d(features),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


class SrFeat(nn.Module):
    def __init__(self, scale: int, *, planes: int = 3, features: int = 128, blocks: int = 16) -> None:
        super().__init__()
        self.head = nn.Conv2d(planes, features, 9, padding=4)
        self.blocks = nn.ModuleList([Block(features) for _ in range(blocks)])
        self.skips = nn.ModuleList([nn.Conv2d(features, features, 1) for _ in range(blocks - 1)])
        self.upsample = make_upsampler(features, scale)
        self.tail = nn.Conv2d(features, planes, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        state = self.head(lr)
        total: Tensor | None = None
        for index, block in enumerate(self.blocks):
            state = block(state)
            if index < len(self.skips):
                reach = self.skips[index](state)
                total = reach if total is None else total + reach
        deep = state if total is None else state + total
        sr: Tensor = self.tail(self.upsample(deep))
        return sr


class FeatureDiscriminator(nn.Module):
    """Judges (N, C, h, w) feature maps of a fixed classifier instead of pixels (§3.2)."""

    def __init__(self, *, inputs: int = 512, features: int = 64) -> None:
        super().__init__()
        widths = [features, features * 2, features * 4, features * 8]
        layers: list[nn.Module] = []
        for index, width in enumerate(widths):
            layers += [
                nn.Conv2d(inputs, width, 3, stride=2 if index % 2 else 1, padding=1),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            inputs = width
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.judge = nn.Linear(inputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.judge(torch.flatten(self.features(maps), 1))
        return logits
