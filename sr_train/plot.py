"""Small charts with Pillow: points and lines on two axes. Enough for a training curve and a trade-off plot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIZE = (960, 600)
MARGIN = (80, 40, 40, 60)  # left, top, right, bottom
COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf")


@dataclass(frozen=True, kw_only=True)
class Series:
    """Named (x, y) points; drawn as a line, or as labelled dots."""

    name: str
    points: tuple[tuple[float, float], ...]
    labels: tuple[str, ...] = ()

    @property
    def is_line(self) -> bool:
        return not self.labels


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A title, and whether decades are equally long."""

    title: str
    logarithmic: bool = False

    def position(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def draw_chart(path: Path, series: Sequence[Series], *, x: Axis, y: Axis) -> None:
    """Write a PNG chart; points that are not finite are left out."""
    kept = [_finite(one) for one in series]
    spots = [point for one in kept for point in one.points]
    if not spots:
        return
    low_x, high_x = _range([x.position(a) for a, _ in spots])
    low_y, high_y = _range([y.position(b) for _, b in spots])
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(14)
    left, top, right, bottom = MARGIN
    width, height = SIZE[0] - left - right, SIZE[1] - top - bottom

    def spot(point: tuple[float, float]) -> tuple[float, float]:
        across = (x.position(point[0]) - low_x) / (high_x - low_x)
        up = (y.position(point[1]) - low_y) / (high_y - low_y)
        return left + across * width, top + (1 - up) * height

    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at_x, at_y = left + share * width, top + (1 - share) * height
        draw.line([(left, at_y), (left + width, at_y)], fill="#dddddd")
        draw.line([(at_x, top), (at_x, top + height)], fill="#dddddd")
        draw.text((at_x, top + height + 6), _tick(x, low_x, high_x, share), "black", font, anchor="mt")
        draw.text((left - 8, at_y), _tick(y, low_y, high_y, share), "black", font, anchor="rm")
    draw.text((left + width / 2, SIZE[1] - 12), x.title, "black", font, anchor="ms")
    draw.text((left, top - 12), y.title, "black", font, anchor="ls")
    for index, one in enumerate(kept):
        color = COLORS[index % len(COLORS)]
        where = [spot(point) for point in one.points]
        if one.is_line:
            draw.line(where, fill=color, width=3)
        for (px, py), label in zip(where, one.labels, strict=False):
            draw.ellipse([px - 4, py - 4, px + 4, py + 4], fill=color)
            draw.text((px + 7, py - 7), label, color, font)
        draw.text((left + width, top + 8 + 18 * index), one.name, color, font, anchor="rt")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _finite(series: Series) -> Series:
    labels = series.labels or ("",) * len(series.points)
    pairs = [(p, t) for p, t in zip(series.points, labels, strict=True) if all(map(math.isfinite, p))]
    texts = tuple(text for _, text in pairs) if series.labels else ()
    return Series(name=series.name, points=tuple(point for point, _ in pairs), labels=texts)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    gap = (high - low) * 0.05 or 0.5
    return low - gap, high + gap


def _tick(axis: Axis, low: float, high: float, share: float) -> str:
    value = low + share * (high - low)
    return f"{10**value if axis.logarithmic else value:.4g}"
