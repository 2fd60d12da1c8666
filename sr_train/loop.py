"""Training, start to end.

images ─ crops ─┬─ LR ─ network ─ SR ─ loss ─ gradients ─ optimiser ─ weights ─ average (EMA) ─ shipped
                └─ HR ──────────────────┘
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_core.errors import BadInput, NotAvailable
from sr_train.benchmark_sets import read_pairs
from sr_train.chances import chances_from_table
from sr_train.checkpoints import RunState, Stateful, load_state, save_state
from sr_train.clip_bank import ClipBank, open_clips
from sr_train.compiler import has_compiler
from sr_train.config import TrainConfig
from sr_train.images import ImageBank, open_bank
from sr_train.imresize import Image8
from sr_train.losses import Loss, make_loss
from sr_train.metrics import Y_WEIGHTS, luma_from_rgb, psnr
from sr_train.optimisers import make_optimisers
from sr_train.recipes import find_warm_start
from sr_train.unsharp import sharpen
from sr_train.warm_starts import warm_start
from sr_zoo.archs.registry import build_network, find_arch

SAVE_EVERY_SECONDS = 120.0
SHOW_EVERY_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a front end may show, about once a second.

    Attributes:
        psnr_y: of the averaged weights on the validation images, when last measured; NaN before.
        measured: True once after each measurement, when the checkpoint is written, too.
    """

    step: int
    share_done: float
    loss: float
    psnr_y: float
    seconds: float
    measured: bool


