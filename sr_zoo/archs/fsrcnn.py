"""FSRCNN: Accelerating the Super-Resolution Convolutional Neural Network (Dong et al., ECCV 2016), Figure 2.

    lr ─ conv5(d) ─ conv1(s) ─ m x conv3(s) ─ conv1(d) ─ deconv9/scale ─ sr      PReLU after each convolution
         feature    shrink     map            expand

FSRCNN(56, 12, 4) has 12,464 weights, FSRCNN-s(32, 5, 1) 3,937 (Table 1 and §3.3), biases and slopes not
counted.
"""

from torch import Tensor, nn

from sr_zoo.archs.heads import carry_, interpolate_, make_head


class Fsrcnn(nn.Module):
    """`head` other than the paper's 9x9 transposed convolution is ours, to compare them."""

    def __init__(
        self, scale: int, *, planes: int = 1, d: int = 56, s: int = 12, m: int = 4, head: str = "transposed"
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(planes, d, 5, padding=2), nn.PReLU(d)]
        layers += [nn.Conv2d(d, s, 1), nn.PReLU(s)]
        for _ in range(m):
            layers += [nn.Conv2d(s, s, 3, padding=1), nn.PReLU(s)]
        layers += [nn.Conv2d(s, d, 1), nn.PReLU(d)]
        self.features = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.25)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
                carry_(layer)
        self.head: nn.Module
        if head == "transposed":
            self.head = nn.ConvTranspose2d(d, planes, 9, stride=scale, padding=4, output_padding=scale - 1)
            nn.init.normal_(self.head.weight, std=1e-2)
        else:
            self.head = make_head(head, d, planes, scale)
        interpolate_(self.head, scale)

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.head(self.features(lr))
        return sr
