"""SRResNet: the generator of SRGAN trained on MSE (Ledig et al., CVPR 2017), Figure 4.

9x9 conv, 16 residual blocks (conv-BN-PReLU-conv-BN) of 64 features, long skip, x2 sub-pixel stages, 9x9 conv.
1,543 K weights at x4 (Ahn et al. 2018, CARN, Table 1), biases, slopes and batch-norm parameters not counted.
"""

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1),
            nn.BatchNorm2d(features),
            nn.PReLU(),
            nn.Conv2d(features, features, 3, padding=1),
            nn.BatchNorm2d(features),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


class SrResNet(nn.Module):
    def __init__(self, scale: int, *, planes: int = 3, features: int = 64, blocks: int = 16) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(planes, features, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*[ResidualBlock(features) for _ in range(blocks)])
        self.join = nn.Sequential(nn.Conv2d(features, features, 3, padding=1), nn.BatchNorm2d(features))
        stages: list[nn.Module] = []
        for factor in upsampling_stages(scale):
            stages += [
                nn.Conv2d(features, features * factor**2, 3, padding=1),
                nn.PixelShuffle(factor),
                nn.PReLU(),
            ]
        self.upsample = nn.Sequential(*stages)
        self.tail = nn.Conv2d(features, planes, 9, padding=4)

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(lr)
        deep = shallow + self.join(self.blocks(shallow))
        sr: Tensor = self.tail(self.upsample(deep))
        return sr


def upsampling_stages(scale: int) -> list[int]:
    """x2 stages for 2, 4, 8; one x3 stage for 3."""
    if scale == 3:
        return [3]
    if scale not in (2, 4, 8):
        raise ValueError(f"scale is {scale}, expected 2, 3, 4 or 8")
    return [2] * (scale.bit_length() - 1)
