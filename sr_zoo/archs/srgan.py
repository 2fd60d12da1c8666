"""SRGAN: Photo-Realistic Single Image Super-Resolution Using a GAN (Ledig et al., CVPR 2017), Figure 4.

The generator is SRResNet; the discriminator is eight 3x3 convolutions, 64 to 512 features, every second one
with stride 2, batch norm and LeakyReLU(0.2), then two dense layers. Input 96x96 in the paper; pooled here to
6x6 so that any patch size can be judged.
"""

import torch
from torch import Tensor, nn

from sr_zoo.archs.srresnet import SrResNet


class SrganGenerator(SrResNet):
    """SRResNet under the name of its adversarially trained weights."""


class SrganDiscriminator(nn.Module):
    """(N, planes, H, W) -> (N, 1) logits: real or made."""

    def __init__(self, *, planes: int = 3, features: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(planes, features, 3, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        widths = [features * factor for factor in (1, 2, 2, 4, 4, 8, 8)]
        inputs = features
        for index, outputs in enumerate(widths):
            stride = 2 if index % 2 == 0 else 1
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(6)
        self.judge = nn.Sequential(nn.Linear(inputs * 36, 1024), nn.LeakyReLU(0.2, inplace=True), nn.Linear(1024, 1))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.judge(torch.flatten(self.pool(self.features(image)), 1))
        return logits
