"""The options that say which network runs, and on what: the same for video and images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import click

from sr_zoo.models import DEFAULT_MODEL
from srvid_cli.command import ENGINE, EVERYDAY, group_options
from srvid_cli.device import device_name

if TYPE_CHECKING:
    from sr_core.backend import Precision

_OPTIONS = (
    group_options(
        EVERYDAY,
        "--model",
        default=DEFAULT_MODEL,
        show_default=True,
        help="Name of a model, a model file, or several after each other: clean.pth,clear.",
    ),
    group_options(
        EVERYDAY,
        "--strength",
        type=click.FloatRange(0.0, 1.0),
        default=1.0,
        show_default=True,
        help="How much of the model; the rest is made by clear, which changes nothing but the size.",
    ),
    group_options(
        EVERYDAY,
        "--sharpen",
        type=click.FloatRange(0.0, 1.0),
        default=0.0,
        show_default=True,
        help="How much to sharpen the result: crisper edges, small halos, colours as they are.",
    ),
    group_options(
        ENGINE,
        "--backend",
        default="auto",
        show_default=True,
        help="auto, openvino, webgpu, onnxruntime, tensorrt or tensorrt_rtx.",
    ),
    group_options(
        ENGINE,
        "--precision",
        type=click.Choice(["auto", "exact", "fast"]),
        default="auto",
        show_default=True,
        help="auto is checked against FP32; exact is FP32 throughout.",
    ),
    group_options(
        ENGINE, "--tile", type=click.IntRange(16), help="Side of a tile in input pixels. Default: fits the frame."
    ),
    group_options(ENGINE, "--threads", type=click.IntRange(1), help="CPU threads for the network. Default: all."),
    group_options(
        ENGINE, "--self-ensemble", is_flag=True, help="Average eight flips and turns: a little better, 8 times slower."
    ),
    group_options(
        ENGINE,
        "--device",
        metavar="N|GPU.N|NPU",
        default="auto",
        show_default=True,
        callback=device_name,
        help="The GPU to use: a number of srkit doctor's for NVIDIA, GPU.0 or NPU for Intel. auto measures.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What the user said of the engine; see `srvid.open_upscaler`."""

    model: str
    backend: str
    precision: Precision
    tile: int | None
    threads: int | None
    strength: float
    sharpen: float
    self_ensemble: bool
    device: int | str | None

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> Self:
        """Take our own values out of a command's `given` ones; a model of the catalogue is asked for, if need be."""
        if str(given.get("model", "")).find(":") > 0:
            from srvid_cli.getting import offer

            given["model"] = offer(given["model"])
        return cls(**{field.name: given.pop(field.name) for field in fields(cls)})

    def scales(self, wanted: Fraction | None, *, is_remote: bool = False) -> tuple[Fraction, tuple[int, ...]]:
        """(output over input, what the engine can be opened at); opens a model's file to find out.

        Args:
            is_remote: the model may only lie on other machines; a whole `wanted` is then believed.
        """
        from sr_core.errors import BadInput, NotAvailable
        from srvid.recipe import EngineRecipe

        try:
            return EngineRecipe(model=self.model).scales(wanted)
        except (BadInput, NotAvailable):
            if not is_remote or wanted is None or wanted.denominator != 1:
                raise
            return wanted, (int(wanted),)


def engine_options[Command: Callable[..., object]](command: Command) -> Command:
    """Decorate `command` with --model, --strength, --backend and the other options above."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
