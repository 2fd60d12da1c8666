"""Drawn scenes from a seed: line art and cel shading, whose truth is as sharp as a renderer makes it.

    palette ─ background ─ cels (flat tone, hard shadow, contour) ─ eyes, hair, screens, lines, text ─ SVG ─ resvg ─ RGB

A scene depends on its generator alone, but for the fonts that are installed and resvg's version. It shows no objects,
only what objects are drawn with: a network that sees 18 pixels learns lines and flats, not faces. Some are black and
white, as manga is; some have a blurred background, so that what is soft on purpose stays soft.
"""

import colorsys
import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from PIL import Image

from sr_core.errors import NotAvailable
from sr_train import strokes
from sr_train.strokes import Points, number

FORMAT = 1  # raise when the same seed draws something else
SIDE_PX = 640
LINE_PX = (1.0, 7.0)  # the usual line's width in a scene


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Flat tones with the tone of each in shadow, the ink and the paper: '#rrggbb'."""

    tones: tuple[tuple[str, str], ...]
    ink: str
    paper: str


def renderer() -> Callable[..., bytes]:
    """SVG text (`svg_string`) to a PNG file.

    Raises:
        NotAvailable: resvg is not installed.
    """
    try:
        from resvg_py import svg_to_bytes
    except ModuleNotFoundError as error:
        raise NotAvailable("drawn scenes need resvg-py", hint="pip install 'srvid[train]'") from error
    render: Callable[..., bytes] = svg_to_bytes
    return render


def draw_scene(rng: Generator) -> Image.Image:
    """An RGB picture of `SIDE_PX` x `SIDE_PX`."""
    return Image.open(io.BytesIO(renderer()(svg_string=scene_svg(rng)))).convert("RGB")


def scene_svg(rng: Generator) -> str:
    """The scene as SVG."""
    palette, side = _palette(rng), float(SIDE_PX)
    width = float(np.exp(rng.uniform(*np.log(LINE_PX))))
    parts = [_background(palette, rng)]
    for layer in range(int(rng.integers(3, 10))):
        parts.append(_cel(f"cel{layer}", palette, width, rng))
    pieces = (
        lambda index: strokes.hair(width, side, palette.ink, _tone(palette, rng)[0], rng),
        lambda index: _eye(palette, rng),
        lambda index: strokes.speed_lines(width, side, palette.ink, rng),
        lambda index: strokes.lattice(width * rng.uniform(0.5, 1.2), side, palette.ink, rng),
        lambda index: strokes.screen(f"screen{index}", _shape(rng), palette.ink, rng),
        lambda index: strokes.loose_line(width, side, palette.ink, rng),
        lambda index: strokes.lettering(side, palette.ink, palette.paper, rng),
    )
    shares = (0.20, 0.16, 0.05, 0.05, 0.10, 0.30, 0.14)
    parts += [pieces[int(rng.choice(len(pieces), p=shares))](index) for index in range(int(rng.integers(6, 22)))]
    size = f'width="{SIDE_PX}" height="{SIDE_PX}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def _palette(rng: Generator) -> Palette:
    if rng.random() < 0.18:
        grays = [f"#{code:02x}{code:02x}{code:02x}" for code in (255, 255, 236, 214, 180, 130, 70)]
        return Palette(tones=tuple(pairwise(grays)), ink="#101010", paper="#ffffff")
    hue, vivid = rng.random(), rng.uniform(0.3, 1.0)
    tones = []
    for _ in range(6):
        h, s, v = hue + rng.normal(0, 0.18), vivid * rng.uniform(0.2, 1), rng.uniform(0.35, 1)
        tones.append((_hex(h, s, v), _hex(h + 0.04, min(1, s * 1.25), v * rng.uniform(0.55, 0.85))))
    ink = _hex(hue, rng.uniform(0, 0.7), rng.uniform(0, 0.3) if rng.random() < 0.9 else rng.uniform(0.5, 1))
    return Palette(tones=tuple(tones), ink=ink, paper=_hex(hue, rng.uniform(0, 0.1), rng.uniform(0.92, 1)))


def _hex(hue: float, saturation: float, value: float) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _tone(palette: Palette, rng: Generator) -> tuple[str, str]:
    return palette.tones[int(rng.integers(len(palette.tones)))]


def _shape(rng: Generator) -> Points:
    radius = SIDE_PX * rng.uniform(0.06, 0.35)
    return strokes.blob(rng.uniform(0, SIDE_PX, 2), radius, rng)


def _background(palette: Palette, rng: Generator) -> str:
    """Flat, a gradient, or blobs out of focus."""
    (first, second), kind = _tone(palette, rng), rng.random()
    sheet = f'<rect width="{SIDE_PX}" height="{SIDE_PX}" fill="{{}}"/>'
    if kind < 0.35:
        return sheet.format(palette.paper if rng.random() < 0.5 else first)
    turn = f"rotate({number(rng.uniform(0, 360))} .5 .5)"
    stops = f'<stop offset="0" stop-color="{first}"/><stop offset="1" stop-color="{second}"/>'
    drawn = f'<linearGradient id="sky" gradientTransform="{turn}">{stops}</linearGradient>' + sheet.format("url(#sky)")
    if kind < 0.7:
        return drawn
    blur = f'<filter id="far"><feGaussianBlur stdDeviation="{number(rng.uniform(2, 14))}"/></filter>'
    far = "".join(strokes.path(_shape(rng), _tone(palette, rng)[0]) for _ in range(int(rng.integers(4, 14))))
    return f'{drawn}{blur}<g filter="url(#far)">{far}</g>'


def _cel(name: str, palette: Palette, width: float, rng: Generator) -> str:
    """A flat shape with a hard shadow, perhaps a light, and a contour."""
    outline, (light, shade) = _shape(rng), _tone(palette, rng)
    center, drawn = outline.mean(axis=0), [strokes.path(outline, light)]
    inside = f'clip-path="url(#{name})"'
    drawn.append(f'<clipPath id="{name}">{strokes.path(outline, "#000")}</clipPath>')
    for color, chance in ((shade, 0.8), ("#ffffff", 0.25)):
        if rng.random() < chance:
            reach = float(np.abs(outline - center).max())
            away = center + rng.normal(0, reach * 0.6, 2)
            drawn.append(strokes.path(strokes.blob(away, reach * rng.uniform(0.2, 0.9), rng), color, inside))
    if rng.random() < 0.85:
        drawn.append(strokes.closed_line(outline, width * rng.uniform(0.7, 1.5), palette.ink, rng))
    return "".join(drawn)


def _eye(palette: Palette, rng: Generator) -> str:
    radius = np.exp(rng.uniform(np.log(7), np.log(60)))
    return strokes.eye(rng.uniform(0, SIDE_PX, 2), radius, palette.ink, _tone(palette, rng)[::-1], rng)
