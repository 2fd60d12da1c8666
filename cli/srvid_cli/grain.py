"""--grain, as every command takes it."""

from __future__ import annotations

from typing import Any, Literal

import click

from srvid_cli.command import EVERYDAY, group_options

GRAIN_METAVAR = "keep|0..1"


def grain_from(value: Any) -> float | Literal["keep"]:
    """'keep', or a number from 0 to 1.

    Raises:
        click.BadParameter: it is neither.
    """
    from sr_core.errors import BadInput
    from sr_core.grain import check_grain

    if value == 0:
        return 0.0  # the usual; spares the import
    try:
        return check_grain(value)
    except BadInput as error:
        raise click.BadParameter(error.message) from error


grain_option = group_options(
    EVERYDAY,
    "--grain",
    type=grain_from,
    metavar=GRAIN_METAVAR,
    default=0.0,
    show_default="0",
    help="Film grain over the result: so much, or as much as the input had and the model took away.",
)
