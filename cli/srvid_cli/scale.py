"""The option --scale: any factor from 1 up; left out, the model's own."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import click

from srvid_cli.command import EVERYDAY, group_options


class ScaleFactor(click.ParamType[Fraction]):
    """A number such as 2, 1.5 or 3/2, as a Fraction."""

    name = "factor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """Parse what the user typed."""
        if isinstance(value, Fraction):
            return value
        text = str(value).lower().removesuffix("x").removeprefix("x")
        try:
            factor = Fraction(text)
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is not a factor, such as 2 or 1.5", param, ctx)
        if not 1 <= factor <= 16:
            self.fail(f"{value} is not from 1 to 16", param, ctx)
        return factor


def scale_option[Command: Callable[..., object]](command: Command) -> Command:
    """Decorate `command` with --scale."""
    return group_options(
        EVERYDAY,
        "--scale",
        type=ScaleFactor(),
        metavar="FACTOR",
        help="Such as 2 or 1.5; what the model does not give is resized down. Default: the model's own, 4 for clear.",
    )(command)
