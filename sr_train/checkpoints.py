"""The state of a training run in one file: written whole or not at all, read without running code from it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sr_core.errors import BadInput
from sr_core.storage import published
from sr_core.wording import option
from sr_train.config import TrainConfig

CURVE = ("step", "seconds", "loss", "psnr_y")


class Stateful(Protocol):
    """A module, an optimiser, a gradient scaler: what torch can put into a dict and back."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object: ...


@dataclass(kw_only=True)
class RunState:
    """Everything a run needs to go on as if it had not stopped.

    Attributes:
        average: the weights' moving average (EMA): what gets shipped.
        helpers: what else learns along the way, such as a discriminator and its optimiser.
    """

    network: nn.Module
    average: dict[str, Tensor]
    optimisers: list[torch.optim.Optimizer]
    helpers: dict[str, Stateful] = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0
    curve: list[tuple[float, ...]] = field(default_factory=list)


def save_state(path: Path, state: RunState, config: TrainConfig) -> None:
    """Write `path`, whole or not at all."""
    saved = {
        "network": state.network.state_dict(),
        "average": state.average,
        "optimisers": [optimiser.state_dict() for optimiser in state.optimisers],
        "helpers": {name: helper.state_dict() for name, helper in state.helpers.items()},
        "step": state.step,
        "seconds": state.seconds,
        "curve": state.curve,
        "config": json.dumps(asdict(config)),
    }
    with published(path) as part:
        torch.save(saved, part)


def load_state(path: Path, state: RunState) -> None:
    """Put a saved run into `state`.

    Raises:
        BadInput: the file is not a checkpoint of this network.
    """
    saved = read_checkpoint(path)
    try:
        state.network.load_state_dict(saved["network"])
        for optimiser, kept in zip(state.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        for name, helper in state.helpers.items():
            helper.load_state_dict(saved["helpers"][name])
    except KeyError as error:
        raise BadInput(
            f"{path.name} was saved without its {error}", hint=f"train without {option('resume', True)}"
        ) from error
    except (RuntimeError, ValueError) as error:
        raise BadInput(
            f"{path.name} belongs to another recipe: {error}", hint=f"train without {option('resume', True)}"
        ) from error
    device = next(iter(state.average.values())).device
    state.average = {name: value.to(device) for name, value in saved["average"].items()}
    state.step, state.seconds = saved["step"], saved["seconds"]
    state.curve = [tuple(point) for point in saved.get("curve", [])]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The raw contents of a checkpoint.

    Raises:
        BadInput: missing, damaged, or not ours.
    """
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises a dozen kinds for a damaged file, struct.error among them
        raise BadInput(f"cannot read checkpoint {path}: {error}", hint="give a .pt file of srkit train") from error
    if not isinstance(saved, dict) or "average" not in saved or "config" not in saved:
        raise BadInput(f"{path} is not a checkpoint of srkit train")
    return saved
