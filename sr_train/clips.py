"""Short clips of a still, panned or zoomed picture, shrunk and coded as one video: what `restore` learns from.

    picture ─[ soft ]─┬─[ painted ]─ canvases of HR: the truth
                      └─ frames of HR ─[ blur ─ resize down and up ]─ shrink ─[ noise ]─[ encode ]─ encode ─ LR

What decides: a blurred input with a sharp truth teaches a network to sharpen always, blocks
included. So few inputs are blurred, and in a third of the clips the *truth* is soft, too. Flips come before the
encode, since chroma sits left. Consecutive frames of one encode let a loss punish flicker.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sr_train.chances import CHANCES, Chances
from sr_train.coding import Planes, draw_coding, encode_and_decode, planes_from_rgb
from sr_train.degradations import jpeg_compressed
from sr_train.painting import paint

Image8 = NDArray[np.uint8]
R = Image.Resampling
KERNELS = (R.BICUBIC, R.BICUBIC, R.BICUBIC, R.BILINEAR, R.BOX, R.LANCZOS, R.HAMMING)
FRAMES = 8
VIEW_PX = 384  # HR, of a frame's longer side at most
TRAVEL_PX = 96  # HR, of a pan at most
SMALLEST_PX = 256  # of a picture's shorter side
GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601-7 §2.5.1


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip.

    Attributes:
        low: (FRAMES, h * 3 / 2, w) decoded planes.
        canvases: HR pictures (H, W, 3); still and panned clips need one only.
        windows: for each frame its canvas, and the top and left of its h * scale x w * scale there.
    """

    low: NDArray[np.uint8]
    canvases: tuple[Image8, ...]
    windows: tuple[tuple[int, int, int], ...]


def make_clip(picture: Image.Image, scale: int, rng: Generator, chances: Chances = CHANCES) -> Clip:
    """A random clip of an RGB picture whose sides are at least `SMALLEST_PX`."""
    picture = _vary(picture, rng, chances)
    painted = paint(picture, chances.painted) if chances.painted else picture
    _, canvases, windows = _moving(painted, 2 * scale, deepcopy(rng))
    frames, _, _ = _moving(picture, 2 * scale, rng)
    shrink = _shrinker(scale, rng, chances)
    low = [shrink(frame) for frame in frames]
    truths = [np.asarray(canvas) for canvas in canvases]
    if rng.random() < chances.gray:
        low, truths = [_gray(image) for image in low], [_gray(image) for image in truths]
    return Clip(low=np.stack(_transmit(low, rng, chances)), canvases=tuple(truths), windows=tuple(windows))


def _vary(picture: Image.Image, rng: Generator, chances: Chances) -> Image.Image:
    """Flipped or turned; perhaps smaller (sharper); perhaps soft."""
    turn = int(rng.integers(8))
    if turn < 7:
        picture = picture.transpose(Image.Transpose(turn))
    if rng.random() < chances.smaller:
        factor = rng.uniform(0.55, 0.95)
        width, height = (max(SMALLEST_PX, round(side * factor)) for side in picture.size)
        picture = picture.resize((width, height), R.LANCZOS)
    if rng.random() < chances.soft_truth:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(*chances.soft_sigma)))
    return picture


