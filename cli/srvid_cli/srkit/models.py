"""srkit models: what is here, what is in a file, your own weights, and what others publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sr_zoo.models import NamedModel


@click.group()
def command() -> None:
    """List models, show what one is, import your own, or get one from OpenModelDB.

    \b
    srkit models list
    srkit models info clear-x4
    srkit models import 4x_MyModel.safetensors --name my-model --for "anime"
    srkit models search compact
    srkit models get 2x-AnimeJaNai-V2-Compact
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_models(as_json: bool) -> None:
    """List the models that have names, by what they are for."""
    import json
    from dataclasses import asdict

    from sr_zoo.models import named_models

    models = named_models()
    if as_json:
        for model in models:
            click.echo(json.dumps(asdict(model.spec) | {"for": model.purpose, "shipped": model.is_shipped}))
        return
    click.echo(
        f"{'name':20} {'scale':>5}  {'for':28} {'kMAC/px':>7} {'tiles':>7} {'KiB':>6}  {'licence':12} Y PSNR in dB"
    )
    for model in models:
        click.echo(_row(model))


def _row(model: NamedModel) -> str:
    spec = model.spec
    measured = "  ".join(f"{name} {value:.2f}" for name, value in sorted(spec.psnr_y.items()))
    tiles = "blended" if spec.halo_px is None else f"{spec.halo_px} px"
    size_kib = model.path.stat().st_size / 1024
    return (
        f"{spec.name:20} {f'x{spec.scale}':>5}  {(model.purpose or '-')[:28]:28} {_cost(model):>7} {tiles:>7} "
        f"{size_kib:6.0f}  {(spec.licence or 'not stated')[:12]:12} {measured}"
    ).rstrip()


def _cost(model: NamedModel) -> str:
    """Thousands of multiply-adds for an output pixel."""
    from sr_core.errors import BadModel
    from sr_core.model_spec import load_model
    from sr_zoo.cost import macs_per_output_pixel

    try:
        return f"{macs_per_output_pixel(load_model(model.path), model.spec) / 1000:.1f}"
    except BadModel:  # sizes that its graph computes for itself
        return "?"


@command.command("info")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print the ModelSpec as JSON.")
def show_model(model: str, as_json: bool) -> None:
    """Show what MODEL is: a name, a file, or a chain."""
    from dataclasses import asdict

    from srvid.front_door import resolve_model

    proto, spec = resolve_model(model)
    if as_json:
        click.echo(spec.to_json())
        return
    for name, value in asdict(spec).items():
        if name == "halo_px" and value is None:
            value = "unbounded: tiles are blended, not exact"
        elif name == "psnr_y":
            value = ", ".join(f"{key} {number:.2f} dB" for key, number in sorted(value.items()))
        lines = list(value) if isinstance(value, tuple | list) else [value]
        for index, line in enumerate(lines):
            click.echo(f"{name if index == 0 else '':14} {line}")
    click.echo(f"{'operators':14} {len(proto.graph.node)}")


@command.command("import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--name", help="Keep it under this name, to be used wherever a model is named.")
@click.option("--for", "purpose", default="", help="What it is for, in a few words; shown by list.")
@click.option("--licence", default="", help="Its licence; shown by list.")
@click.option("--backend", default="auto", show_default=True, help="Where one tile of it is tried.")
@click.option("--overwrite", is_flag=True, help="Replace the model of this name, and --out.")
@click.option("-o", "--out", type=click.Path(), help="Also write the converted model here.")
def import_model(
    file: str, name: str | None, purpose: str, licence: str, backend: str, overwrite: bool, out: str | None
) -> None:
    """Convert FILE (.onnx, .safetensors, .pth, .param) to a model srvid runs, and try it.

    The same happens by itself wherever --model is given a file; this shows the result, and can keep it
    under a name.
    """
    from pathlib import Path

    from sr_core.model_spec import load_model, read_spec
    from sr_core.storage import write_atomically
    from sr_zoo.importing import imported_model
    from sr_zoo.models import check_name
    from srvid.front_door import choose_backend
    from srvid.trial import try_once
    from srvid_cli.outputs import check_output

    if out is not None:
        check_output(Path(out), inputs=(Path(file),), overwrite=overwrite, endings=(".onnx",))
    if name is not None:
        check_name(name)
    converted = imported_model(Path(file))
    proto, spec = load_model(converted), read_spec(converted)
    opened = choose_backend(backend)
    psnr_db = try_once(proto, spec, opened)
    if out is not None:
        write_atomically(Path(out), proto.SerializeToString())  # weights beside it included
    kept = Path(out) if out is not None else converted
    if name is not None:
        from sr_zoo.library import keep_model

        kept = keep_model(converted, name, purpose=purpose, licence=licence, overwrite=overwrite)
    click.echo(f"{name or spec.name}: x{spec.scale}, {spec.color_space}, {_tiles(spec.halo_px, spec.fixed_size)}")
    click.echo(f"{spec.training}; kept as {kept}")
    if psnr_db is not None:
        near = "the same bytes" if psnr_db >= 999 else f"{psnr_db:.0f} dB"
        click.echo(f"one tile on {opened.name}: {near} against FP32")
    click.echo(f"use it: srvid in.mp4 out.mp4 --model {name or file}")


def _tiles(halo_px: int | None, fixed_size: tuple[int, int] | None) -> str:
    kind = "tiles are blended" if halo_px is None else f"halo {halo_px} px, tiles are exact"
    return kind if fixed_size is None else f"{kind}, of {fixed_size[0]}x{fixed_size[1]} each"


@command.command("remove")
@click.argument("name")
def remove_model(name: str) -> None:
    """Delete an imported model."""
    from sr_zoo.library import forget_model

    click.echo(f"deleted {forget_model(name)}")


@command.command("search")
@click.argument("words", nargs=-1)
@click.option("--refresh", is_flag=True, help="Fetch the list anew; it is kept for a day.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def search_models(words: tuple[str, ...], refresh: bool, as_json: bool) -> None:
    """Search OpenModelDB's public list (openmodeldb.info) for models that hold all WORDS.

    Names, tags, architectures, authors and licences are searched; 2x and x2 mean the scale.
    """
    import json
    from dataclasses import asdict

    from sr_zoo.catalogue import catalogue, search

    found = search(" ".join(words), catalogue(refresh=refresh))
    if as_json:
        for entry in found:
            click.echo(json.dumps(asdict(entry)))
        return
    for entry in found:
        click.echo(
            f"{entry.name:40} x{entry.scale:<2} {entry.architecture[:12]:12} {entry.licence[:16]:16} {entry.purpose}"
        )
    click.echo(f"{len(found)} found; srkit models get NAME" if found else "nothing found; fewer words find more")


@command.command("get")
@click.argument("model", metavar="NAME|URL")
@click.option("--name", help="Keep it under this name instead of its own.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask: the licence is accepted.")
def get_model(model: str, name: str | None, yes: bool) -> None:
    """Download a model of OpenModelDB, or of an address, check it, and keep it under its name.

    What it is, whose, and under which licence is shown first; nothing is fetched before you agree. A
    transfer that breaks off is gone on with by the same command.
    """
    from srvid_cli.getting import get_and_keep

    get_and_keep(model.removeprefix("openmodeldb:"), name=name, is_agreed=yes)
