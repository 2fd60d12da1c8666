"""Commands whose help shows examples first and options in groups, and that guess what was meant.

@click.command(cls=GroupedCommand, epilog=EXAMPLES)
@grouped("Output", "--codec", type=NearChoice([...]))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from sr_core.wording import closest

EVERYDAY, OUTPUT, ENGINE, MACHINES = "Everyday", "Output", "Engine", "Many machines"
_ORDER = (EVERYDAY, OUTPUT, ENGINE, MACHINES)


class GroupedOption(click.Option):
    """An option that knows under which heading help lists it."""

    def __init__(self, *args: Any, group: str = EVERYDAY, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


def group_options[Command: Callable[..., object]](
    group: str, *names: str, **attributes: Any
) -> Callable[[Command], Command]:
    """`click.option`, listed under `group`."""
    return click.option(*names, cls=GroupedOption, group=group, **attributes)


class GroupedCommand(click.Command):
    """Help in the order in which it is read: what it does, examples, options by group."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_epilog(ctx, formatter)
        self.format_options(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, rows in self.rows_by_group(ctx).items():
            with formatter.section(heading):
                formatter.write_dl(rows)

    def rows_by_group(self, ctx: click.Context) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Heading → (option, help) of each option that is not hidden; what has no heading comes last."""
        groups: dict[str, list[tuple[str, str]]] = {name: [] for name in (*_ORDER, "Other")}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "group", "Other"), []).append(record)
        return {heading: rows for heading, rows in groups.items() if rows}


class LongCommand(GroupedCommand):
    """A command whose end may take seconds: Ctrl-C is answered at once, in a line of its own."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error  # click itself would print an empty line


class NearChoice(click.Choice[str]):
    """A choice that takes other common names, and names what is most like a misspelt one.

    Args:
        also: other name → the choice it means.
    """

    def __init__(self, choices: Sequence[str], *, also: Mapping[str, str] | None = None) -> None:
        super().__init__(choices)
        self._also = dict(also or {})

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(self._also.get(str(value), value), param, ctx)
        except click.BadParameter as error:
            guess = closest(str(value), (*self.choices, *self._also))
            if not guess:
                raise
            raise click.BadParameter(f"{value!r}: {guess}{error.message}", ctx, param) from error
