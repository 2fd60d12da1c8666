"""DRCN: Deeply-Recursive Convolutional Network for Image Super-Resolution (Kim et al., CVPR 2016), Figures
1 and 3.

    bicubic ─ embedding (2 convs) ─ H1 ─ H2 ─ ... ─ H16      one convolution, applied 16 times
       │                            │    │           │
       └───────────── + ─── reconstruction (2 convs), shared by all; weighted sum of the 16 predictions ─ sr

1,774 K parameters (Tai et al. 2017, DRRN, Table 2). In training every prediction is supervised:
`predictions`.
"""

import torch
from torch import Tensor, nn

from sr_zoo.archs.heads import InterpolatedBase


class Drcn(nn.Module):
    def __init__(self, scale: int, *, planes: int = 1, features: int = 256, recursions: int = 16) -> None:
        super().__init__()
        self.enlarge = InterpolatedBase(scale, planes, kind="bicubic")
        self.embed1 = nn.Conv2d(planes, features, 3, padding=1)
        self.embed2 = nn.Conv2d(features, features, 3, padding=1)
        self.recurse = nn.Conv2d(features, features, 3, padding=1)
        self.rebuild1 = nn.Conv2d(features, features, 3, padding=1)
        self.rebuild2 = nn.Conv2d(features, planes, 3, padding=1)
        self.weights = nn.Parameter(torch.full((recursions,), 1.0 / recursions))
        self.recursions = recursions
        with torch.no_grad():  # §4: the recursive layer starts as the identity
            self.recurse.weight.zero_()
            self.recurse.weight[:, :, 1, 1] = torch.eye(features)

    def predictions(self, lr: Tensor) -> list[Tensor]:
        """The SR image after each recursion (§3.2, recursive supervision)."""
        enlarged = self.enlarge(lr)
        state = self.embed2(self.embed1(enlarged).relu()).relu()
        outputs = []
        for _ in range(self.recursions):
            state = self.recurse(state).relu()
            outputs.append(enlarged + self.rebuild2(self.rebuild1(state).relu()))
        return outputs

    def forward(self, lr: Tensor) -> Tensor:
        return self.merge(self.predictions(lr))

    def merge(self, outputs: list[Tensor]) -> Tensor:
        """Weighted mean of the predictions; the weights are learned."""
        total = outputs[0] * self.weights[0]
        for index in range(1, len(outputs)):
            total = total + outputs[index] * self.weights[index]
        return total / self.weights.sum()
