"""srkit completion: what a shell needs to complete our commands."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print what makes SHELL complete srvid, srbatch and srkit.

    \b
    srkit completion bash >> ~/.bashrc
    srkit completion zsh >> ~/.zshrc
    srkit completion fish > ~/.config/fish/completions/srvid.fish
    """
    from click.shell_completion import get_completion_class

    from srvid_cli.commands import load_commands

    kind = get_completion_class(shell)
    assert kind is not None
    for name, program in load_commands().items():
        click.echo(kind(program, {}, name, f"_{name.upper()}_COMPLETE").source())
