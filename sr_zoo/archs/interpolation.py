"""The baselines every paper compares with: nearest, bilinear, bicubic (a = -0.5) and Lanczos-3, as
networks."""

from torch import Tensor, nn

from sr_zoo.archs.heads import InterpolatedBase


class Interpolation(nn.Module):
    """No weights to train; the same interface, export and tiles as the networks."""

    def __init__(self, scale: int, *, planes: int = 3, kind: str = "bicubic") -> None:
        super().__init__()
        self.resample = InterpolatedBase(scale, planes, kind=kind)

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.resample(lr)
        return sr
