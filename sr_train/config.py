"""What a training run is: a TOML file read into frozen, validated dataclasses.

[model]   name, arch, scale, colour, options = {...}
[data]    root, folders, copies, patch_px, batch
[optim]   optimiser, rate, final_rate, steps or minutes, ema, clip, warm_start
[loss]    name = weight, ...
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sr_core.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which network, at which scale, on which colours."""

    name: str
    arch: str
    scale: int
    colour: str = "rgb"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _demand(self.scale in (2, 3, 4, 8), "model.scale", self.scale, "2, 3, 4 or 8")
        _demand(self.colour in ("rgb", "y"), "model.colour", self.colour, "'rgb' or 'y'")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images, and how a batch is cut from them. `copies` are sizes at which each image is used."""

    folders: tuple[str, ...]
    root: str = "../shared/data"
    copies: tuple[float, ...] = (1.0,)
    patch_px: int = 48
    batch: int = 16
    degradation: str = "bicubic"
    validate: str = "eval/Set5"

    def __post_init__(self) -> None:
        _demand(len(self.folders) > 0, "data.folders", self.folders, "at least one folder")
        _demand(self.patch_px >= 8, "data.patch_px", self.patch_px, "8 or more")
        _demand(self.batch >= 1, "data.batch", self.batch, "1 or more")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How the weights move. The learning rate falls from `rate` to `final_rate` along a cosine.

    The end of the run is `steps`, or `minutes` of training time where steps is 0
    (a run by the clock cannot be repeated bit for bit; one by steps can).
    """

    optimiser: str = "adam"
    rate: float = 1e-3
    final_rate: float = 1e-6
    warm_up_steps: int = 100
    steps: int = 0
    minutes: float = 0.0
    ema: float = 0.999
    clip: float = 0.0  # largest gradient norm; 0: no clipping
    seed: int = 1
    warm_start: str = ""
    compiled: bool = True

    def __post_init__(self) -> None:
        _demand(self.optimiser in ("adam", "muon", "sgd"), "optim.optimiser", self.optimiser, "adam, muon or sgd")
        _demand(self.steps > 0 or self.minutes > 0, "optim.steps", self.steps, "steps or minutes above 0")
        _demand(0 <= self.ema < 1, "optim.ema", self.ema, "0 <= ema < 1")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A whole run."""

    model: ModelConfig
    data: DataConfig
    optim: OptimConfig
    loss: Mapping[str, float]


def read_config(path: Path) -> TrainConfig:
    """Read a recipe; unknown tables and keys are refused by name."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot read recipe {path}: {error.strerror}", hint="see configs/ for examples") from error
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"recipe {path} is not TOML: {error}", hint="see configs/ for examples") from error
    known = {"model": ModelConfig, "data": DataConfig, "optim": OptimConfig}
    for table in tables:
        _demand(table in known or table == "loss", "table", table, "model, data, optim or loss")
    parts = {table: _section(kind, table, tables.get(table, {})) for table, kind in known.items()}
    return TrainConfig(**parts, loss=tables.get("loss", {"l1": 1.0}))


def _section(kind: type[Any], table: str, values: Mapping[str, Any]) -> Any:
    names = {entry.name for entry in fields(kind)}
    for key in values:
        _demand(key in names, f"{table} key", key, ", ".join(sorted(names)))
    frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return kind(**frozen)
    except TypeError as error:
        raise BadInput(f"[{table}] is incomplete: {error}", hint="see configs/ for examples") from error


def _demand(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise BadInput(f"{name} is {value!r}", hint=f"expected {expected}")
