"""EnhanceNet: Single Image Super-Resolution Through Automated Texture Synthesis (Sajjadi et al., ICCV
2017), Table 1.

conv - 10 residual blocks - [nearest x2, conv] x 2 - conv - conv, all 3x3 of 64 features with ReLU; the
network predicts the residual over bicubic. The paper prints no count; Table 1's layers give 852,867
parameters at x4.
"""

from torch import Tensor, nn

from sr_zoo.archs.edsr import PlainBlock
from sr_zoo.archs.heads import InterpolatedBase
from sr_zoo.archs.srresnet import upsampling_stages


class EnhanceNet(nn.Module):
    def __init__(self, scale: int, *, planes: int = 3, features: int = 64, blocks: int = 10) -> None:
        super().__init__()
        self.base = InterpolatedBase(scale, planes, kind="bicubic")
        layers: list[nn.Module] = [nn.Conv2d(planes, features, 3, padding=1), nn.ReLU(inplace=True)]
        layers += [PlainBlock(features) for _ in range(blocks)]
        for factor in upsampling_stages(scale):
            layers += [
                nn.Upsample(scale_factor=factor, mode="nearest"),
                nn.Conv2d(features, features, 3, padding=1),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.Conv2d(features, features, 3, padding=1), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        self.tail = nn.Conv2d(features, planes, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.tail(self.body(lr)) + self.base(lr)
        return sr