def _moving(
    picture: Image.Image, align: int, rng: Generator
) -> tuple[list[Image.Image], list[Image.Image], list[tuple[int, int, int]]]:
    """(frames, canvases, windows): 40 % stand still, 45 % pan, 15 % zoom."""
    kind = ("still", "pan", "zoom")[int(rng.choice(3, p=(0.40, 0.45, 0.15)))]
    spare = 0 if kind == "still" else min(TRAVEL_PX, min(picture.size) // 5)
    width, height = (min(VIEW_PX, side - spare) // align * align for side in picture.size)
    x, y = (
        int(rng.integers(side - part - spare + 1)) for side, part in zip(picture.size, (width, height), strict=True)
    )
    if kind == "zoom":
        views = _zoom(picture, (x, y, x + width + spare, y + height + spare), (width, height), rng)
        return views, views, [(index, 0, 0) for index in range(FRAMES)]
    speed = rng.uniform(-1, 1, 2) * spare / (FRAMES - 1) * (0.3 if rng.random() < 0.4 else 1.0)
    path = np.rint(np.arange(FRAMES)[:, None] * speed).astype(int)
    path -= path.min(axis=0)
    down, across = (int(extent) for extent in path.max(axis=0))
    canvas = picture.crop((x, y, x + width + across, y + height + down))
    windows = [(0, int(top), int(left)) for top, left in path]
    return [canvas.crop((left, top, left + width, top + height)) for _, top, left in windows], [canvas], windows


def _zoom(
    picture: Image.Image, box: tuple[int, int, int, int], size: tuple[int, int], rng: Generator
) -> list[Image.Image]:
    """Views of a box that grows or shrinks by up to 2 % a frame; never enlarged, so that they stay sharp."""
    ratios = rng.uniform(1.003, 1.02) ** -np.arange(FRAMES)
    center = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    views = []
    for ratio in ratios if rng.random() < 0.5 else ratios[::-1]:
        half = ((box[2] - box[0]) * ratio / 2, (box[3] - box[1]) * ratio / 2)
        view = (center[0] - half[0], center[1] - half[1], center[0] + half[0], center[1] + half[1])
        views.append(picture.resize(size, R.BICUBIC, box=view))
    return views


def _shrinker(scale: int, rng: Generator, chances: Chances) -> Callable[[Image.Image], Image8]:
    """The way from HR to LR, the same for every frame of a clip."""
    sigma = rng.uniform(*chances.blur_sigma) * scale if rng.random() < chances.blur else 0.0
    factor = rng.uniform(*chances.rescale_factor) if rng.random() < chances.rescale else 0.0
    first, last = (KERNELS[int(pick)] for pick in rng.integers(len(KERNELS), size=2))

    def shrink(view: Image.Image) -> Image8:
        width, height = view.width // scale, view.height // scale
        if sigma:
            view = view.filter(ImageFilter.GaussianBlur(sigma))
        if factor:
            view = view.resize((round(width * factor), round(height * factor)), first)
        return np.asarray(view.resize((width, height), last))

    return shrink


def _transmit(low: Sequence[Image8], rng: Generator, chances: Chances) -> list[Planes]:
    """Noise of the camera, then no, one or two encodes, or JPEG."""
    is_coded = rng.random() >= chances.uncoded
    if rng.random() < (chances.noise if is_coded else chances.clean_noise):
        sigma = rng.uniform(*chances.noise_sigma) * (1.0 if is_coded else 0.5)
        planes = 1 if rng.random() < 0.4 else 3
        grains = (sigma * rng.standard_normal((*image.shape[:2], planes)) for image in low)
        low = [
            np.clip(np.rint(image + grain), 0, 255).astype(np.uint8) for image, grain in zip(low, grains, strict=True)
        ]
    if not is_coded and chances.jpeg and rng.random() < chances.jpeg:
        quality = int(rng.uniform(*chances.jpeg_quality))
        low = [jpeg_compressed(image, quality, rng) for image in low]
    sent = [planes_from_rgb(image) for image in low]
    if is_coded and rng.random() < chances.twice:
        sent = encode_and_decode(sent, draw_coding(rng, first=True))
    return encode_and_decode(sent, draw_coding(rng, coarser=chances.coarser)) if is_coded else sent


def _gray(image: Image8) -> Image8:
    luma = np.rint(image.astype(np.float32) @ GRAY).astype(np.uint8)
    return np.repeat(luma[..., None], 3, axis=2)


def split(planes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Luma (H, W) and chroma (2, H/2, W/2) of one frame: views."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    return planes[:height], planes[height:].reshape(2, height // 2, width // 2)
