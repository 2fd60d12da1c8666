"""Crops for readers who do not know which way made which: `picture_blind.py make`, and afterwards `count`.

    python benchmarks/picture_blind.py make ../shared/data/video --out sheets --key key.json \
        --ways Lanczos clear restore                          24 crops, three columns A, B, C, shuffled in each row
    python benchmarks/picture_blind.py make ../shared/data/video --out sheets --key key.json \
        --ways restore realesr-animevideov3-x4.param          two columns; any number of ways goes, names and files as
                                                              picture_ways.py takes them
    python benchmarks/picture_blind.py count key.json 1A 2C 3B ...      how often each way was preferred

The key goes into a folder of its own, which no reader sees. Crops come from places with detail, spread over clips and
codings, the same for the same --seed. --as-is FILE[:SKIP] (several) takes frames as they are, with nothing shrunk or
coded: real footage, of which nobody knows the truth. Look at licences before passing sheets on.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from picture_clips import CLIPS, CODINGS, Image8, degraded, read_frames, sources
from picture_ways import label_of, open_way
from PIL import Image

from srvid.sheet import Cell, sheet_of

LETTERS = "ABCDEFGH"
GAP_PX = 12
CANDIDATES = 40  # places that are tried for a crop; one of the most detailed quarter is taken
Scene = tuple[str, Mapping[str, Image8]]  # where it is from, and the whole frame by every way
Key = dict[int, list[str]]  # number of the crop -> ways from A on


def scenes_of(options: argparse.Namespace) -> list[Scene]:
    """One frame of every clip and coding by every way."""
    ways = {label_of(name): open_way(name, scale=options.scale, threads=options.threads) for name in options.ways}
    lows = []
    if options.as_is:
        for spelled in options.as_is:
            file, _, skip = spelled.partition(":")
            (frame,) = read_frames(options.clips / file, skip=int(skip or 0), count=1)
            lows.append((spelled, frame))
    else:
        for coding in options.codings:
            for file, frames in sources(options.clips, drawings=options.drawings).items():
                clip = degraded(frames(4), scale=options.scale, coding=coding)
                lows.append((f"{file}, {coding}", clip.low[-1]))
    return [(where, {name: way(low) for name, way in ways.items()}) for where, low in lows]


def blind_rows(scenes: Sequence[Scene], *, side: int, seed: int) -> tuple[dict[int, list[Image8]], Key]:
    """(number -> crops in the order shown, number -> ways in that order), of one crop a scene."""
    random = np.random.default_rng(seed)
    rows: dict[int, list[Image8]] = {}
    key: Key = {}
    for number, (_, ways) in enumerate(scenes, 1):
        order = [str(name) for name in random.permutation(list(ways))]
        place = _detailed_place(next(iter(ways.values())), side, random)
        rows[number] = [ways[name][place] for name in order]
        key[number] = order
    return rows, key


def _detailed_place(image: Image8, side: int, random: np.random.Generator) -> tuple[slice, slice]:
    """A square with more detail than most, at random."""
    height, width = image.shape[:2]
    steep = np.hypot(*np.gradient(image.mean(axis=2)))
    places = []
    for _ in range(CANDIDATES):
        top, left = (int(random.integers(0, max(1, whole - side + 1))) for whole in (height, width))
        places.append((slice(top, top + side), slice(left, left + side)))
    places.sort(key=lambda place: float(steep[place].mean()), reverse=True)
    return places[int(random.integers(0, CANDIDATES // 4))]


def answers_counted(key: Key, answers: Mapping[int, str]) -> dict[str, int]:
    """Way -> on how many crops it was preferred."""
    found = Counter(key[number][LETTERS.index(letter)] for number, letter in answers.items())
    return {name: found[name] for name in sorted(key[min(key)])}


def make(options: argparse.Namespace) -> None:
    scenes = scenes_of(options)
    scenes = [scenes[index % len(scenes)] for index in range(options.crops)]
    rows, key = blind_rows(scenes, side=options.side, seed=options.seed)
    if options.key.resolve().parent == options.out.resolve():
        raise SystemExit("--key: choose another folder than --out, which readers see")
    for folder in (options.out, options.key.parent):
        folder.mkdir(parents=True, exist_ok=True)
    numbers = list(rows)
    for page, start in enumerate(range(0, len(numbers), options.rows), 1):
        cells = [
            [
                Cell(label=f"{number} {letter}", picture=_shown(crop, options.zoom))
                for letter, crop in zip(LETTERS, rows[number], strict=False)
            ]
            for number in numbers[start : start + options.rows]
        ]
        sheet_of(cells, gap_px=GAP_PX).save(options.out / f"crops-{page:02}.png")
    told = {"ways": key, "scenes": {number: scenes[number - 1][0] for number in numbers}}
    options.key.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"{len(numbers)} crops in {options.out}; the key is {options.key}")


def _shown(crop: Image8, zoom: int) -> Image.Image:
    """Every pixel as zoom x zoom, so that a viewer's own resize changes little."""
    return Image.fromarray(np.kron(crop, np.ones((zoom, zoom, 1), np.uint8)))


def count(options: argparse.Namespace) -> None:
    told = json.loads(options.key.read_text(encoding="utf-8"))["ways"]
    key = {int(number): order for number, order in told.items()}
    answers = {}
    for answer in options.answers:
        found = re.fullmatch(r"(\d+)([A-H])", answer)
        if found is None or int(found[1]) not in key or LETTERS.index(found[2]) >= len(key[int(found[1])]):
            raise SystemExit(f"{answer!r}: say the number of a crop and a letter, as 7B")
        answers[int(found[1])] = found[2]
    for name, times in answers_counted(key, answers).items():
        print(f"{name}: {times} of {len(answers)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    made = commands.add_parser("make", help="write the sheets and the key")
    made.set_defaults(run=make)
    made.add_argument("clips", type=Path, help="folder that holds " + ", ".join(CLIPS))
    made.add_argument("--out", type=Path, required=True, help="folder of the sheets")
    made.add_argument("--key", type=Path, required=True, help="file of the key, in another folder")
    made.add_argument("--ways", nargs="+", default=["Lanczos", "clear", "restore"])
    made.add_argument("--codings", nargs="+", choices=CODINGS, default=["x264 crf 28", "x264 crf 34"])
    made.add_argument("--drawings", action="store_true", help="comic pages in the folder, and drawn scenes, instead")
    made.add_argument("--as-is", nargs="+", metavar="FILE[:SKIP]", help="frames of files in the folder, as they are")
    made.add_argument("--crops", type=int, default=24)
    made.add_argument("--rows", type=int, default=3, help="crops on a sheet")
    made.add_argument("--side", type=int, default=200, help="of a crop, in output pixels")
    made.add_argument("--zoom", type=int, default=2)
    made.add_argument("--scale", type=int, choices=(2, 3, 4), default=4)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--threads", type=int, default=1)
    counted = commands.add_parser("count", help="count what was preferred")
    counted.set_defaults(run=count)
    counted.add_argument("key", type=Path)
    counted.add_argument("answers", nargs="+", help="number and letter: 1A 2C ...")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
