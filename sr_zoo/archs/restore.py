"""restore (srvid): the house's chain with color that cannot appear where there is none.

    rgb ─ head ─ body ─┬─ luma tail (s*s) ────────────────────────────┐
         │             └─ gate ───────┐                               │
         ├─ R-G, B-G ─┬─ 3x3 conv ─── × ─ conv (2 s*s) ─┐             │
         │            └─ 5x5 conv (2 s*s) ──────────── + ─ to RGB ─── + ─ DepthToSpace ─ + ─ sr
         └─ edge pad ─ fixed bilinear conv ─ DepthToSpace ───────────────────────────────┘   base/

R, G and B share one luma tail; a difference between them comes only out of convolutions of (R-G, B-G) without a
bias. Those are exactly 0 where R = G = B, so a grey picture stays grey to the last bit whatever was learnt.
`folded` multiplies the change to RGB into the last kernels: no operation is left at full size but the base.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr_zoo.archs.coherent import Coherent
from sr_zoo.archs.heads import InterpolatedBase, phase_taps
from sr_zoo.archs.house import SLOPE, Deeper, House

KR, KG, KB = 0.299, 0.587, 0.114  # luma weights, ITU-R BT.601-7 §2.5.1
DIFFERENCES = ((1.0, -1.0, 0.0), (0.0, -1.0, 1.0))  # R-G, B-G
# How R, G, B change with (R-G, B-G) at constant luma: G by -(KR, KB), since KR R + KG G + KB B stays.
SPREAD = ((1 - KR, -KB), (-KR, -KB), (-KR, 1 - KB))


class Restore(nn.Module):
    """`convs` body convolutions of `channels` features, `gate` channels that steer color; unclipped RGB.

    `deeper` more body convolutions in blocks that start as the identity, and with `wide` a second look at color that
    starts as nothing: grown so, a network computes what it did, and goes on learning. `coherent` smooths along edges
    before all else.
    """

    differences: Tensor
    spread: Tensor

    def __init__(
        self,
        scale: int,
        *,
        planes: int = 3,
        channels: int = 32,
        convs: int = 8,
        gate: int = 16,
        deeper: int = 0,
        wide: bool = False,
        coherent: bool = False,
    ) -> None:
        super().__init__()
        if planes != 3:
            raise ValueError(f"restore has a path of its own for color: 3 planes, not {planes}")
        house = House(scale, channels=channels, convs=convs)
        self.head, self.head_act = house.head, house.head_act
        self.body = nn.Sequential(*house.body, *[Deeper(channels) for _ in range(deeper // 2)])
        self.base = InterpolatedBase(scale, 3)
        self.tail = nn.Conv2d(channels, scale**2, 3, padding=1)
        self.direct = nn.Conv2d(2, 2 * scale**2, 5, bias=False)
        self.gate = nn.Conv2d(channels, gate, 3, padding=1)
        self.color = nn.Conv2d(2, gate, 3, padding=1, bias=False)
        self.mixed = nn.Conv2d(gate, 2 * scale**2, 3, padding=1, bias=False)
        self.wide = Wide(channels, gate) if wide else None
        self.coherent = Coherent() if coherent else None
        self.shuffle = nn.PixelShuffle(scale)
        self.register_buffer("differences", torch.tensor(DIFFERENCES).view(2, 3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD), persistent=False)
        with torch.no_grad():
            nn.init.normal_(self.tail.weight, std=0.005)  # starts close to the base,
            nn.init.zeros_(cast(Tensor, self.tail.bias))
            nn.init.normal_(self.mixed.weight, std=0.003)
            self.direct.weight.copy_(_enlarging(scale, "bicubic"))  # and color as bicubic
            self.direct.weight[:, :, 1:4, 1:4] -= _enlarging(scale, "bilinear")

    def forward(self, lr: Tensor) -> Tensor:
        lr = self.coherent(lr) if self.coherent is not None else lr
        features = self.body(self.head_act(self.head(lr)))
        differences = functional.conv2d(lr, self.differences)
        color = functional.conv2d(_padded(differences), self._to_rgb(self.direct.weight))
        steered = _steered(self, features, differences)
        color = color + functional.conv2d(steered, self._to_rgb(self.mixed.weight), padding=1)
        sr: Tensor = self.base(lr) + self.shuffle(self.tail(features).repeat(1, 3, 1, 1) + color)
        return sr

    def folded(self) -> nn.Module:
        """The same function with the kernels multiplied out: what is exported."""
        return _Folded(self)

    @staticmethod
    def unfolded(folded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a Restore from those of `folded`: what a training can start from."""
        weights = {name: value for name, value in folded.items() if name not in ("differences", "direct", "mixed")}
        planes = weights["tail.bias"].shape[0] // 3  # R, G and B have the same
        weights |= {name: weights[name][:planes] for name in ("tail.weight", "tail.bias")}
        to_differences = torch.linalg.pinv(torch.tensor(SPREAD, dtype=torch.float64))
        for name in ("direct", "mixed"):
            kernels = folded[name].double()
            kernels = kernels.reshape(3, -1, *kernels.shape[1:])
            weights[f"{name}.weight"] = torch.einsum("kc,ciyxz->kiyxz", to_differences, kernels).flatten(0, 1).float()
        return weights

    def _to_rgb(self, weight: Tensor) -> Tensor:
        """Kernels (2 s*s, ...) that make the two differences, as kernels (3 s*s, ...) that make RGB."""
        return torch.einsum("ck,kiyxz->ciyxz", self.spread, weight.reshape(2, -1, *weight.shape[1:])).flatten(0, 1)


