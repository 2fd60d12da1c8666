"""srkit: everything around the daily work. One file a subcommand, each loaded when it is called.

bench        srkit bench: how fast this machine is
build        srkit build: compile models to FP16 TensorRT engines, ahead of time
check_seams  srkit check-seams: what tiling changes, measured
compare      srkit compare: before and after, as a picture or a page
doctor       srkit doctor: what works on this machine
engines      srkit engines: what compiled engines are here, why one is not used, and deleting them
eval         srkit eval: measure models as the papers do
jobs         `srkit jobs`: unfinished runs of srvid, and how far they are
models       srkit models: what is shipped, what is in a file, and your own weights
quantize     srkit quantize: make models ready for INT8
plug         srkit plug: install, uninstall, doctor
serve        srkit serve: the worker behind the plug-ins
train        srkit train: make a model from a recipe
completion   srkit completion: what a shell needs to complete our commands
ui           srkit ui: the page in the browser
watch        srkit watch: upscale what arrives in a folder
man          srkit man: manual pages, made from what --help says
quantize     srkit quantize: make a model ready for INT8
ui           srkit ui: the page in the browser
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

import click

from sr_core.wording import closest
from srvid_cli.errors import run_command
from srvid_cli.version import version_option

# name -> (module, one line of help). The module's click command is called `command`.
COMMANDS: dict[str, tuple[str, str]] = {
    "models": ("srvid_cli.srkit.models", "List, describe and import models."),
    "eval": ("srvid_cli.srkit.eval", "Measure models by the papers' protocol."),
    "train": ("srvid_cli.srkit.train", "Train a network as a recipe says."),
    "engines": ("srvid_cli.srkit.engines", "Explain the engine cache: list, why, prune."),
    "build": ("srvid_cli.srkit.build", "Compile models into FP16 TensorRT engines."),
    "bench": ("srvid_cli.srkit.bench", "Print how many frames a second this machine upscales."),
    "check-seams": ("srvid_cli.srkit.check_seams", "Measure what tiling changes for a model on a picture."),
    "completion": ("srvid_cli.srkit.completion", "Print what makes a shell complete the commands."),
    "man": ("srvid_cli.srkit.man", "Write manual pages."),
    "compare": ("srvid_cli.srkit.compare", "Write before and after as a page with a slider, or as a picture."),
    "doctor": (
        "srvid_cli.srkit.doctor",
        "Say what of srvid works on this machine, and why the rest does not.",
    ),
    "jobs": ("srvid_cli.srkit.jobs", "List unfinished runs of srvid, and what of them can be watched."),
    "plug": ("srvid_cli.srkit.plug", "Put srvid into GIMP, Krita and ComfyUI, or take it out."),
    "ui": ("srvid_cli.srkit.ui", "Open a page in the browser: look, choose, queue, run."),
    "watch": ("srvid_cli.srkit.watch", "Upscale every video and image that arrives in a folder."),
    "quantize": ("srvid_cli.srkit.quantize", "Make models ready for INT8, and measure what it costs."),
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}: {closest(args[0], COMMANDS)}srkit --help lists them all")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@version_option
def group() -> None:
    """Models, engines, training, measuring: everything around srvid and srbatch."""


def main() -> None:
    """Entry point of the `srkit` command."""
    run_command(group, "srkit")
