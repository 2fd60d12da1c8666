"""`--device`: which NVIDIA GPU a command computes on."""

from __future__ import annotations

import click


def _number(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
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
    callback=_number,
    help="The NVIDIA GPU to use, numbered as srkit doctor shows; auto is the first.",
)
