"""`--device`: which GPU a command computes on."""

from __future__ import annotations

import click


def device_name(ctx: click.Context, param: click.Parameter, value: str) -> int | str | None:
    """A number, OpenVINO's name of a device, or None for 'auto'."""
    if value.partition(".")[0].upper() in ("GPU", "NPU"):
        return value.upper()
    return device_number(ctx, param, value)


def device_number(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    """None for 'auto'."""
    if value == "auto":
        return None
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither auto nor the number of a GPU; srkit doctor lists them")
    return int(value)


device_option = click.option(
    "--device",
    metavar="N",
    default="auto",
    show_default=True,
    callback=device_number,
    help="The NVIDIA GPU to use, numbered as srkit doctor shows; auto is the first.",
)
