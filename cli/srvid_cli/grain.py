"""--grain, as every command takes it."""

from __future__ import annotations

from typing import Literal

import click

from srvid_cli.command import EVERYDAY, group_options


def grain_of(ctx: click.Context, param: click.Parameter, value: str) -> float | Literal["keep"]:
    """'keep', or a number from 0 to 1."""
    from sr_core.errors import BadInput
    from sr_core.grain import check_grain

    if value == "0":
        return 0.0  # the usual; spares the import
    try:
        return check_grain(value)
    except BadInput as error:
        raise click.BadParameter(error.message) from error


grain_option = group_options(
    EVERYDAY,
    "--grain",
    metavar="keep|0..1",
    default="0",
    show_default=True,
    callback=grain_of,
    help="Film grain over the result: so much, or as much as the input had and the model took away.",
)
