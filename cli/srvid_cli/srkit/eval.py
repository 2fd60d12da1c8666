"""srkit eval: measure models as the papers do."""

from __future__ import annotations

import click


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--set", "sets", multiple=True, default=("set5",), show_default=True, help="set5, set14, b100, DIR.")
@click.option("--scale", type=click.IntRange(2, 4), help="For 'bicubic', or a name without -xN.")
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False), help="The folder that holds eval/Set5 and the others."
)
@click.option("--self-ensemble", is_flag=True, help="Average eight flips and turns: better, 8 times slower.")
@click.option("--report", type=click.Path(file_okay=False), help="Write CSV, JSON, Markdown and a plot here.")
@click.option("--overwrite", is_flag=True, help="Replace a report that is there.")
@click.option("--crops", is_flag=True, help="With --report: crops side by side as PNG.")
def command(
    models: tuple[str, ...],
    sets: tuple[str, ...],
    scale: int | None,
    data: str | None,
    self_ensemble: bool,
    report: str | None,
    overwrite: bool,
    crops: bool,
) -> None:
    """Print PSNR and SSIM (Y) of MODELS on the papers' test sets, beside what was published.

    MODELS are shipped names, files, 'bicubic' (with --scale) or 'all'. 'all' ends with the figures that the
    authors of the other networks published.

    \b
    srkit eval clear-x4 --set ~/Pictures/sharp
    srkit eval clear-x4 fsrcnn-x4 --data sets --set set5 --set set14
    srkit eval all --set set5 --report out/table
    """
    from importlib.util import find_spec
    from pathlib import Path

    from sr_core.errors import NotAvailable
    from sr_core.model_spec import MODEL_SUFFIXES
    from sr_train.config import DataConfig
    from sr_train.evaluation import evaluate
    from sr_train.published import published_rows
    from sr_train.report import REPORT_FILES, CropSheet, markdown_table, published_table, write_report
    from sr_zoo.importing import imported_model
    from sr_zoo.models import find_model, shipped_models
    from srvid_cli.outputs import check_output

    if "all" in models and find_spec("torch") is None:  # asked before the hour that measuring takes
        raise NotAvailable("'all' counts the published networks' cost with torch", hint="pip install 'srvid[train]'")
    if report:
        for name in REPORT_FILES:
            check_output(Path(report, name), overwrite=overwrite)
    root = Path(data) if data else Path(DataConfig.root)
    jobs: list[tuple[Path | str, int | None]] = []
    for name in models:
        if name == "all":
            shipped = shipped_models()
            jobs += [("bicubic", known) for known in sorted({model.spec.scale for model in shipped})]
            jobs += [(model.path, None) for model in shipped]
        elif name == "bicubic":
            jobs += [("bicubic", wanted) for wanted in ((scale,) if scale else (2, 3, 4))]
        elif name.lower().endswith(MODEL_SUFFIXES):
            jobs.append((imported_model(Path(name)), None))
        else:
            jobs.append((find_model(name, scale=scale), None))
    sheet = CropSheet() if crops and report else None
    results = []
    for model, wanted in jobs:
        results += evaluate(
            model,
            sets=sets,
            data_root=root,
            scale=wanted,
            self_ensemble=self_ensemble,
            keep=sheet.keep if sheet and model != "bicubic" else None,  # bicubic has its column anyway
        )
        for line in markdown_table(results[-len(sets) :], header=len(results) == len(sets)):
            click.echo(line)
    published = []
    if "all" in models:
        ours = {(one.model.removesuffix(f"-x{one.scale}"), one.scale) for one in results}
        for row in published_rows(sets, without=ours):
            published.append(row)
            click.echo(next(published_table([row])))
    if report:
        for path in write_report(results, published, Path(report), sheet):
            click.echo(f"wrote {path}")
