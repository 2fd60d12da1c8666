"""Drawn pictures, a new one for every draw: straight and curved edges, lines, windows, lettering, shaded flat color.

Photographs of 640 pixels hold few long edges, and those that `vivid` must draw straight are long. Nothing here is
anybody's: shapes, colors and letters come out of the generator (Pillow's own font).
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 480
FINER = 2  # times as large it is drawn, and reduced
R = Image.Resampling
Color = tuple[int, int, int]
LETTERS = "ABCDEFGHKLMNOPRSTUVXYZabcdefghiknoprstuvxyz0123456789"


def draw_shapes(rng: Generator) -> Image.Image:
    """An RGB picture of `SIDE` pixels a side."""
    side = SIDE * FINER
    picture = _shaded(Image.new("RGB", (side, side), _color(rng)), rng)
    kinds: tuple[Callable[[Image.Image, Generator], None], ...] = (_polygon, _blob, _line, _windows, _letters)
    for layer in range(3):
        for _ in range(int(rng.integers(3, 10))):
            kinds[int(rng.choice(len(kinds), p=(0.3, 0.2, 0.25, 0.15, 0.1)))](picture, rng)
        picture = _shaded(picture, rng)
        if layer == 0 and rng.random() < 0.4:  # what is far is out of focus
            picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(2, 8) * FINER))
    return picture.resize((SIDE, SIDE), R.BOX)


def _shaded(picture: Image.Image, rng: Generator) -> Image.Image:
    """Under uneven light."""
    light = rng.uniform(0.55, 1.3, (int(rng.integers(2, 5)), int(rng.integers(2, 5)))).astype(np.float32)
    full = np.asarray(Image.fromarray(light).resize(picture.size, R.BICUBIC))
    return Image.fromarray(np.clip(np.asarray(picture) * full[..., None], 0, 255).astype(np.uint8))


def _color(rng: Generator) -> Color:
    """Grays more often than strong colors, as in the world."""
    base = rng.uniform(10, 245)
    red, green, blue = np.clip(base + rng.normal(0, 1, 3) * rng.choice((4.0, 25.0, 80.0)), 0, 255).astype(int)
    return int(red), int(green), int(blue)


def _outline(rng: Generator) -> tuple[Color | None, int]:
    if rng.random() < 0.6:
        return None, 0
    dark = int(rng.integers(0, 60))
    return (dark, dark, dark), int(rng.integers(1, 5)) * FINER


def _close(picture: Image.Image, points: NDArray[np.floating], rng: Generator) -> None:
    """A filled shape, a third of them with an outline."""
    corners = [(float(x), float(y)) for x, y in points]
    outline, width = _outline(rng)
    pen = ImageDraw.Draw(picture)
    pen.polygon(corners, fill=_color(rng))
    if outline is not None:
        pen.line([*corners, corners[0], corners[1]], fill=outline, width=width, joint="curve")


def _around(rng: Generator, side: int, count: int) -> tuple[NDArray[np.floating], NDArray[np.floating], float]:
    """A place, `count` directions and a size."""
    return rng.uniform(0, side, 2), np.sort(rng.uniform(0, 2 * np.pi, count)), float(rng.uniform(0.05, 0.5) * side)


def _polygon(picture: Image.Image, rng: Generator) -> None:
    center, angles, size = _around(rng, picture.width, int(rng.integers(3, 7)))
    _close(picture, center + size * np.stack([np.cos(angles), np.sin(angles)], axis=1), rng)


def _blob(picture: Image.Image, rng: Generator) -> None:
    center, _, size = _around(rng, picture.width, 1)
    angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    waves = sum(rng.normal(0, 0.25 / k) * np.cos(k * angles + rng.uniform(0, 6.3)) for k in range(1, 5))
    radius = size * np.maximum(0.2, 1 + waves)
    _close(picture, center + radius[:, None] * np.stack([np.cos(angles), rng.uniform(0.3, 1) * np.sin(angles)], 1), rng)


def _line(picture: Image.Image, rng: Generator) -> None:
    """Straight or bent, thin or broad; often a few beside each other."""
    t = np.linspace(0, 1, 40)[:, None]
    start, knee, end = rng.uniform(-0.1, 1.1, (3, 2)) * picture.width
    if rng.random() < 0.6:
        knee = (start + end) / 2
    path = (1 - t) ** 2 * start + 2 * t * (1 - t) * knee + t**2 * end
    color, width = _color(rng), int(rng.choice((1, 2, 3, 5, 9, 16))) * FINER
    step = rng.normal(0, 1, 2) * 5 * width
    for number in range(int(rng.choice((1, 1, 1, 3, 6)))):
        points = [(float(x), float(y)) for x, y in path + number * step]
        ImageDraw.Draw(picture).line(points, fill=color, width=width, joint="curve")


def _windows(picture: Image.Image, rng: Generator) -> None:
    """A grid of slanted panes, as of a building."""
    rows, columns = (int(count) for count in rng.integers(2, 8, 2))
    angle = rng.normal(0, 0.25)
    across = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(12, 60) * FINER
    down = np.array([-np.sin(angle + rng.normal(0, 0.1)), np.cos(angle)]) * rng.uniform(12, 60) * FINER
    corner, color = rng.uniform(-0.1, 0.8, 2) * picture.width, _color(rng)
    share = rng.uniform(0.5, 0.9)
    pen = ImageDraw.Draw(picture)
    for row in range(rows):
        for column in range(columns):
            pane = corner + row * down + column * across
            corners = (pane, pane + share * across, pane + share * (across + down), pane + share * down)
            pen.polygon([(float(x), float(y)) for x, y in corners], fill=color)


def _letters(picture: Image.Image, rng: Generator) -> None:
    text = "".join(rng.choice(list(LETTERS), int(rng.integers(2, 9))))
    font = ImageFont.load_default(size=float(rng.uniform(12, 70)) * FINER)
    x, y = rng.uniform(-0.1, 0.9, 2) * picture.width
    ImageDraw.Draw(picture).text((float(x), float(y)), text, fill=_color(rng), font=font)
