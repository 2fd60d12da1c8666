"""Pieces of drawn pictures as SVG: lines of varying width, blobs, eyes, hair, speed lines, screens, letters.

    points along a curve + widths ─ brush ─ the outline of both sides as one filled path     <path d="M.. Z"/>

Every function gives SVG text in pixels of the picture. Lines are filled outlines and not SVG's strokes, whose width
cannot vary along them as a pen's does.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (N, 2): x, y
LETTERING = (  # of many scripts; what no font has is boxed, a drawing, too
    "THE QUICK BROWN FOX",
    "Come back! It's here...",
    "Привет, мир! Ещё раз",
    "Καλημέρα κόσμε",
    "こんにちは、せかい",
    "アニメの線画を拡大",
    "东方漫画 第七話 終",
    "שלום עולם",
    "مرحبا بالعالم",
    "BOOM!! ZAP?",
    "Où est l'été, señor?",
    "0123456789 → 87.5 %",
)
FAMILIES = (  # in each the first that is installed; resvg leaves text out where none is
    "Arial, DejaVu Sans, sans-serif",
    "Times New Roman, DejaVu Serif, serif",
    "Courier New, DejaVu Sans Mono, monospace",
    "Comic Neue, Comic Sans MS, DejaVu Sans",
    "VL Gothic, Noto Sans CJK JP, MS Gothic, DejaVu Sans",
)


def number(value: float) -> str:
    """Shortest spelling to a hundredth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def smooth(corners: Points, *, closed: bool, per_part: int = 12) -> Points:
    """Points along the Catmull-Rom curve through `corners`."""
    ends = (corners[-1:], corners[:2]) if closed else (corners[:1], corners[-1:])
    knots = np.concatenate([ends[0], corners, ends[1]])
    t = np.linspace(0, 1, per_part, endpoint=False)[:, None]
    parts = []
    for a, b, c, d in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        parts.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate(parts if closed else [*parts, corners[-1:]])


def path(points: Points, fill: str, more: str = "") -> str:
    """A filled polygon; curves come with enough points to look round."""
    spelled = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f'<path d="M{spelled}Z" fill="{fill}" {more}/>'


def brush(points: Points, widths: NDArray[np.float64], ink: str, more: str = "") -> str:
    """A line whose full width at each of `points` is `widths`."""
    along = np.gradient(points, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.maximum(np.hypot(*across.T), 1e-6)[:, None]
    side = across * widths[:, None] / 2
    return path(np.concatenate([points + side, (points - side)[::-1]]), ink, more)


def pressed(count: int, width: float, rng: Generator) -> NDArray[np.float64]:
    """Widths of a pen's line: thin at either end or at both, uneven between."""
    t = np.linspace(0, 1, count)
    start, end = rng.choice([0.05, 0.3, 1.0], 2)
    taper = np.minimum(1, np.minimum(start + t * 4, end + (1 - t) * 4))
    found: NDArray[np.float64] = width * taper * (1 + 0.25 * np.sin(t * rng.uniform(2, 9) + rng.uniform(0, 6)))
    return found


def closed_line(outline: Points, width: float, ink: str, rng: Generator) -> str:
    """The contour of a shape, swelling along the way."""
    around = np.concatenate([outline, outline[:2]])
    turns = np.linspace(0, 2 * np.pi, len(around))
    widths = width * (1 + 0.45 * np.sin(turns * rng.integers(1, 4) + rng.uniform(0, 6)))
    return brush(around, widths, ink)


def blob(center: Points, radius: float, rng: Generator) -> Points:
    """The outline of a round, lobed or spiky shape."""
    count = int(rng.integers(5, 14))
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.15, count)
    radii = radius * rng.uniform(rng.choice([0.45, 0.75, 0.95]), 1.1, count)
    corners = center + np.stack([np.cos(angles) * radii * rng.uniform(0.6, 1), np.sin(angles) * radii], axis=1)
    return corners if rng.random() < 0.2 else smooth(corners, closed=True)


def loose_line(width: float, side: float, ink: str, rng: Generator) -> str:
    """A pen's line across some of the picture: a fold, a crease, a wire."""
    count = int(rng.integers(2, 6))
    steps = rng.normal(0, side * rng.uniform(0.03, 0.15), (count, 2))
    points = smooth(rng.uniform(0, side, 2) + np.cumsum(steps, axis=0), closed=False)
    return brush(points, pressed(len(points), width, rng), ink)


def hair(width: float, side: float, ink: str, fill: str, rng: Generator) -> str:
    """A bundle of tapered strands that bend together, over flat tufts."""
    root, lean = rng.uniform(0, side, 2), rng.uniform(0, 2 * np.pi)
    length, bend = side * rng.uniform(0.15, 0.5), rng.normal(0, 0.9)
    t = np.linspace(0, 1, 24)
    drawn = []
    for strand in range(int(rng.integers(8, 30))):
        angle = lean + rng.normal(0, 0.25) + bend * t
        path_of = (
            root
            + rng.normal(0, side * 0.04, 2)
            + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=1) * length / len(t), axis=0)
        )
        is_tuft = strand % 4 == 0
        widest = width * rng.uniform(6, 16) if is_tuft else width * rng.uniform(0.4, 1.2)
        drawn.append(brush(path_of, widest * (1 - t) ** rng.uniform(0.5, 1.5), fill if is_tuft else ink))
    return "".join(drawn)


