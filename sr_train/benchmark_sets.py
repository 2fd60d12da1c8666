"""The sets the papers measure on, and how their low-resolution halves are made."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sr_core.errors import BadInput
from sr_core.wording import option
from sr_train.decoding import read_rgb_or_grey
from sr_train.imresize import Image8, crop_to_multiple, imresize

SETS = {"set5": "Set5", "set14": "Set14", "b100": "B100"}  # name -> folder under DATA/eval
SSIM_PX = 11  # side of the window that SSIM looks through; a border of `scale` pixels is cut off before
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


@dataclass(frozen=True, kw_only=True)
class TestPair:
    """Ground truth, cropped to a multiple of the scale, and its MATLAB-bicubic low-resolution half; (H, W,
    3) uint8.

    `grey` marks an image whose values are Y themselves (Set14 'bridge'): all three planes are equal.
    """

    __test__ = False  # not a pytest class

    name: str
    high: Image8
    low: Image8
    grey: bool


def read_pairs(folder: Path, scale: int) -> Iterator[TestPair]:
    """Every image of `folder`, by name.

    Raises:
        BadInput: the folder holds no images, or one that cannot be read or is too small to be measured.
    """
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise BadInput(f"no images in {folder}", hint=f"point {option('data')} at the folder that holds eval/Set5")
    for path in files:
        image, grey = read_rgb_or_grey(path)
        high = crop_to_multiple(image, scale)
        least = SSIM_PX + 2 * scale
        if min(high.shape[:2]) < least:
            raise BadInput(f"{path} is too small to be measured at x{scale}", hint=f"at least {least} pixels a side")
        yield TestPair(name=path.stem, high=high, low=imresize(high, 1 / scale), grey=grey)


def find_set(name: str, data_root: Path) -> Path:
    """The folder of a set: one of SETS, or any folder of images.

    Raises:
        BadInput: neither a known name nor a folder.
    """
    if name.lower() in SETS:
        folder = data_root / "eval" / SETS[name.lower()]
        if folder.is_dir():
            return folder
        raise BadInput(
            f"{SETS[name.lower()]} is not under {data_root}",
            hint=f"measure on a folder of pictures: {option('set', 'FOLDER')}; or name with {option('data')} the "
            "folder that holds eval/Set5 (docs/training.md says where to get it)",
        )
    if Path(name).is_dir():
        return Path(name)
    raise BadInput(f"no test set {name!r}", hint=f"choose one of: {', '.join(SETS)}, or a folder of images")
