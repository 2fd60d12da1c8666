"""RCAN: Image Super-Resolution Using Very Deep Residual Channel Attention Networks (Zhang et al., ECCV 2018).

Figures 2-4: 10 residual groups of 20 blocks, 64 features, channel attention with reduction 16. 15.4 / 15.6 /
15.6 M parameters at x2/x3/x4 (15,592,379 at x4, authors' code). The attention averages over the whole
image, so the receptive field is unbounded: tiles are blended, not exact.
"""

from torch import Tensor, nn

from sr_zoo.archs.edsr import MeanShift, make_upsampler


class ChannelAttention(nn.Module):
    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(features, features // reduction, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(features // reduction, features, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(x)
        return y


class AttentionBlock(nn.Module):
    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(features, features, 3, padding=1),
            ChannelAttention(features, reduction),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


class ResidualGroup(nn.Module):
    def __init__(self, features: int, blocks: int, reduction: int) -> None:
        super().__init__()
        chain: list[nn.Module] = [AttentionBlock(features, reduction) for _ in range(blocks)]
        self.body = nn.Sequential(*chain, nn.Conv2d(features, features, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


class Rcan(nn.Module):
    def __init__(
        self,
        scale: int,
        *,
        planes: int = 3,
        features: int = 64,
        groups: int = 10,
        blocks: int = 20,
        reduction: int = 16,
    ) -> None:
        super().__init__()
        self.centre, self.restore = MeanShift(planes, -1), MeanShift(planes, 1)
        self.head = nn.Conv2d(planes, features, 3, padding=1)
        chain: list[nn.Module] = [ResidualGroup(features, blocks, reduction) for _ in range(groups)]
        self.body = nn.Sequential(*chain, nn.Conv2d(features, features, 3, padding=1))
        self.upsample = make_upsampler(features, scale)
        self.tail = nn.Conv2d(features, planes, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(self.centre(lr))
        sr: Tensor = self.restore(self.tail(self.upsample(shallow + self.body(shallow))))
        return sr