def eye(center: Points, radius: float, ink: str, colors: Sequence[str], rng: Generator) -> str:
    """White, iris in two flat tones, pupil, lights, lashes and a brow."""
    x, y = center
    tall = radius * rng.uniform(0.9, 1.5)
    t = np.linspace(-1, 1, 20)
    lid = np.stack([x + radius * 1.5 * t, y - tall * (1 - t**2) - radius * 0.15], axis=1)
    white = np.concatenate([lid, np.stack([x - radius * 1.3 * t, y + tall * 0.9 * (1 - t**2)], axis=1)])
    parts = [path(white, "#fff")]
    for share, color in ((1.0, colors[0]), (0.75, colors[1]), (0.45, ink)):
        parts.append(_ellipse(x, y, radius * 0.8 * share, tall * 0.9 * share, color))
    parts.append(_ellipse(x - radius * 0.3, y - tall * 0.35, radius * 0.22, tall * 0.25, "#fff"))
    parts.append(_ellipse(x + radius * 0.3, y + tall * 0.4, radius * 0.1, tall * 0.1, "#fff"))
    weight = radius * rng.uniform(0.12, 0.35)
    parts.append(brush(lid, weight * (0.4 + np.abs(t) ** 0.5), ink))
    for at in rng.uniform(-1, 1, int(rng.integers(2, 6))):
        root = np.array([x + radius * 1.5 * at, y - tall * (1 - at**2) - radius * 0.15])
        tip = root + np.array([at * 0.6, -0.5]) * radius
        parts.append(brush(np.linspace(root, tip, 6), weight * np.linspace(1, 0, 6), ink))
    parts.append(brush(lid + np.array([0, -radius * rng.uniform(0.5, 1)]), weight * (1 - np.abs(t) * 0.8), ink))
    return "".join(parts)


def speed_lines(width: float, side: float, ink: str, rng: Generator) -> str:
    """Wedges that run to one point, or side by side."""
    count = int(rng.integers(20, 90))
    if rng.random() < 0.5:
        center, inner = rng.uniform(0.2, 0.8, 2) * side, side * rng.uniform(0.1, 0.35)
        angles = np.sort(rng.uniform(0, 2 * np.pi, count))
        ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        lines = [(center + way * inner * rng.uniform(1, 1.6), center + way * side * 1.5) for way in ways]
    else:
        angle = rng.uniform(0, np.pi)
        way = np.array([np.cos(angle), np.sin(angle)])
        starts = rng.uniform(0, side, (count, 2))
        lines = [(start, start + way * side * rng.uniform(0.1, 0.7)) for start in starts]
    widest = width * rng.uniform(0.6, 2.5)
    return "".join(brush(np.linspace(a, b, 4), widest * np.array([0, 0.3, 0.7, 1]), ink) for a, b in lines)


def lattice(width: float, side: float, ink: str, rng: Generator) -> str:
    """Straight lines in perspective: floors, windows, buildings, rails."""
    horizon = rng.uniform(-0.5, 1.5, 2) * side
    near = np.linspace(-side, 2 * side, int(rng.integers(6, 26)))
    ends = np.stack([near, np.full_like(near, side if rng.random() < 0.5 else 0)], axis=1)
    rays = [np.stack([horizon, end]) for end in ends]
    shares = rng.uniform(0.3, 1) ** np.arange(int(rng.integers(3, 9)))
    rows = [horizon + (ends[[0, -1]] - horizon) * share for share in shares]
    return "".join(brush(line, np.full(2, width), ink) for line in (*rays, *rows))


def screen(name: str, outline: Points, ink: str, rng: Generator) -> str:
    """A shape filled with a halftone of dots or a hatching, as printed comics shade."""
    pitch, angle = rng.uniform(7, 22), rng.choice([0, 30, 45, 60])
    weight = pitch * rng.uniform(0.12, 0.42)
    mark = (
        f'<circle cx="{number(pitch / 2)}" cy="{number(pitch / 2)}" r="{number(weight)}" fill="{ink}"/>'
        if rng.random() < 0.65
        else f'<rect width="{number(pitch)}" height="{number(weight)}" fill="{ink}"/>'
    )
    size = f'width="{number(pitch)}" height="{number(pitch)}" patternUnits="userSpaceOnUse"'
    pattern = f'<pattern id="{name}" {size} patternTransform="rotate({angle})">{mark}</pattern>'
    return f"<defs>{pattern}</defs>{path(outline, f'url(#{name})')}"


def lettering(side: float, ink: str, paper: str, rng: Generator) -> str:
    """One to three lines of text, some with a contour, some in a balloon."""
    size, family = np.exp(rng.uniform(np.log(9), np.log(70))), FAMILIES[int(rng.integers(len(FAMILIES)))]
    x, y = rng.uniform(0, 0.6, 2) * side
    count = int(rng.integers(1, 4))
    style = f'font-family="{family}" font-size="{number(size)}" fill="{ink}"'
    if rng.random() < 0.5:
        style += ' font-weight="bold"'
    parts = []
    if rng.random() < 0.4:
        reach = np.array([size * 6, size * (count + 1) * 0.8])
        t = np.linspace(0, 2 * np.pi, 60)
        balloon = np.array([x + size * 4, y + size * count * 0.4]) + reach * np.stack([np.cos(t), np.sin(t)], axis=1)
        parts += [path(balloon, paper), brush(np.concatenate([balloon, balloon[:1]]), np.full(61, size * 0.09), ink)]
    elif rng.random() < 0.5:
        style += f' stroke="{paper}" stroke-width="{number(size * 0.14)}" paint-order="stroke" stroke-linejoin="round"'
    for row in range(count):
        words = LETTERING[int(rng.integers(len(LETTERING)))]
        parts.append(f'<text x="{number(x)}" y="{number(y + size * (1 + row * 1.2))}" {style}>{words}</text>')
    return "".join(parts)


def _ellipse(x: float, y: float, across: float, down: float, fill: str) -> str:
    return f'<ellipse cx="{number(x)}" cy="{number(y)}" rx="{number(across)}" ry="{number(down)}" fill="{fill}"/>'
