"""srkit models: what is shipped, what is in a file, and your own weights."""

from __future__ import annotations

import click


@click.group()
def command() -> None:
    """List the shipped models, show what a model is, or import your own weights.

    \b
    srkit models list
    srkit models info clear-x4
    srkit models import 4x_MyModel.safetensors
    """


@command.command("list")
def list_models() -> None:
    """List the models that come with srvid."""
    from sr_zoo.models import shipped_models

    click.echo(f"{'name':18} {'scale':>5} {'colour':>6} {'halo':>5} {'KiB':>6}   Y PSNR in dB")
    for model in shipped_models():
        spec = model.spec
        measured = "  ".join(f"{name} {value:.2f}" for name, value in sorted(spec.psnr_y.items()))
        size_kib = model.path.stat().st_size / 1024
        click.echo(
            f"{spec.name:18} {f'x{spec.scale}':>5} {spec.colour:>6} {spec.halo_px!s:>5} {size_kib:6.0f}   {measured}"
        )


@command.command("info")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print the ModelSpec as JSON.")
def show_model(model: str, as_json: bool) -> None:
    """Show what MODEL is: a shipped name, or a file."""
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
@click.option("-o", "--out", type=click.Path(dir_okay=False), help="Also copy the converted model here.")
def import_model(file: str, out: str | None) -> None:
    """Convert FILE (.onnx, .safetensors, .pth) to a model srvid runs, and check it.

    The same happens by itself wherever --model is given a file; this only shows the result.
    """
    from pathlib import Path

    from sr_core.errors import OutputExists
    from sr_core.model_spec import load_model, read_spec
    from sr_core.storage import write_atomically
    from sr_zoo.importing import imported_model
    from srvid.front_door import SCALES

    converted = imported_model(Path(file))
    spec = read_spec(converted)
    if out is not None:
        if Path(out).exists():
            raise OutputExists(f"{out} is already there", hint="choose another name for --out")
        write_atomically(Path(out), load_model(converted).SerializeToString())  # weights beside it included
    halo = "unbounded, tiles are blended" if spec.halo_px is None else f"{spec.halo_px} px, tiles are exact"
    click.echo(f"{spec.name}: x{spec.scale}, {spec.colour}, halo {halo}")
    click.echo(f"{spec.training}; kept as {out or converted}")
    if spec.scale in SCALES:
        click.echo(f"use it: srvid in.mp4 out.mp4 --scale {spec.scale} --model {file}")
    else:
        click.echo(f"use it from Python: srvid.open_upscaler({file!r}, scale={spec.scale})")
