"""SRCNN: Image Super-Resolution Using Deep Convolutional Networks (Dong et al., ECCV 2014, TPAMI 2016),
Figure 2.

    lr ─ bicubic ─ conv f1 ─ relu ─ conv f2 ─ relu ─ conv f3 ─ sr
                   patches          mapping          reconstruction

The paper's 9-1-5, 9-3-5 and 9-5-5 (n1 = 64, n2 = 32) have 8,032, 24,416 and 57,184 weights
(TPAMI §4.3.2), biases not counted. The network works on the bicubic-enlarged image.
"""

from torch import Tensor, nn

from sr_zoo.archs.heads import InterpolatedBase, carry_


class Srcnn(nn.Module):
    """`sizes` are the three kernel sides; zero padding keeps the image's size (the paper trains unpadded)."""

    def __init__(
        self,
        scale: int,
        *,
        planes: int = 1,
        sizes: tuple[int, int, int] = (9, 5, 5),
        features: tuple[int, int] = (64, 32),
    ) -> None:
        super().__init__()
        f1, f2, f3 = sizes
        n1, n2 = features
        self.enlarge = InterpolatedBase(scale, planes, kind="bicubic")
        self.patches = nn.Conv2d(planes, n1, f1, padding=f1 // 2)
        self.mapping = nn.Conv2d(n1, n2, f2, padding=f2 // 2)
        self.reconstruction = nn.Conv2d(n2, planes, f3, padding=f3 // 2)
        for conv in (self.patches, self.mapping, self.reconstruction):
            nn.init.kaiming_normal_(conv.weight)  # the paper's N(0, 0.001) needs 10^8 updates to leave zero
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.reconstruction.weight, std=1e-2)
        for conv in (self.patches, self.mapping, self.reconstruction):
            carry_(conv)

    def forward(self, lr: Tensor) -> Tensor:
        enlarged = self.enlarge(lr)
        sr: Tensor = self.reconstruction(self.mapping(self.patches(enlarged).relu()).relu())
        return sr
