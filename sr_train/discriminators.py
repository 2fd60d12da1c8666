"""Adversaries: a second network that learns to tell made from real while the first learns to fool it.

standard       SRGAN (Ledig 2017): is this image real?
relativistic   ESRGAN (Wang 2018), after Jolicoeur-Martineau 2018: is this image more real than that one?
Judging 'pixels' with SRGAN's discriminator, or VGG 'features' with SRFeat's (Park 2018).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sr_train.config import DiscriminatorConfig
from sr_train.vgg import RELU5_4, load_vgg
from sr_zoo.archs.srfeat import FeatureDiscriminator
from sr_zoo.archs.srgan import SrganDiscriminator


class Discriminator:
    """The discriminator, its optimiser, and what it asks of the generator."""

    def __init__(self, config: DiscriminatorConfig, *, planes: int, vgg: str, device: torch.device) -> None:
        self.config = config
        self.judge: nn.Module
        self.vgg: nn.Module | None = None
        if config.judges == "features":
            self.vgg = load_vgg(vgg).to(device)
            self.judge = FeatureDiscriminator().to(device)
        else:
            self.judge = SrganDiscriminator(planes=planes).to(device)
        self.optimiser = torch.optim.Adam(self.judge.parameters(), config.rate, betas=(0.9, 0.999))

    def generator_loss(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Weighted loss that falls as the made images pass for real."""
        made = self._logits(sr)
        if self.config.kind == "standard":
            return self.config.weight * _towards(made, 1.0)
        real = self._logits(hr).detach()
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