def run_training(
    config: TrainConfig,
    *,
    out: Path,
    cache: Path,
    data_root: Path | None = None,
    resume: bool = False,
    save_every_seconds: float = SAVE_EVERY_SECONDS,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Train as `config` says and return the checkpoint, written to `out` every few minutes and at the end.

    Args:
        cache: where decoded images are kept between runs.
        data_root: replaces `config.data.root`.
        resume: go on from the checkpoint in `out`, if there is one.

    Raises:
        BadInput: the images or the checkpoint cannot be used; or the loss is no longer a number.
    """
    model, optim = config.model, config.optim
    root = data_root or Path(config.data.root)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    scales = tuple(dict.fromkeys((model.scale, *model.scales)))
    banks = {scale: _open_bank(config, root, scale, cache) for scale in scales}
    for _ in read_pairs(root / config.data.validate, model.scale):
        pass  # an image that cannot be measured is refused now, and not after hours

    torch.manual_seed(optim.seed)
    network = _build(config, model.scale).to(device)
    if optim.warm_start:
        warm_start(network, find_warm_start(optim.warm_start) or Path(optim.warm_start))
    loss_of = make_loss(config.loss, vgg=config.vgg)
    discriminator = None
    if config.discriminator is not None:
        from sr_train.discriminators import Discriminator

        planes = 1 if _color_space(config) == "y" else 3
        discriminator = Discriminator(config.discriminator, planes=planes, vgg=config.vgg, device=device)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    scaler = torch.amp.GradScaler(device.type, enabled=optim.precision == "f16")
    helpers: dict[str, Stateful] = {"scaler": scaler} if scaler.is_enabled() else {}
    if discriminator is not None:
        helpers |= {"discriminator": discriminator.judge, "discriminator's optimiser": discriminator.optimiser}
    state = RunState(network=network, average=average, optimisers=make_optimisers(network, optim), helpers=helpers)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{model.name}.pt"
    if resume and checkpoint.exists():
        load_state(checkpoint, state)
    network.train().to(memory_format=torch.channels_last)
    forwards = {scale: _forward_at(config, network, scale) for scale in scales}

    began, seconds_before = time.monotonic(), state.seconds
    saved_at = shown_at = began
    losses, psnr_y = list[float](), math.nan
    frames = 2 if config.data.clips else 1  # of a pair, which look alike, one is judged
    while (share := _share_done(config, state)) < 1.0:
        rate = _set_rates(state, config, share)
        scale = scales[state.step % len(scales)]
        judge = discriminator if config.discriminator and share >= config.discriminator.start else None
        for optimiser in state.optimisers:
            optimiser.zero_grad(set_to_none=True)
        for part in range(optim.accumulate):
            lr, hr = _batch(banks[scale], config, state.step * optim.accumulate + part, device)
            with _autocast(config, device):
                sr, loss = _supervise(forwards[scale], network, lr, hr, loss_of, share)
                if judge is not None:
                    loss = loss + judge.generator_loss(sr[::frames], hr[::frames])
            scaler.scale(loss / optim.accumulate).backward()  # type: ignore[no-untyped-call]
        if judge is not None:
            judge.learn(sr[::frames], hr[::frames])
        _clip(network, config, rate)
        for optimiser in state.optimisers:
            scaler.step(optimiser)
        scaler.update()
        state.step += 1
        _average(state, optim.ema)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise BadInput(f"the loss is {losses[-1]} at step {state.step}", hint="lower optim.rate or set optim.clip")
        now = time.monotonic()
        state.seconds = seconds_before + now - began
        if now - saved_at > save_every_seconds:
            progress = _measure(state, config, root, losses, share, checkpoint)
            report(progress)
            psnr_y = progress.psnr_y
            save_state(checkpoint, state, config)
            saved_at = shown_at = time.monotonic()
            losses.clear()
        elif now - shown_at > SHOW_EVERY_SECONDS:
            report(_progress(state, share, losses, psnr_y, measured=False))
            shown_at = now
    report(_measure(state, config, root, losses, 1.0, checkpoint))
    save_state(checkpoint, state, config)
    return checkpoint


Forward = Callable[[Tensor], Tensor]


def _build(config: TrainConfig, scale: int) -> nn.Module:
    return build_network(config.model.arch, scale=scale, color_space=config.model.color_space, **config.model.options)


def _color_space(config: TrainConfig) -> str:
    return config.model.color_space or find_arch(config.model.arch).color_space


def _open_bank(config: TrainConfig, root: Path, scale: int, cache: Path) -> ImageBank | ClipBank:
    data = config.data
    if data.clips:
        folders, chances = [root / folder for folder in data.folders], chances_from_table(data.chances)
        return open_clips(
            folders,
            scale=scale,
            cache=cache,
            count=data.clips,
            chances=chances,
            scenes=data.scenes,
            held_back=data.held_back,
        )
    return open_bank(
        [root / folder for folder in data.folders],
        scale=scale,
        cache=cache,
        copies=data.copies,
        degradation=data.degradation,
        variants=data.variants,
        held_back=data.held_back,
    )


def _forward_at(config: TrainConfig, network: nn.Module, scale: int) -> Forward:
    """The network at `scale`; at another than its own, a twin that borrows its weights (VDSR, MDSR)."""
    if scale == config.model.scale:
        return _compile(network) if config.optim.compiled else network
    twin = _build(config, scale).to(next(network.parameters()).device)

    def forward(lr: Tensor) -> Tensor:
        sr: Tensor = torch.func.functional_call(twin, dict(network.named_parameters()), (lr,))
        return sr

    return forward


def _compile(network: nn.Module) -> Forward:
    if not has_compiler():
        raise NotAvailable(
            "optim.compiled needs a C++ compiler, and none is here",
            hint="install one, or set compiled = false: a third slower",
        )
    return torch.compile(network)


def _batch(bank: ImageBank | ClipBank, config: TrainConfig, step: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(LR, HR) as floats in [0, 1] on the device; they travel there as codes, most as uint8."""
    data = config.data
    low, high = bank.batch(seed=config.optim.seed, step=step, count=data.batch, patch_px=data.patch_px)
    return _tensor(low, config, device), sharpen(_tensor(high, config, device), data.sharpen, bank.scale)


def _tensor(images: Image8 | NDArray[np.float32], config: TrainConfig, device: torch.device) -> Tensor:
    batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255.0  # channels_last as it is
    if _color_space(config) == "y":
        weights = batch.new_tensor(Y_WEIGHTS).view(1, 3, 1, 1) / 255.0
        batch = (batch * weights).sum(dim=1, keepdim=True) + 16.0 / 255.0
    return batch


def _autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[None]:
    kinds = {"bf16": torch.bfloat16, "f16": torch.float16}
    kind = kinds.get(config.optim.precision)
    context: AbstractContextManager[None] = torch.autocast(device.type, dtype=kind, enabled=kind is not None)
    return context


def _supervise(
    forward: Forward, network: nn.Module, lr: Tensor, hr: Tensor, loss_of: Loss, share: float
) -> tuple[Tensor, Tensor]:
    """SR and its loss. Networks with intermediate predictions (DRCN, MemNet) are taught by those at first."""
    if not hasattr(network, "predictions"):
        sr = forward(lr)
        return sr, loss_of(sr, hr)
    outputs = network.predictions(lr)  # type: ignore[operator]
    sr = network.merge(outputs)  # type: ignore[operator]
    early = torch.stack([loss_of(output, hr) for output in outputs]).mean()
    return sr, (1.0 - share) * early + share * loss_of(sr, hr)  # DRCN §3.2: alpha decays from 1 to 0


def _share_done(config: TrainConfig, state: RunState) -> float:
    if config.optim.steps:
        return state.step / config.optim.steps
    return state.seconds / 60.0 / config.optim.minutes


def _set_rates(state: RunState, config: TrainConfig, share: float) -> float:
    """Set this step's learning rates (warm-up, then the schedule) and return the first; groups keep their
    peaks."""
    optim = config.optim
    floor = optim.final_rate / optim.rate
    if optim.schedule == "cosine":
        factor = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    else:
        factor = max(floor, 0.1 ** int(4 * share))
    factor *= min(1.0, (state.step + 1) / max(1, optim.warm_up_steps))
    for optimiser in state.optimisers:
        for group in optimiser.param_groups:
            group.setdefault("peak", group["lr"])
            group["lr"] = group["peak"] * factor
    return optim.rate * factor


def _clip(network: nn.Module, config: TrainConfig, rate: float) -> None:
    if config.optim.clip:
        nn.utils.clip_grad_norm_(network.parameters(), config.optim.clip)
    if config.optim.clip_theta:
        nn.utils.clip_grad_value_(network.parameters(), config.optim.clip_theta / rate)


@torch.no_grad()
def _average(state: RunState, ema: float) -> None:
    decay = min(ema, (1 + state.step) / (10 + state.step))  # young averages forget faster
    for name, value in state.network.state_dict().items():
        if value.is_floating_point():
            state.average[name].lerp_(value, 1 - decay)
        else:
            state.average[name].copy_(value)


def _measure(
    state: RunState, config: TrainConfig, root: Path, losses: list[float], share: float, checkpoint: Path
) -> Progress:
    """Measure, and note the point of the curve; where that fails, nothing that was learnt is lost."""
    try:
        psnr_y = validate(config, root / config.data.validate, state.average)
    except Exception:
        save_state(checkpoint, state, config)
        raise
    progress = _progress(state, share, losses, psnr_y, measured=True)
    state.curve.append((state.step, state.seconds, progress.loss, psnr_y))
    return progress


def _progress(state: RunState, share: float, losses: list[float], psnr_y: float, *, measured: bool) -> Progress:
    return Progress(
        step=state.step,
        share_done=share,
        loss=sum(losses) / len(losses) if losses else math.nan,
        psnr_y=psnr_y,
        seconds=state.seconds,
        measured=measured,
    )


@torch.no_grad()
def validate(config: TrainConfig, folder: Path, average: dict[str, Tensor]) -> float:
    """Mean Y PSNR of the averaged weights on the images of `folder`."""
    network = _build(config, config.model.scale)
    network.load_state_dict({name: value.cpu() for name, value in average.items()})
    network.eval()
    values = []
    for pair in read_pairs(folder, config.model.scale):
        batch = _tensor(pair.low[None], config, torch.device("cpu"))
        made = (network(batch)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).to(torch.uint8).numpy()
        luma = luma_from_rgb(made[..., 0] if made.shape[2] == 1 else made)
        values.append(psnr(luma, luma_from_rgb(pair.high), crop_px=config.model.scale))
    return sum(values) / len(values)
