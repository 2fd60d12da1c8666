"""Training, start to end: read a recipe, cut batches, step, average, save, measure.

images ─ crops ─┬─ LR ─ network ─ loss ─ gradients ─ optimiser ─ weights ─ average (EMA)
                └─ HR ───────────────┘                                      └─ shipped
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sr_train.config import TrainConfig, read_config
from sr_train.images import ImageBank, open_bank, read_rgb
from sr_train.imresize import Image8, crop_to_multiple, imresize
from sr_train.losses import LOSSES
from sr_train.metrics import Y_WEIGHTS, luma_from_rgb, psnr
from sr_train.optimisers import make_optimisers
from sr_zoo.archs.registry import build_network


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the front end may show."""

    step: int
    share: float  # 0..1 of the run
    loss: float
    psnr_y: float | None
    seconds: float


def run_training(
    recipe: Path,
    *,
    out: Path,
    cache: Path,
    data_root: Path | None = None,
    resume: bool = False,
    save_every_seconds: float = 120.0,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Train as the recipe says; return the checkpoint, whose "average" entry is the model to ship."""
    config = read_config(recipe)
    root = data_root or Path(config.data.root)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bank = open_bank(
        [root / folder for folder in config.data.folders],
        scale=config.model.scale,
        copies=config.data.copies,
        cache=cache,
    )
    torch.manual_seed(config.optim.seed)
    network = build_network(
        config.model.arch, scale=config.model.scale, colour=config.model.colour, **config.model.options
    )
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.optim.warm_start:
        warm_start(network, Path(config.optim.warm_start))
    optimisers = make_optimisers(network, config.optim)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{config.model.name}.pt"
    step, trained_seconds = 0, 0.0
    if resume and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        average = state["average"]
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        step, trained_seconds = state["step"], state["seconds"]
    forward = torch.compile(network) if config.optim.compiled else network
    batches = _Batches(bank, config, device)
    saved_at = began = time.monotonic()
    before = trained_seconds
    losses: list[float] = []

    while (share := _share_done(config, step, trained_seconds)) < 1.0:
        _set_rates(optimisers, config, share, step)
        lr, hr = batches.at(step)
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        sr = forward(lr)
        loss = sum((weight * LOSSES[name](sr, hr) for name, weight in config.loss.items()), torch.zeros(()))
        loss.backward()
        if config.optim.clip:
            nn.utils.clip_grad_norm_(network.parameters(), config.optim.clip)
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        _update_average(average, network, min(config.optim.ema, (1 + step) / (10 + step)))
        losses.append(loss.item())
        trained_seconds = before + time.monotonic() - began
        if time.monotonic() - saved_at > save_every_seconds:
            saved_at = time.monotonic()
            _save(checkpoint, network, average, optimisers, config, step, trained_seconds)
            measured = validate(config, root, average)
            report(
                Progress(
                    step=step,
                    share=share,
                    loss=float(np.mean(losses)),
                    psnr_y=measured,
                    seconds=trained_seconds,
                )
            )
            losses = []
    _save(checkpoint, network, average, optimisers, config, step, trained_seconds)
    measured = validate(config, root, average)
    report(Progress(step=step, share=1.0, loss=float(np.mean(losses or [0])), psnr_y=measured, seconds=trained_seconds))
    return checkpoint


class _Batches:
    """Crops as float tensors on the device."""

    def __init__(self, bank: ImageBank, config: TrainConfig, device: torch.device) -> None:
        self.bank, self.config, self.device = bank, config, device

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        data = self.config.data
        low, high = self.bank.batch(seed=self.config.optim.seed, step=step, count=data.batch, patch_px=data.patch_px)
        return self._tensor(low), self._tensor(high)

    def _tensor(self, images: Image8) -> Tensor:
        batch = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255.0  # channels_last already
        if self.config.model.colour == "y":
            weights = batch.new_tensor(Y_WEIGHTS).view(1, 3, 1, 1) / 255.0
            batch = (batch * weights).sum(dim=1, keepdim=True) + 16.0 / 255.0
        return batch


def _share_done(config: TrainConfig, step: int, seconds: float) -> float:
    return step / config.optim.steps if config.optim.steps else seconds / 60 / config.optim.minutes


def _set_rates(optimisers: list[torch.optim.Optimizer], config: TrainConfig, share: float, step: int) -> None:
    """Linear warm-up, then half a cosine; every group keeps its own peak."""
    floor = config.optim.final_rate / config.optim.rate
    factor = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    factor *= min(1.0, (step + 1) / max(1, config.optim.warm_up_steps))
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group.setdefault("peak", group["lr"])
            group["lr"] = group["peak"] * factor


@torch.no_grad()
def _update_average(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    for name, value in network.state_dict().items():
        average[name].lerp_(value, 1 - decay)


def _save(
    path: Path,
    network: nn.Module,
    average: dict[str, Tensor],
    optimisers: list[torch.optim.Optimizer],
    config: TrainConfig,
    step: int,
    seconds: float,
) -> None:
    state = {
        "network": network.state_dict(),
        "average": average,
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        "step": step,
        "seconds": seconds,
        "config": json.dumps(asdict(config)),
    }
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)


def warm_start(network: nn.Module, checkpoint: Path) -> None:
    """Take every weight of another run's average that fits by name and shape; the rest stays as initialised."""
    saved = torch.load(checkpoint, weights_only=True)["average"]
    own = network.state_dict()
    network.load_state_dict(
        {name: saved[name] if name in saved and saved[name].shape == own[name].shape else own[name] for name in own}
    )


@torch.no_grad()
def validate(config: TrainConfig, root: Path, average: dict[str, Tensor]) -> float:
    """Mean Y PSNR of the averaged weights on the validation folder."""
    network = build_network(
        config.model.arch, scale=config.model.scale, colour=config.model.colour, **config.model.options
    )
    network.load_state_dict(average)
    network.eval()
    scale = config.model.scale
    values = []
    for path in sorted((root / config.data.validate).glob("*.png")):
        high = crop_to_multiple(read_rgb(path), scale)
        low = imresize(high, 1 / scale)
        if config.model.colour == "y":
            batch = torch.from_numpy(luma_from_rgb(low)).float()[None, None] / 255.0
        else:
            batch = torch.from_numpy(low).permute(2, 0, 1)[None].float() / 255.0
        sr = (network(batch)[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        actual = sr[..., 0] if config.model.colour == "y" else sr
        values.append(psnr(luma_from_rgb(actual), luma_from_rgb(high), crop_px=scale))
    return float(np.mean(values))
