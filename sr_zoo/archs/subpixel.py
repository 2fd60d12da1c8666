"""The sub-pixel CNN of a lecture project (x4 faces, after Shi et al. 2016), in its three variants.

rgb     RGB in, RGB out: one network sees all colours.
merge   one grey-to-grey network, applied to R, G and B in turn and merged: colour-blind, a third of the
        weights.
grey    grey in (luma of the RGB input), RGB out: must guess colour; kept to show what that costs.

    conv5(64) - relu - conv3(64) - relu - conv3(32) - relu - conv3(planes s^2) - depth-to-space
"""

import torch
from torch import Tensor, nn

from sr_zoo.archs.heads import make_head

LUMA = (0.299, 0.587, 0.114)  # BT.601
VARIANTS = ("rgb", "merge", "grey")


class SubPixel(nn.Module):
    luma: Tensor

    def __init__(self, scale: int, *, planes: int = 3, variant: str = "rgb", head: str = "subpixel-icnr") -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"unknown variant {variant!r}: {', '.join(VARIANTS)}")
        self.variant = variant
        inputs = planes if variant == "rgb" else 1
        outputs = 1 if variant == "merge" else planes
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.chain = nn.Sequential(
            nn.Conv2d(inputs, 64, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.ReLU(inplace=True),
            make_head(head, 32, outputs, scale),
        )

    def forward(self, lr: Tensor) -> Tensor:
        if self.variant == "merge":
            return torch.cat([self.chain(plane) for plane in torch.split(lr, 1, dim=1)], dim=1)
        sr: Tensor = self.chain(nn.functional.conv2d(lr, self.luma) if self.variant == "grey" else lr)
        return sr
