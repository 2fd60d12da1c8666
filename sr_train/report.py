"""What `srkit eval` prints and writes: one table, per-image CSV, JSON, a quality-against-cost plot, crops."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from sr_core.storage import write_atomically
from sr_train.benchmark_sets import TestPair
from sr_train.evaluation import Evaluation
from sr_train.imresize import Image8, imresize
from sr_train.plot import Axis, Series, draw_chart
from sr_train.published import PublishedRow, published_psnr

CROP_PX = 96  # output pixels a side of each crop
SMALLEST_MACS = 10.0  # bicubic's place on the logarithmic axis: 16 taps an output pixel, two passes


@dataclass
class CropSheet:
    """Collects the busiest crop of each image: ground truth first, then bicubic, then one column a model."""

    columns: dict[tuple[str, str, int], list[Image8]] = field(default_factory=dict)

    def keep(self, test_set: str, pair: TestPair, made: Image8) -> None:
        """Add one model's output."""
        scale = pair.high.shape[0] // pair.low.shape[0]
        key = (test_set, pair.name, scale)
        window = busiest_window(pair.high, CROP_PX)
        if key not in self.columns:
            self.columns[key] = [pair.high[window], imresize(pair.low, scale)[window]]
        self.columns[key].append(made[window])

    def write(self, folder: Path) -> Iterator[Path]:
        """One PNG an image."""
        for (test_set, name, scale), crops in self.columns.items():
            path = folder / f"{Path(test_set).name}-x{scale}-{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            sheet = np.concatenate(crops, axis=1)
            Image.fromarray(sheet).resize((sheet.shape[1] * 2, sheet.shape[0] * 2), Image.Resampling.NEAREST).save(path)
            yield path


def busiest_window(image: Image8, side: int) -> tuple[slice, slice]:
    """The square with the strongest gradients, on a grid of half its side."""
    grey = image.astype(np.float64).mean(axis=2)
    energy = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    best, place = -1.0, (0, 0)
    for y in range(0, max(1, grey.shape[0] - side + 1), side // 2):
        for x in range(0, max(1, grey.shape[1] - side + 1), side // 2):
            value = float(energy[y : y + side, x : x + side].sum())
            if value > best:
                best, place = value, (y, x)
    return slice(place[0], place[0] + side), slice(place[1], place[1] + side)


def markdown_table(results: Sequence[Evaluation], *, header: bool = True) -> Iterator[str]:
    """Lines of a table: what we measure beside what the authors published."""
    if header:
        yield "| model | set | PSNR Y | published | SSIM Y | PSNR RGB | GMSD | LR consist. | NIQE | MACs/px | trained |"
        yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for one in results:
        theirs = published_psnr(one.model, one.scale, one.test_set)
        name = one.model if one.model.endswith(f"x{one.scale}") else f"{one.model} x{one.scale}"
        yield (
            f"| {name} | {one.test_set} | {one.mean('psnr_y'):.2f} | {'' if theirs is None else f'{theirs:.2f}'} "
            f"| {one.mean('ssim_y'):.4f} | {one.mean('psnr_rgb'):.2f} | {one.mean('gmsd'):.4f} "
            f"| {one.mean('lr_consistency'):.1f} | {one.mean('niqe'):.2f} | {one.macs_per_pixel:,.0f} "
            f"| {one.training} |"
        )


def published_table(rows: Sequence[PublishedRow]) -> Iterator[str]:
    """More lines of that table: networks that come without weights, by their authors' figures."""
    for row in rows:
        yield (
            f"| {row.model} x{row.scale} | {row.test_set} | | {row.psnr_y:.2f} | | | | | | {row.macs_per_pixel:,.0f} "
            "| by its authors |"
        )


REPORT_FILES = ("table.md", "images.csv", "results.json")  # of every report; plots and crops come on top


def write_report(
    results: Sequence[Evaluation], published: Sequence[PublishedRow], folder: Path, sheet: CropSheet | None
) -> Iterator[Path]:
    """Write table.md, images.csv, results.json, plots and crops; yield what was written."""
    table = folder / "table.md"
    lines = (*markdown_table(results), *published_table(published))
    write_atomically(table, ("\n".join(lines) + "\n").encode())
    yield table
    rows = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for one in results:
        for score in one.scores:
            row = {"model": one.model, "scale": one.scale, "set": one.test_set} | asdict(score)
            if writer is None:
                writer = csv.DictWriter(rows, fieldnames=list(row))
                writer.writeheader()
            writer.writerow(row)
    write_atomically(folder / "images.csv", rows.getvalue().encode())
    yield folder / "images.csv"
    everything = json.dumps([asdict(one) for one in results], indent=1).encode()
    write_atomically(folder / "results.json", everything)
    yield folder / "results.json"
    yield from _plots(results, published, folder)
    if sheet is not None:
        yield from sheet.write(folder / "crops")


def _plots(results: Sequence[Evaluation], published: Sequence[PublishedRow], folder: Path) -> Iterator[Path]:
    """Quality against cost, and perception against distortion, one chart a set and scale."""
    for test_set, scale in dict.fromkeys((one.test_set, one.scale) for one in results):
        chosen = [one for one in results if (one.test_set, one.scale) == (test_set, scale)]
        names = tuple(one.model for one in chosen)
        psnr = [one.mean("psnr_y") for one in chosen]
        cost = tuple((max(one.macs_per_pixel, SMALLEST_MACS), p) for one, p in zip(chosen, psnr, strict=True))
        plane = tuple((p, one.mean("niqe")) for one, p in zip(chosen, psnr, strict=True))
        quality = Axis(title="Y PSNR, dB")
        title = f"{Path(test_set).name} x{scale}"
        path = folder / f"cost-{Path(test_set).name}-x{scale}.png"
        macs = Axis(title="multiply-adds per output pixel", logarithmic=True)
        theirs = [row for row in published if (row.test_set, row.scale) == (test_set, scale)]
        drawn = [Series(name=title, points=cost, labels=names)]
        if theirs:
            points = tuple((row.macs_per_pixel, row.psnr_y) for row in theirs)
            drawn.append(Series(name="by their authors", points=points, labels=tuple(row.model for row in theirs)))
        draw_chart(path, drawn, x=macs, y=quality)
        yield path
        path = folder / f"perception-{Path(test_set).name}-x{scale}.png"
        niqe = Axis(title="NIQE (own fit), lower is more natural")
        draw_chart(path, [Series(name=title, points=plane, labels=names)], x=quality, y=niqe)
        yield path
