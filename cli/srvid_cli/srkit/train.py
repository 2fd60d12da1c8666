"""srkit train: make a model from a recipe."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import click

from sr_core.wording import count_of, option

if TYPE_CHECKING:
    from sr_train.loop import Progress
    from srvid_cli.progress import ProgressLine


_AGAIN = f"{option('resume', True)} goes on from it, {option('overwrite', True)} begins anew"

_SHARE_TO_BELIEVE = 0.02  # of the training, before the time left is shown


def _list_recipes(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from sr_train.recipes import recipe_names

        click.echo("\n".join(recipe_names()))
        ctx.exit()


@click.command()
@click.argument("recipe", type=click.Path())
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False),
    help="A folder of pictures, or of the recipe's own folders. Default: the recipe's [data] root.",
)
@click.option("--out", type=click.Path(file_okay=False), default="runs", show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of the same recipe.")
@click.option("--overwrite", is_flag=True, help="Begin anew, over what an earlier run of the recipe has left.")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_recipes,
    help="Name the recipes, and stop.",
)
@click.option("--show", is_flag=True, help="Print the recipe, to change and to give back as a file, and stop.")
@click.option("--no-export", is_flag=True, help="Stop after the checkpoint; write no .onnx file.")
def command(
    recipe: str, data: str | None, out: str, resume: bool, overwrite: bool, show: bool, no_export: bool
) -> None:
    """Train a model as RECIPE says: a name that --list shows, or a TOML file.

    Any folder of sharp pictures will do as --data: one in ten is held out to measure on. Writes
    OUT/RECIPE/NAME.pt every two minutes and at the end, then NAME.onnx, which `--model` takes
    everywhere, and a picture of the curves.

    \b
    srkit train clear-x4 --data ~/Pictures
    srkit train clear-x4 --data ~/Pictures --resume
    srkit train clear-x4 --show > mine.toml
    srkit train mine.toml --data ~/Pictures
    """
    from pathlib import Path

    from sr_train.recipes import adapt, find_recipe

    place = find_recipe(recipe)
    if show:
        click.echo(place.read_text(encoding="utf-8"), nl=False)
        return

    from sr_core.errors import NotAvailable, OutputExists
    from sr_core.storage import cache_dir
    from srvid_cli.outputs import check_output
    from srvid_cli.progress import ProgressLine

    try:
        from sr_train.config import read_config
        from sr_train.curves import draw_curves
        from sr_train.loop import run_training
        from sr_train.shipping import ship_checkpoint
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise NotAvailable("training needs torch", hint="pip install 'srvid[train]'") from error

    folder = Path(out) / place.stem
    config = read_config(place)
    config, root, notes = adapt(config, Path(data) if data else Path(config.data.root), folder)
    outputs = [folder / f"{config.model.name}.pt", *([] if no_export else [folder / f"{config.model.name}.onnx"])]
    for path in () if resume else outputs:
        try:
            check_output(path, overwrite=overwrite)
        except OutputExists as error:
            raise OutputExists(f"{path} is there from an earlier run", hint=_AGAIN) from error
    line = ProgressLine()
    for note in notes:
        line.say(f"note: {note}")
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # "No CUDA runtime is found": we know
    optim = config.optim
    line.say(
        f"{count_of(optim.steps, 'step')} of training" if optim.steps else f"{optim.minutes:g} minutes of training"
    )
    line.phase("compiling the network and reading pictures" if optim.compiled else "reading pictures")
    try:
        checkpoint = run_training(
            config, out=folder, cache=cache_dir("train"), data_root=root, resume=resume, report=_Report(line)
        )
    finally:
        line.clear()
    draw_curves(checkpoint, folder / "curves.png")
    click.echo(f"wrote {checkpoint} and {folder / 'curves.png'}")
    if not no_export:
        target = folder / f"{config.model.name}.onnx"
        spec = ship_checkpoint(checkpoint, target, data_root=root, sets=(str(root / config.data.validate),))
        click.echo(f"wrote {target}: {', '.join(f'{value:.2f} dB' for value in spec.psnr_y.values())}")


class _Report:
    """What a training says: a line that renews itself, and one of its own for every measurement."""

    def __init__(self, line: ProgressLine) -> None:
        self._line = line

    def __call__(self, progress: Progress) -> None:
        from srvid_cli.progress import Status

        share = progress.share_done
        measured = () if math.isnan(progress.psnr_y) else (f"PSNR {progress.psnr_y:.2f} dB",)
        status = Status(
            share=share,
            # the first step waits for the compiler, which says nothing of those to come
            seconds_left=progress.seconds * (1 / share - 1) if share >= _SHARE_TO_BELIEVE else None,
            details=(f"step {progress.step}", *measured, f"loss {progress.loss:.5f}"),
        )
        if progress.measured:
            self._line.say(status.text())
        else:
            self._line.show(status)
