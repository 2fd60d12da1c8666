"""ESPCN: Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel CNN (Shi et al.,
CVPR 2016).

Figure 1 and §3.1: (f1, n1) = (5, 64), (f2, n2) = (3, 32), f3 = 3, tanh between, depth-to-space at the end.
The paper prints no count; its layer list gives 1600 + 18432 + 288 s^2 weights (22,624 at x3 on luma).
"""

import torch
from torch import Tensor, nn

from sr_zoo.archs.heads import carry_, interpolate_, make_head


class Espcn(nn.Module):
    """Tanh as printed (§3.1), or 'relu', with which the authors trained on ImageNet (Table 1)."""

    def __init__(self, scale: int, *, planes: int = 1, activation: str = "tanh", head: str = "subpixel") -> None:
        super().__init__()
        self.first = nn.Conv2d(planes, 64, 5, padding=2)
        self.second = nn.Conv2d(64, 32, 3, padding=1)
        self.head = make_head(head, 32, planes, scale)
        carry_(self.first, gain=0.25)  # where tanh is nearly straight
        carry_(self.second)
        interpolate_(self.head, scale, gain=4.0)
        self.squash = {"tanh": torch.tanh, "relu": torch.relu}[activation]

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.head(self.squash(self.second(self.squash(self.first(lr)))))
        return sr