class Wide(nn.Module):
    """What color is 8 pixels around, to lay over blotches as large as a block: as exactly 0 where there is none."""

    def __init__(self, channels: int, gate: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(gate, gate, 3, padding=2, dilation=2, bias=False)
        self.far = nn.Conv2d(gate, gate, 3, padding=4, dilation=4, bias=False)
        self.act = nn.LeakyReLU(SLOPE, inplace=True)
        self.gate = nn.Conv2d(channels, gate, 3, padding=1)
        for parameter in self.gate.parameters():
            nn.init.zeros_(parameter)

    def forward(self, color: Tensor, features: Tensor) -> Tensor:
        steered: Tensor = self.gate(features) * self.act(self.far(self.act(self.near(color))))
        return steered


def _steered(network: "Restore | _Folded", features: Tensor, differences: Tensor) -> Tensor:
    color = network.color(differences)
    steered: Tensor = network.gate(features) * color
    return steered if network.wide is None else steered + network.wide(color, features)


class _Folded(nn.Module):
    def __init__(self, network: Restore) -> None:
        super().__init__()
        self.head, self.head_act, self.body, self.base = network.head, network.head_act, network.body, network.base
        self.gate, self.color, self.shuffle = network.gate, network.color, network.shuffle
        self.wide, self.coherent = network.wide, network.coherent
        self.register_buffer("differences", network.differences)
        self.tail = nn.Conv2d(network.tail.in_channels, 3 * network.tail.out_channels, 3, padding=1)
        self.tail.weight = nn.Parameter(network.tail.weight.detach().repeat(3, 1, 1, 1))
        self.tail.bias = nn.Parameter(cast(Tensor, network.tail.bias).detach().repeat(3))
        self.direct = nn.Parameter(network._to_rgb(network.direct.weight.detach()))
        self.mixed = nn.Parameter(network._to_rgb(network.mixed.weight.detach()))

    def forward(self, lr: Tensor) -> Tensor:
        lr = self.coherent(lr) if self.coherent is not None else lr
        features = self.body(self.head_act(self.head(lr)))
        differences = functional.conv2d(lr, cast(Tensor, self.differences))
        color = functional.conv2d(_padded(differences), self.direct)
        color = color + functional.conv2d(_steered(self, features, differences), self.mixed, padding=1)
        sr: Tensor = self.base(lr) + self.shuffle(self.tail(features) + color)
        return sr


def _padded(planes: Tensor) -> Tensor:
    return functional.pad(planes, (2, 2, 2, 2), mode="replicate")


def _enlarging(scale: int, kind: str) -> Tensor:
    """Kernels (2 s*s, 2, taps, taps) of an interpolation of two planes, before the shuffle."""
    taps = torch.from_numpy(phase_taps(scale, kind)).float()
    window = torch.einsum("iy,jx->ijyx", taps, taps).flatten(0, 1)
    return torch.einsum("po,kyx->pkoyx", torch.eye(2), window).flatten(0, 1)
