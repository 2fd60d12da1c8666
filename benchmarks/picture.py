"""What people see on real compressed video, by model: `python benchmarks/picture.py ../shared/data/video --scale 4`

Frames of real clips are shrunk (bicubic), spoilt and coded (picture_clips.py), decoded, and enlarged again by each
model (picture_ways.py); the clip is the truth, and has a row of its own where a measure needs no reference.
picture_measures.py says what the columns mean.

    --models restore new=run/x4/restore-x4.onnx    a file under a name of its own, beside what is shipped
    --slow realesrgan-x4plus-anime.param           for these only the first --slow-frames; their flicker is over
                                                   Lanczos' of the same frames
    --drawings                                     comic pages that anime never learnt from and drawn scenes instead of
                                                   clips: `picture.py ../shared/data/train/comic640 --drawings`
    --sheets DIR                                   a crop of each clip side by side, in the order of the table
    --json picture.json [--update]                 keep the table (for docs: benchmarks/results.py); --update measures
                                                   anew only what is named and keeps the other rows
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from picture_clips import CLIPS, CODINGS, DRAWING_PX, Clip, Image8, degraded, sources
from picture_measures import COLUMNS, flicker_of, measured, measured_alone
from picture_ways import KERNELS, Way, label_of, licences, open_way
from PIL import Image
from results import FOLDER, Cell, write_result

TRUTH = "the clip"
CPU = "CPU ms"
ALL_COLUMNS = (*COLUMNS, CPU)
# Learnt from films and photographs; and blocks are put over the truth's own steps, of which a flat tone has none.
OF_FILMS = ("VMAF", "NEG", "NIQE", "blocks")
ABOUT_DRAWINGS = (
    f"Means of six comic pages and six drawn scenes, {DRAWING_PX} pixels a side and slowly panned: shrunk, coded, "
    "decoded, enlarged, compared with the drawing. Y, chroma: PSNR in dB. flicker: change where the truth stands "
    "still, over Lanczos'. edges: steepness over the truth's. ringing: codes by which luma leaves the truth's range. "
    "CPU ms: of a frame."
)
ABOUT = (
    f"Means of {', '.join(CLIPS)}: shrunk, coded, decoded, enlarged, compared with the clip. Y, chroma: PSNR in dB. "
    "NEG: VMAF that does not reward sharpening. NIQE: without a reference, lower is more natural; noisy at this size. "
    "flicker: change where the truth stands still, over Lanczos'. blocks: energy of steps along the input's 8x8 grid "
    "less that of other steps, over the truth's, where it is smooth; 0 is none. edges: steepness over the truth's. "
    "ringing: codes by which luma leaves the truth's range. CPU ms: of a frame."
)


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A way, and how many frames of each clip it gets."""

    way: Way
    frames: int

    def run(self, clip: Clip) -> tuple[list[Image8], float]:
        """What it makes of `clip`, and the median CPU time of a frame in ms."""
        made, times = [], []
        for low in clip.low[: self.frames]:
            start = time.process_time()
            made.append(self.way(low))
            times.append(time.process_time() - start)
        return made, float(np.median(times)) * 1e3


def open_runners(options: argparse.Namespace) -> dict[str, Runner]:
    """Every way of the table by its label, Pillow's kernels first."""
    runners = {}
    for names, frames in (
        (KERNELS, options.frames),
        (options.models, options.frames),
        (options.slow, options.slow_frames),
    ):
        for name in names:
            label = label_of(name) + (f" ({frames} frames)" if frames != options.frames else "")
            runners[label] = Runner(way=open_way(name, scale=options.scale, threads=options.threads), frames=frames)
    return runners


def rows_of_clip(
    clip: Clip, runners: dict[str, Runner], *, scale: int
) -> tuple[dict[str, dict[str, float]], list[list[Image8]]]:
    """(label -> column -> value, frames by way); the truth is the last of both."""
    rows, pictures = {}, []
    for label, runner in runners.items():
        made, milliseconds = runner.run(clip)
        rows[label] = measured(made, clip.truth[: len(made)], scale=scale) | {CPU: milliseconds}
        pictures.append(made)
    rows[TRUTH] = measured_alone(clip.truth, scale=scale)
    pictures.append(clip.truth)
    for row, made in zip(rows.values(), pictures, strict=True):
        frames = slice(len(made))
        row["flicker"] /= flicker_of(pictures[0][frames], clip.truth[frames])  # Lanczos' of the same frames
    return rows, pictures


