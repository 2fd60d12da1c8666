"""The cache of coded clips, and batches of pairs of consecutive frames out of it.

    pictures ─ make_clip, `count` times ─ shards of 50 clips: low, high (flat .npy) and index ─ memory-mapped ─ pairs

A shard depends on (pictures, scale, chances, share of scenes, its number) alone, whoever makes it; what is there is
not made again. A batch of step N depends on (seed, N) alone, so a resumed run sees what the uninterrupted one would
have seen.
"""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_core.errors import BadInput
from sr_core.storage import published, write_atomically
from sr_core.wording import option
from sr_train.chances import CHANCES, Chances
from sr_train.clips import FRAMES, SMALLEST_PX, VIEW_PX, Clip, make_clip, split
from sr_train.coding import rgb_from_planes
from sr_train.decoding import read_rgb
from sr_train.images import find_pictures
from sr_train.scenes import FORMAT as SCENES
from sr_train.scenes import draw_scene, renderer
from sr_train.shapes import draw_shapes

SHARD = 50  # clips
FORMAT = 1  # raise when clips are made differently
FLAT_STD = 12.0  # codes of luma; a flatter crop is drawn again, at most four times
_DRAWS = 3  # seeds the clips


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """Where one clip is in its shard's flat arrays."""

    low: NDArray[np.uint8]
    high: NDArray[np.uint8]
    low_at: int
    shape: tuple[int, int, int]
    canvases: tuple[tuple[int, int, int], ...]  # start, height, width
    windows: tuple[tuple[int, int, int], ...]

    def frame(
        self, index: int, top: int, left: int, side: int, scale: int
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The crop of one frame: LR RGB in 0..255 and HR RGB."""
        count, tall, width = self.shape
        planes = self.low[self.low_at : self.low_at + count * tall * width].reshape(self.shape)[index]
        luma, chroma = split(planes)
        half = slice(top // 2, (top + side) // 2), slice(left // 2, (left + side) // 2)
        low = rgb_from_planes(luma[top : top + side, left : left + side], chroma[:, half[0], half[1]])
        canvas, y, x = self.windows[index]
        start, rows, columns = self.canvases[canvas]
        high = self.high[start : start + rows * columns * 3].reshape(rows, columns, 3)
        y, x = y + top * scale, x + left * scale
        return low, high[y : y + side * scale, x : x + side * scale]

    def is_flat(self, index: int, top: int, left: int, side: int) -> bool:
        count, tall, width = self.shape
        planes = self.low[self.low_at : self.low_at + count * tall * width].reshape(self.shape)[index]
        return float(planes[top : top + side, left : left + side].std()) < FLAT_STD


@dataclass(frozen=True, kw_only=True)
class ClipBank:
    """All clips of a training set at one scale."""

    scale: int
    entries: Sequence[_Entry]

    def batch(
        self, *, seed: int, step: int, count: int, patch_px: int
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """`count` crops of `patch_px` LR pixels: (N, H, W, 3) LR and HR; rows 2k and 2k + 1 are consecutive frames.

        Raises:
            BadInput: every clip is smaller than a patch.
        """
        rng = np.random.default_rng([seed, step])
        usable = [entry for entry in self.entries if min(entry.shape[1] * 2 // 3, entry.shape[2]) >= patch_px]
        if not usable:
            raise BadInput(f"no clip holds a patch of {patch_px} LR pixels", hint="lower data.patch_px")
        lows, highs = [], []
        for _ in range(count // 2):
            for _ in range(5):
                entry = usable[int(rng.integers(len(usable)))]
                height, width = entry.shape[1] * 2 // 3, entry.shape[2]
                index = int(rng.integers(FRAMES - 1))
                top, left = (int(rng.integers((side - patch_px) // 2 + 1)) * 2 for side in (height, width))
                if not entry.is_flat(index, top, left, patch_px):
                    break
            for frame in (index, index + 1):
                low, high = entry.frame(frame, top, left, patch_px, self.scale)
                lows.append(low)
                highs.append(high)
        return np.stack(lows), np.stack(highs)


def open_clips(
    folders: Sequence[Path],
    *,
    scale: int,
    cache: Path,
    count: int,
    chances: Chances = CHANCES,
    scenes: float = 0.0,
    held_back: Sequence[str] = (),
) -> ClipBank:
    """`count` clips of the pictures under `folders`, from the cache where they were made before.

    Args:
        scenes: the share of the clips that show drawn scenes (`sr_train.scenes`) instead.
        held_back: patterns of names that are left out.

    Raises:
        BadInput: no picture is large enough.
        NotAvailable: `scenes` without what renders them.
    """
    files = find_pictures(folders, held_back)
    if not files:
        raise BadInput(
            f"no training pictures under {', '.join(map(str, folders))}",
            hint=f"name folders of .png or .jpg files under [data], or their parent with {option('data')}",
        )
    identity = [[path.name, path.stat().st_size] for path in files]
    facts = json.dumps([FORMAT, FRAMES, VIEW_PX, asdict(chances), identity, *([SCENES, scenes] if scenes else [])])
    folder = cache / f"clips-{hashlib.sha256(facts.encode()).hexdigest()[:16]}-x{scale}"
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(-(-count // SHARD))
    if scenes:
        renderer()  # what is missing is said before hours of work, not by a process of the team
    missing = [number for number in numbers if not (folder / f"{number}.json").exists()]
    if missing:
        workers = min(len(missing), os.cpu_count() or 1)
        with multiprocessing.get_context("spawn").Pool(workers) as team:
            team.starmap(
                _make_shard, [(files, scale, number, folder, chances, scenes) for number in missing], chunksize=1
            )
    return ClipBank(scale=scale, entries=[entry for number in numbers for entry in _read_shard(folder, number)][:count])


def _make_shard(files: Sequence[Path], scale: int, number: int, folder: Path, chances: Chances, scenes: float) -> None:
    rng = np.random.default_rng([_DRAWS, number])
    clips: list[Clip] = []
    for _ in range(20 * SHARD):
        if scenes and rng.random() < scenes:
            picture = draw_scene(rng)
        elif chances.drawn and rng.random() < chances.drawn:
            picture = draw_shapes(rng)
        else:
            picture = Image.fromarray(read_rgb(files[int(rng.integers(len(files)))]))
        if min(picture.size) >= SMALLEST_PX:
            clips.append(make_clip(picture, scale, rng, chances))
        if len(clips) == SHARD:
            break
    else:
        raise BadInput("too few training pictures are large enough", hint=f"{SMALLEST_PX} pixels a side or more")
    _save(folder / f"{number}-low.npy", [clip.low for clip in clips])
    _save(folder / f"{number}-high.npy", [canvas for clip in clips for canvas in clip.canvases])
    index, low_at, high_at = [], 0, 0
    for clip in clips:
        canvases = []
        for canvas in clip.canvases:
            canvases.append((high_at, *canvas.shape[:2]))
            high_at += canvas.size
        index.append({"low_at": low_at, "shape": clip.low.shape, "canvases": canvases, "windows": clip.windows})
        low_at += clip.low.size
    write_atomically(folder / f"{number}.json", json.dumps(index).encode())


def _save(path: Path, arrays: Sequence[NDArray[np.uint8]]) -> None:
    with published(path) as part, part.open("wb") as file:
        np.save(file, np.concatenate([array.reshape(-1) for array in arrays]))


def _read_shard(folder: Path, number: int) -> list[_Entry]:
    low, high = (np.load(folder / f"{number}-{kind}.npy", mmap_mode="r") for kind in ("low", "high"))
    return [
        _Entry(
            low=low,
            high=high,
            low_at=entry["low_at"],
            shape=tuple(entry["shape"]),
            canvases=tuple(map(tuple, entry["canvases"])),
            windows=tuple(map(tuple, entry["windows"])),
        )
        for entry in json.loads((folder / f"{number}.json").read_text(encoding="utf-8"))
    ]
