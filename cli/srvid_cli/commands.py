"""The three programs as click knows them, for what is made from all of them: completion, man pages, the reference."""

from __future__ import annotations

from collections.abc import Iterator

import click


def load_commands() -> dict[str, click.Command]:
    """Program → its command."""
    from srvid_cli.srbatch import srbatch_command
    from srvid_cli.srkit import group
    from srvid_cli.srvid import srvid_command

    return {"srvid": srvid_command, "srbatch": srbatch_command, "srkit": group}


def walk_commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """(full name, command, its context) of every program and subcommand, in the order of help."""
    for name, command in load_commands().items():
        yield from _walk(name, command, None)


def _walk(
    name: str, command: click.Command, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent)
    yield name, command, context
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            yield from _walk(f"{name} {sub}", found, context)
