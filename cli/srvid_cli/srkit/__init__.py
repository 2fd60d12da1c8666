"""srkit: everything around the daily work. One file a subcommand, each loaded when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import cast

import click

from srvid_cli.errors import run_command

# name -> (module, one line of help). The module's click command is called `command`.
COMMANDS: dict[str, tuple[str, str]] = {
    "models": ("srvid_cli.srkit.models", "List, describe and import models."),
    "eval": ("srvid_cli.srkit.eval", "Measure models by the papers' protocol."),
    "train": ("srvid_cli.srkit.train", "Train a network as a recipe says."),
    "engines": ("srvid_cli.srkit.engines", "Explain the engine cache: list, why, prune."),
    "build": ("srvid_cli.srkit.build", "Compile models into FP16 TensorRT engines."),
    "bench": ("srvid_cli.srkit.bench", "Print how many frames a second this machine upscales."),
    "check-seams": ("srvid_cli.srkit.check_seams", "Measure what tiling changes for a model on a picture."),
    "compare": ("srvid_cli.srkit.compare", "Write a before/after picture of two images or videos."),
    "doctor": (
        "srvid_cli.srkit.doctor",
        "Say what of srvid works on this machine, and why the rest does not.",
    ),
    "jobs": ("srvid_cli.srkit.jobs", "List unfinished runs of srvid, and what of them can be watched."),
    "plug": ("srvid_cli.srkit.plug", "Put srvid into GIMP, Krita and ComfyUI, or take it out."),
    "serve": ("srvid_cli.srkit.serve", "Run the worker that the plug-ins of image tools talk to."),
}


class _LazyGroup(click.Group):
    """A group whose help needs no subcommand to be imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return cast(click.Command, import_module(COMMANDS[cmd_name][0]).command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="srvid", prog_name="srkit")
def group() -> None:
    """Models, engines, training, measuring: everything around srvid and srbatch."""


def main() -> None:
    """Entry point of the `srkit` command."""
    run_command(group, "srkit")
