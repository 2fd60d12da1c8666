"""VDSR: Accurate Image Super-Resolution Using Very Deep Convolutional Networks (Kim et al., CVPR 2016),
Figure 2.

Twenty 3x3 convolutions of 64 features on the bicubic-enlarged image, predicting the residual; receptive field
41x41. One set of weights serves x2, x3 and x4. 665 K parameters (Tai et al. 2017, DRRN, Table 2).
"""

from torch import Tensor, nn

from sr_zoo.archs.heads import InterpolatedBase


class Vdsr(nn.Module):
    """`scale` only sets the enlargement: a state dict fits every scale."""

    def __init__(self, scale: int, *, planes: int = 1, layers: int = 20, features: int = 64) -> None:
        super().__init__()
        self.base = InterpolatedBase(scale, planes, kind="bicubic")
        body: list[nn.Module] = [nn.Conv2d(planes, features, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(layers - 2):
            body += [nn.Conv2d(features, features, 3, padding=1), nn.ReLU(inplace=True)]
        body.append(nn.Conv2d(features, planes, 3, padding=1))
        self.body = nn.Sequential(*body)
        for layer in body:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(body[-1].weight, std=1e-3)  # type: ignore[arg-type]

    def forward(self, lr: Tensor) -> Tensor:
        enlarged = self.base(lr)
        sr: Tensor = enlarged + self.body(enlarged)
        return sr
