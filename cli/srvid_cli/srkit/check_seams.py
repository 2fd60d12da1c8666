"""srkit check-seams: what tiling changes, measured."""

from __future__ import annotations

import click

from sr_zoo.models import DEFAULT_MODEL


@click.command("check-seams")
@click.argument("picture", type=click.Path(exists=True, dir_okay=False))
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Shipped name, or a model file.")
@click.option("--scale", type=click.IntRange(1, 16), help="Default: the model's own, 4 for clear.")
@click.option("--tile", type=click.IntRange(16), multiple=True, help="Tile side to try; may be repeated.")
@click.option("--backend", default="auto", show_default=True)
@click.option("--precision", type=click.Choice(["auto", "exact", "fast"]), default="auto", show_default=True)
def command(picture: str, model: str, scale: int | None, tile: tuple[int, ...], backend: str, precision: str) -> None:
    """Upscale PICTURE whole and in tiles, and print max |tiled - whole| in 8-bit codes.

    0 means that no seam can exist. A model that sees the whole picture (global attention) cannot
    be tiled exactly; its tiles are blended, and this is how much that changes.

    \b
    srkit check-seams photo.png --model clear --scale 4 --tile 64 --tile 128
    """
    from pathlib import Path

    import numpy as np

    from sr_core.color import FULL_RANGE_RGB
    from sr_core.difference import difference
    from sr_core.errors import BadInput
    from sr_core.frame import rgb
    from sr_core.upscaler import Upscaler
    from srvid.front_door import choose_backend, resolve_model
    from srvid_cli.srkit.compare import image_in

    image = image_in(Path(picture))
    if image is None:
        raise BadInput(f"{picture} is not an image", hint="give a photo; of a video, save a frame as PNG first")
    pixels, sides = np.asarray(image), tile or (64, 96, 160)
    if max(image.size) <= min(sides):
        raise BadInput(
            f"{picture} is {image.width}x{image.height}, which is one tile of {min(sides)}: there is no seam to check",
            hint="give a larger picture" + (", or a smaller --tile" if min(sides) > 16 else ""),
        )
    proto, spec = resolve_model(model, scale=scale)
    opened, fmt = choose_backend(backend), rgb(packed=True)

    def upscaled(side: int) -> tuple[np.ndarray, int | None]:
        with Upscaler(proto, spec, opened, tile=side, precision=precision) as upscaler:  # type: ignore[arg-type]
            return upscaler.planes((pixels,), fmt, FULL_RANGE_RGB)[0], upscaler.halo_px

    whole, halo = upscaled(max(pixels.shape[:2]) + 8)
    click.echo(f"{spec.name} on {opened.name} ({opened.device}), {pixels.shape[1]}x{pixels.shape[0]}")
    click.echo(f"halo {halo} px, exact tiles" if halo is not None else "unbounded reach, blended tiles")
    for side in sides:
        tiled, _ = upscaled(side)
        found = difference(tiled.astype(np.int16), whole.astype(np.int16), peak=255)
        click.echo(f"tile {side:4d}: {found}")
