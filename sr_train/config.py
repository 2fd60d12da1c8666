"""What a training run is: a TOML recipe read into frozen, validated dataclasses.

[model]   name, arch, scale, colour, options = {...}
[data]    root, folders, copies, degradation, variants, patch_px, batch, validate, clips, scenes, chances
[optim]   optimiser, rate, final_rate, schedule, steps or minutes, ema, clip, precision, warm_start, ...
[loss]    name = weight, ...                     see losses.py
[discriminator]  kind, judges, weight, rate             for adversarial training; see discriminators.py
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sr_core.errors import BadInput
from sr_train.chances import chances_from_table


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which network, at which scale, on which colours; `scales` beside `scale` train the same weights
    (VDSR)."""

    name: str
    arch: str
    scale: int
    scales: tuple[int, ...] = ()
    color_space: str = ""  # empty: what the paper used
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for scale in (self.scale, *self.scales):
            _demand(scale in (2, 3, 4), "model.scale", scale, "2, 3 or 4")
        _demand(self.color_space in ("", "rgb", "y"), "model.color_space", self.color_space, "'rgb' or 'y'")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images, and how a batch is cut from them. `copies` are sizes at which each image is used.

    With `clips` the images become so many short coded clips (`sr_train.clips`), and a batch pairs of their frames;
    `scenes` is the share of them that show drawn scenes instead of images (`sr_train.scenes`); `chances` changes how
    often they are soft, noisy, ... (`sr_train.chances`). Images whose name fits a pattern of `held_back` are left out:
    what is measured on is not learnt from. `sharpen` is the share of an unsharp
    mask in the truths (`sr_train.unsharp`).
    """

    folders: tuple[str, ...]
    root: str = "../shared/data"
    copies: tuple[float, ...] = (1.0,)
    degradation: str = "bicubic"
    variants: int = 1
    patch_px: int = 48
    batch: int = 16
    validate: str = "eval/Set5"
    clips: int = 0
    scenes: float = 0.0
    held_back: tuple[str, ...] = ()
    chances: Mapping[str, Any] = field(default_factory=dict)
    sharpen: float = 0.0

    def __post_init__(self) -> None:
        _demand(len(self.folders) > 0, "data.folders", self.folders, "at least one folder")
        _demand(self.patch_px >= 8, "data.patch_px", self.patch_px, "8 or more")
        _demand(self.batch >= 1, "data.batch", self.batch, "1 or more")
        _demand(self.clips >= 0, "data.clips", self.clips, "0 or more")
        if self.clips:
            _demand(self.batch % 2 == 0, "data.batch", self.batch, "an even number: frames come in pairs")
        chances_from_table(self.chances)
        _demand(0.0 <= self.scenes <= 1.0, "data.scenes", self.scenes, "0 to 1")
        _demand(self.clips > 0 or not self.scenes, "data.clips", self.clips, "1 or more: scenes are shown in clips")
        _demand(0.0 <= self.sharpen <= 1.0, "data.sharpen", self.sharpen, "0 to 1")
        _demand(
            self.clips > 0 or not self.chances, "data.clips", self.clips, "1 or more, or no chances: they are of clips"
        )
        _demand(self.variants >= 1, "data.variants", self.variants, "1 or more")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How the weights move.

    The rate falls from `rate` to `final_rate` along a cosine, or by 10 each quarter of the run ('steps',
    VDSR). The end is `steps`, or `minutes` of training where steps is 0: a run by the clock cannot be
    repeated bit for bit, one by steps can. `clip` bounds the gradient's norm; `clip_theta` each value to
    ±theta/rate (VDSR §3.2).
    """

    optimiser: str = "adam"
    rate: float = 1e-3
    final_rate: float = 1e-6
    schedule: str = "cosine"
    warm_up_steps: int = 100
    steps: int = 0
    minutes: float = 0.0
    accumulate: int = 1
    ema: float = 0.999
    clip: float = 0.0
    clip_theta: float = 0.0
    seed: int = 1
    precision: str = "f32"
    warm_start: str = ""
    compiled: bool = False

    def __post_init__(self) -> None:
        _demand(self.optimiser in ("adam", "muon", "sgd"), "optim.optimiser", self.optimiser, "adam, muon or sgd")
        _demand(self.schedule in ("cosine", "steps"), "optim.schedule", self.schedule, "cosine or steps")
        _demand(self.precision in ("f32", "bf16", "f16"), "optim.precision", self.precision, "f32, bf16 or f16")
        _demand(self.steps > 0 or self.minutes > 0, "optim.steps", self.steps, "steps or minutes above 0")
        _demand(self.rate > 0, "optim.rate", self.rate, "above 0")
        _demand(self.accumulate >= 1, "optim.accumulate", self.accumulate, "1 or more")
        _demand(0 <= self.ema < 1, "optim.ema", self.ema, "0 <= ema < 1")


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """An adversary: `kind` standard or relativistic, judging 'pixels', 'patches' or VGG 'features'.

    `start` is the share of the run after which it joins.
    """

    kind: str = "standard"
    judges: str = "pixels"
    weight: float = 1e-3
    rate: float = 1e-4
    start: float = 0.0

    def __post_init__(self) -> None:
        _demand(0.0 <= self.start < 1.0, "discriminator.start", self.start, "0 <= start < 1")
        _demand(self.kind in ("standard", "relativistic"), "discriminator.kind", self.kind, "standard or relativistic")
        judges = ("pixels", "patches", "features")
        _demand(self.judges in judges, "discriminator.judges", self.judges, "pixels, patches or features")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A whole run. `vgg` is the file of VGG19 weights that perceptual losses need."""

    model: ModelConfig
    data: DataConfig
    optim: OptimConfig
    loss: Mapping[str, float]
    discriminator: DiscriminatorConfig | None = None
    vgg: str = ""

    def __post_init__(self) -> None:
        if "still" in self.loss:
            _demand(self.data.clips > 0, "data.clips", self.data.clips, "above 0: the loss 'still' compares frames")


SECTIONS: dict[str, type[Any]] = {
    "model": ModelConfig,
    "data": DataConfig,
    "optim": OptimConfig,
    "discriminator": DiscriminatorConfig,
}


def read_config(path: Path) -> TrainConfig:
    """Read a recipe; unknown tables and keys are refused by name.

    Raises:
        BadInput: not readable, not TOML, or with a key or value we do not know.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"cannot read recipe {path}: {error.strerror}", hint="srkit train --list names examples"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"recipe {path} is not TOML: {error}", hint="srkit train --list names examples") from error
    for table in tables:
        _demand(
            table in SECTIONS or table in ("loss", "vgg"), "table", table, "model, data, optim, loss, discriminator"
        )
    wanted = [name for name in SECTIONS if name != "discriminator" or name in tables]
    parts = {name: _section(SECTIONS[name], name, tables.get(name, {})) for name in wanted}
    return TrainConfig(**parts, loss=tables.get("loss", {"l1": 1.0}), vgg=tables.get("vgg", ""))


def _section(kind: type[Any], table: str, values: Mapping[str, Any]) -> Any:
    names = {entry.name for entry in fields(kind)}
    for key in values:
        _demand(key in names, f"{table} key", key, ", ".join(sorted(names)))
    frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return kind(**frozen)
    except TypeError as error:
        raise BadInput(f"[{table}] is incomplete: {error}", hint="srkit train --list names examples") from error


def _demand(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise BadInput(f"{name} is {value!r}", hint=f"expected {expected}")
