"""srkit train: make a model from a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sr_train.loop import Progress


@click.command()
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False))
@click.option("--data", type=click.Path(exists=True, file_okay=False), help="Replaces [data] root.")
@click.option("--out", type=click.Path(file_okay=False), default="runs", show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of the same recipe.")
@click.option("--no-export", is_flag=True, help="Stop after the checkpoint; write no .onnx file.")
def command(recipe: str, data: str | None, out: str, resume: bool, no_export: bool) -> None:
    """Train a model as RECIPE (a TOML file, see configs/) says.

    Writes OUT/RECIPE/NAME.pt every two minutes and at the end, then NAME.onnx, which `--model`
    takes everywhere, and a picture of the curves.

    \b
    srkit train configs/fsrcnn-x3.toml
    srkit train configs/clear-x4.toml --data ~/pictures --resume
    """
    from pathlib import Path

    from sr_core.errors import NotAvailable
    from sr_core.storage import cache_dir

    try:
        from sr_train.config import read_config
        from sr_train.curves import draw_curves
        from sr_train.loop import run_training
        from sr_train.shipping import ship_checkpoint
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise NotAvailable("training needs torch", hint="pip install 'srvid[train]'") from error

    config = read_config(Path(recipe))
    folder = Path(out) / Path(recipe).stem
    root = Path(data) if data else Path(config.data.root)
    checkpoint = run_training(config, out=folder, cache=cache_dir("train"), data_root=root, resume=resume, report=_show)
    draw_curves(checkpoint, folder / "curves.png")
    click.echo(f"wrote {checkpoint} and {folder / 'curves.png'}")
    if not no_export:
        target = folder / f"{config.model.name}.onnx"
        spec = ship_checkpoint(checkpoint, target, data_root=root, sets=(str(root / config.data.validate),))
        click.echo(f"wrote {target}: {', '.join(f'{value:.2f} dB' for value in spec.psnr_y.values())}")


def _show(progress: Progress) -> None:
    """A line that renews itself every second on a terminal; elsewhere one line a measurement."""
    import sys

    remaining = progress.seconds * (1 / max(progress.share_done, 1e-6) - 1)
    filled = round(20 * min(progress.share_done, 1.0))
    line = (
        f"[{'#' * filled}{'-' * (20 - filled)}] {progress.share_done:4.0%}  step {progress.step}  "
        f"loss {progress.loss:.5f}  PSNR {progress.psnr_y:.2f} dB  {remaining / 60:.1f} min to go"
    )
    if sys.stderr.isatty():
        click.echo(f"\r{line} ", nl=progress.measured, err=True)
    elif progress.measured:
        click.echo(line, err=True)
