"""The training images: decoded once, degraded once, kept as uint8, cropped by a seeded generator.

    folders of images ─ decode ─ HR (and smaller copies) ─ degrade, `variants` times ─ LR
                        └── cached as flat .npy files, memory-mapped ──────────────────┘

A crop of step N depends on (seed, N) alone, so a resumed run sees what the uninterrupted one would have seen.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_core.errors import BadInput
from sr_core.storage import published
from sr_core.wording import option
from sr_train.decoding import read_rgb
from sr_train.degradations import degrade
from sr_train.imresize import Image8, crop_to_multiple

SIDE_MULTIPLE = 12  # divisible by every scale we train: 2, 3 and 4
FORMAT = 3  # raise when the cached files change their meaning
_DRAWS = 2  # seeds the degradations
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
FLAT_STD = 20.0  # codes; a flatter crop is drawn again, at most twice: skies teach little


@dataclass(frozen=True, kw_only=True)
class ImageBank:
    """All images of a training set at one scale, end to end in flat arrays.

    Attributes:
        high: every HR image, flattened.
        low: (variants, ...) every LR image, flattened; each variant has its own degradation.
        sides: (images, 2) height and width in LR pixels; HR is `scale` times that.
    """

    scale: int
    high: NDArray[np.uint8]
    low: NDArray[np.uint8]
    sides: NDArray[np.int64]

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.sides.prod(axis=1))]) * 3

    def pair(self, index: int, variant: int = 0) -> tuple[Image8, Image8]:
        """(LR, HR) of one image, (H, W, 3) views."""
        height, width = (int(side) for side in self.sides[index])
        start, stop = (int(edge) for edge in self._starts[index : index + 2])
        area, s = self.scale**2, self.scale
        low = self.low[variant, start:stop].reshape(height, width, 3)
        return low, self.high[start * area : stop * area].reshape(height * s, width * s, 3)

    def batch(self, *, seed: int, step: int, count: int, patch_px: int) -> tuple[Image8, Image8]:
        """`count` random crops of `patch_px` LR pixels, flipped and turned: (N, H, W, 3) LR and HR.

        Raises:
            BadInput: every image is smaller than a patch.
        """
        rng = np.random.default_rng([seed, step])
        s = self.scale
        low = np.empty((count, patch_px, patch_px, 3), np.uint8)
        high = np.empty((count, patch_px * s, patch_px * s, 3), np.uint8)
        usable = np.flatnonzero(self.sides.min(axis=1) >= patch_px)
        if not usable.size:
            raise BadInput(f"no image holds a patch of {patch_px} LR pixels", hint="lower data.patch_px")
        areas = self.sides[usable].prod(axis=1).astype(np.float64)
        chosen = rng.choice(usable, size=(count, 3), p=areas / areas.sum())
        for n in range(count):
            for index in chosen[n]:
                small, large = self.pair(int(index), int(rng.integers(len(self.low))))
                y = int(rng.integers(small.shape[0] - patch_px + 1))
                x = int(rng.integers(small.shape[1] - patch_px + 1))
                crop = small[y : y + patch_px, x : x + patch_px]
                if crop.std() >= FLAT_STD:
                    break
            target = large[y * s : (y + patch_px) * s, x * s : (x + patch_px) * s]
            turn = int(rng.integers(8))
            low[n], high[n] = dihedral(crop, turn), dihedral(target, turn)
        return low, high


def dihedral(image: Image8, turn: int) -> Image8:
    """One of the eight flips and quarter turns of an image."""
    turned = np.rot90(image, turn % 4)
    return turned[:, ::-1] if turn >= 4 else turned


def find_pictures(folders: Sequence[Path], held_back: Sequence[str] = ()) -> list[Path]:
    """The image files under `folders` but those whose name fits a pattern of `held_back`."""
    found = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [path for path in found if not any(fnmatch(path.name, pattern) for pattern in held_back)]


def open_bank(
    folders: Sequence[Path],
    *,
    scale: int,
    cache: Path,
    copies: Sequence[float] = (1.0,),
    degradation: str = "bicubic",
    variants: int = 1,
    held_back: Sequence[str] = (),
) -> ImageBank:
    """The images under `folders` at `scale`, from the cache where they were prepared before.

    Args:
        copies: sizes at which each image is used, e.g. (1.0, 0.6): smaller copies are sharper and more
            varied.
        degradation: a mix of `degradations.MIXES`; `variants` LR images are drawn from it for each HR image.
        held_back: patterns of names that are left out.

    Raises:
        BadInput: no images, an unreadable image, or an unknown degradation.
    """
    files = find_pictures(folders, held_back)
    if not files:
        raise BadInput(
            f"no training images under {', '.join(map(str, folders))}",
            hint="name folders of .png or .jpg files under [data] in the recipe, "
            f"or their parent with {option('data')}",
        )
    identity = [[path.name, path.stat().st_size] for path in files]
    digest = hashlib.sha256(json.dumps([FORMAT, identity, list(copies)]).encode()).hexdigest()[:16]
    folder = cache / f"images-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "sides.npy").exists():
        _store_high(files, copies, folder)
    sides = np.load(folder / "sides.npy")
    high = np.load(folder / "high.npy", mmap_mode="r")
    low_file = folder / f"low-x{scale}-{degradation}-{variants}.npy"
    if not low_file.exists():
        _save(low_file, _low_from_high(high, sides, scale, degradation, variants))
    return ImageBank(scale=scale, high=high, low=np.load(low_file, mmap_mode="r"), sides=sides // scale)


def _store_high(files: Sequence[Path], copies: Sequence[float], folder: Path) -> None:
    images = [image for path in files for image in _make_sized_copies(read_rgb(path), copies)]
    if not images:
        raise BadInput("every training image is too small", hint=f"at least {8 * SIDE_MULTIPLE} pixels a side")
    _save(folder / "high.npy", np.concatenate([image.reshape(-1) for image in images]))
    _save(folder / "sides.npy", np.array([image.shape[:2] for image in images], np.int64))


def _make_sized_copies(image: Image8, copies: Sequence[float]) -> list[Image8]:
    sized = []
    for factor in copies:
        height, width = (round(side * factor) for side in image.shape[:2])
        if min(height, width) < 8 * SIDE_MULTIPLE:
            continue
        copy = image
        if factor != 1:
            copy = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))
        sized.append(crop_to_multiple(copy, SIDE_MULTIPLE))
    return sized


def _low_from_high(
    high: NDArray[np.uint8], sides: NDArray[np.int64], scale: int, degradation: str, variants: int
) -> NDArray[np.uint8]:
    starts = np.concatenate([[0], np.cumsum(sides.prod(axis=1) * 3)])
    rows = []
    for variant in range(variants):
        parts = []
        for index, (height, width) in enumerate(sides):
            image = high[starts[index] : starts[index + 1]].reshape(height, width, 3)
            rng = np.random.default_rng([_DRAWS, variant, index])
            parts.append(degrade(np.asarray(image), scale, mix=degradation, rng=rng).reshape(-1))
        rows.append(np.concatenate(parts))
    return np.stack(rows)


def _save(path: Path, array: NDArray[np.generic]) -> None:
    with published(path) as part, part.open("wb") as file:
        np.save(file, array)
