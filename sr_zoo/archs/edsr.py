"""EDSR and MDSR: Enhanced Deep Residual Networks for Single Image Super-Resolution (Lim et al., CVPRW 2017).

Figures 2c, 3 and 5: ResNet without batch norm. Baseline: 16 blocks of 64; full: 32 blocks of 256, residual
scaling 0.1; MDSR: 80 blocks of 64 shared by all scales, two 5x5 blocks before and one up-sampler behind
for each. Parameters (authors' code): baseline 1,369,859 / 1,554,499 / 1,517,571 at x2/x3/x4, full 43 M,
MDSR 8.0 M (Table 1).
"""

import torch
from torch import Tensor, nn

from sr_zoo.archs.srresnet import upsampling_stages

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)  # the authors' code subtracts it


class PlainBlock(nn.Module):
    """conv - relu - conv, scaled, added."""

    def __init__(self, features: int, *, kernel: int = 3, scaling: float = 1.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, kernel, padding=kernel // 2)
        self.second = nn.Conv2d(features, features, kernel, padding=kernel // 2)
        self.scaling = scaling

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x).relu())
        return x + (y if self.scaling == 1.0 else y * self.scaling)


class MeanShift(nn.Module):
    """Subtract (sign -1) or add back (sign 1) the training set's mean colour."""

    mean: Tensor

    def __init__(self, planes: int, sign: int) -> None:
        super().__init__()
        values = torch.tensor(DIV2K_MEAN) if planes == 3 else torch.full((planes,), 0.45)
        self.register_buffer("mean", sign * values.view(1, planes, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mean


def make_upsampler(features: int, scale: int) -> nn.Sequential:
    """Sub-pixel stages without activations."""
    stages: list[nn.Module] = []
    for factor in upsampling_stages(scale):
        stages += [nn.Conv2d(features, features * factor**2, 3, padding=1), nn.PixelShuffle(factor)]
    return nn.Sequential(*stages)


class Edsr(nn.Module):
    """Defaults are the baseline; the full model is features=256, blocks=32, scaling=0.1."""

    def __init__(
        self, scale: int, *, planes: int = 3, features: int = 64, blocks: int = 16, scaling: float = 1.0
    ) -> None:
        super().__init__()
        self.centre, self.restore = MeanShift(planes, -1), MeanShift(planes, 1)
        self.head = nn.Conv2d(planes, features, 3, padding=1)
        chain: list[nn.Module] = [PlainBlock(features, scaling=scaling) for _ in range(blocks)]
        self.body = nn.Sequential(*chain, nn.Conv2d(features, features, 3, padding=1))
        self.upsample = make_upsampler(features, scale)
        self.tail = nn.Conv2d(features, planes, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(self.centre(lr))
        sr: Tensor = self.restore(self.tail(self.upsample(shallow + self.body(shallow))))
        return sr


class Mdsr(nn.Module):
    """Holds the branches of every scale in `scales`; `scale` picks the one that runs."""

    def __init__(
        self,
        scale: int,
        *,
        planes: int = 3,
        features: int = 64,
        blocks: int = 80,
        scales: tuple[int, ...] = (2, 3, 4),
    ) -> None:
        super().__init__()
        self.scale = scale
        self.centre, self.restore = MeanShift(planes, -1), MeanShift(planes, 1)
        self.head = nn.Conv2d(planes, features, 3, padding=1)
        self.enter = nn.ModuleDict(
            {str(s): nn.Sequential(*[PlainBlock(features, kernel=5) for _ in range(2)]) for s in scales}
        )
        chain: list[nn.Module] = [PlainBlock(features) for _ in range(blocks)]
        self.body = nn.Sequential(*chain, nn.Conv2d(features, features, 3, padding=1))
        self.upsample = nn.ModuleDict({str(s): make_upsampler(features, s) for s in scales})
        self.tail = nn.Conv2d(features, planes, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        key = str(self.scale)
        shallow = self.enter[key](self.head(self.centre(lr)))
        deep = shallow + self.body(shallow)
        sr: Tensor = self.restore(self.tail(self.upsample[key](deep)))
        return sr
