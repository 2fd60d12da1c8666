"""Adversaries: a second network that learns to tell made from real while the first learns to fool it.

standard       SRGAN (Ledig 2017): is this image real?
relativistic   ESRGAN (Wang 2018), after Jolicoeur-Martineau 2018: is this image more real than that one?
Judging 'pixels' with SRGAN's discriminator, 'patches' with a small one that sees 38 pixels around, as Isola et al.
2017's, its convolutions of spectral norm 1 (Miyato et al. 2018), or VGG 'features' with SRFeat's (Park 2018).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils.parametrizations import spectral_norm

from sr_train.config import DiscriminatorConfig
from sr_train.vgg import RELU5_4, load_vgg
from sr_zoo.archs.srfeat import FeatureDiscriminator
from sr_zoo.archs.srgan import SrganDiscriminator

PATCH_WIDTHS = (32, 64, 96)


class PatchJudge(nn.Module):
    """(N, planes, H, W) -> (N, 1, H / 8, W / 8) logits."""

    def __init__(self, *, planes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((planes, *PATCH_WIDTHS)):
            layers += [spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)), nn.LeakyReLU(0.2, True)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(PATCH_WIDTHS[-1], 1, 3, padding=1)))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


class Discriminator:
    """The discriminator, its optimiser, and what it asks of the generator."""

    def __init__(self, config: DiscriminatorConfig, *, planes: int, vgg: str, device: torch.device) -> None:
        self.config = config
        self.judge: nn.Module
        self.vgg: nn.Module | None = None
        if config.judges == "features":
            self.vgg = load_vgg(vgg).to(device)
            self.judge = FeatureDiscriminator().to(device)
        elif config.judges == "patches":
            self.judge = PatchJudge(planes=planes).to(device)
        else:
            self.judge = SrganDiscriminator(planes=planes).to(device)
        self.optimiser = torch.optim.Adam(self.judge.parameters(), config.rate, betas=(0.9, 0.999))

    def generator_loss(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Weighted loss that falls as the made images pass for real."""
        self.judge.requires_grad_(False)
        made = self._logits(sr)
        self.judge.requires_grad_(True)
        if self.config.kind == "standard":
            return self.config.weight * _towards(made, 1.0)
        with torch.no_grad():
            real = self._logits(hr)
        loss = (_towards(made - real.mean(), 1.0) + _towards(real - made.mean(), 0.0)) / 2
        return self.config.weight * loss

    def learn(self, sr: Tensor, hr: Tensor) -> float:
        """One step of the discriminator on a made and a real batch; returns its loss."""
        made, real = self._logits(sr.detach()), self._logits(hr)
        if self.config.kind == "standard":
            loss = (_towards(real, 1.0) + _towards(made, 0.0)) / 2
        else:
            loss = (_towards(real - made.mean(), 1.0) + _towards(made - real.mean(), 0.0)) / 2
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def _logits(self, images: Tensor) -> Tensor:
        seen = images if self.vgg is None else self.vgg(images, (RELU5_4 - 1,))[0]
        logits: Tensor = self.judge(seen)
        return logits


def _towards(logits: Tensor, label: float) -> Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