def tabulate(options: argparse.Namespace) -> Iterator[list[list[Cell]]]:
    """The rows of one coding after the other, printed as they come."""
    runners = open_runners(options)
    clips = sources(options.clips, drawings=options.drawings)
    columns = columns_of(options)
    print(f"| coding, mean of {len(clips)} clips | way | " + " | ".join(columns) + " |")
    print("|---|---|" + "---|" * len(columns))
    for coding in options.codings:
        found: dict[str, list[dict[str, float]]] = {}
        for file, frames in clips.items():
            clip = degraded(frames(options.frames), scale=options.scale, coding=coding)
            rows, pictures = rows_of_clip(clip, runners, scale=options.scale)
            for label, row in rows.items():
                found.setdefault(label, []).append(row)
            if options.sheets:
                save_sheet(options.sheets / f"{Path(file).stem} {coding}.png", pictures)
        table: list[list[Cell]] = [[coding, label, *_means(parts, columns)] for label, parts in found.items()]
        for cells in table:
            print("| " + " | ".join(f"{cell:.4g}" if isinstance(cell, float) else cell or "" for cell in cells) + " |")
        yield table


def columns_of(options: argparse.Namespace) -> list[str]:
    """Those that mean something."""
    return [name for name in ALL_COLUMNS if not (options.drawings and name in OF_FILMS)]


def _means(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> list[Cell]:
    """Of each column over the clips that have it."""
    columns = (np.array([row.get(name, np.nan) for row in rows]) for name in names)
    return [float(np.nanmean(values)) if np.isfinite(values).any() else None for values in columns]


def updated(path: Path, table: list[list[Cell]]) -> tuple[str, list[list[Cell]]]:
    """The command and rows of the kept result, with `table`'s in their places; all of `table` must be there."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    fresh = {(row[0], row[1]): row for row in table}
    if unknown := fresh.keys() - {(row[0], row[1]) for row in kept["rows"]}:
        raise SystemExit(f"--update: {path.name} has no rows {sorted(map(str, unknown))}; run without --update")
    return kept["command"], [fresh.get((row[0], row[1]), row) for row in kept["rows"]]


def main(options: argparse.Namespace) -> None:
    table: list[list[Cell]] = []
    for count, rows in enumerate(tabulate(options), 1):
        sys.stdout.flush()
        table += rows
        if options.json is not None:  # after each coding: a long run that ends early leaves what it found
            keep(options, table, command_of(options, options.codings[:count]))


def keep(options: argparse.Namespace, table: list[list[Cell]], command: str) -> None:
    """Write the file of --json."""
    if options.update:
        path = options.json if options.json.parent != Path() else FOLDER / options.json
        command, table = updated(path, table)
    write_result(
        options.json,
        title=f"Coded {'drawings' if options.drawings else 'clips'}, enlarged {options.scale} times",
        command=command,
        about=ABOUT_DRAWINGS if options.drawings else ABOUT,
        columns=("coding", "way", *columns_of(options)),
        rows=table,
        packages=("openvino", "av", *(("resvg-py",) if options.drawings else ())),
        peers={"Lanczos, bicubic": f"Pillow {PIL.__version__}"} | licences(sorted({str(row[1]) for row in table})),
    )


def command_of(options: argparse.Namespace, done: Sequence[str]) -> str:
    """What makes the table of the codings in `done` again; files by their names alone."""

    def spelled(names: Sequence[str]) -> str:
        return " ".join(name if "=" in name else Path(name).name for name in names)

    codings = " ".join(f"'{coding}'" for coding in done)
    slow = f" --slow {spelled(options.slow)} --slow-frames {options.slow_frames}" if options.slow else ""
    what = "PAGES --drawings" if options.drawings else "CLIPS"
    size = f"--scale {options.scale} --frames {options.frames}"
    return f"python benchmarks/picture.py {what} {size} --models {spelled(options.models)}{slow} --codings {codings}"


def save_sheet(path: Path, columns: Sequence[list[Image8]], side: int = 240) -> None:
    """The middle of the last frame by every way, the truth at the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = columns[0][-1].shape[:2]
    top, left = (height - side) // 2, (width - side) // 2
    crops = [images[-1][top : top + side, left : left + side] for images in columns]
    Image.fromarray(np.concatenate(crops, axis=1)).save(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder that holds " + ", ".join(CLIPS))
    parser.add_argument("--drawings", action="store_true", help="comic pages in the folder, and drawn scenes, instead")
    parser.add_argument("--models", nargs="+", default=["clear", "clear-restore", "restore"])
    parser.add_argument("--slow", nargs="+", default=[], help="models that get fewer frames")
    parser.add_argument("--slow-frames", type=int, default=2)
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), default=4)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--codings", nargs="+", choices=CODINGS, default=[*CODINGS])
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--json", type=Path, help="keep the table, for the page of benchmarks")
    parser.add_argument("--update", action="store_true", help="of --json: keep the rows that are not measured now")
    main(parser.parse_args())
