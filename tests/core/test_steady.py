"""Three frames of output into one: flicker falls, nothing of another moment appears."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_core.errors import BadInput
from sr_core.frame import PixelFormat, Planes, gray, rgb, yuv
from sr_core.steady.motion import Look, find_motion
from sr_core.steady.window import check_steadiable
from sr_core.steady.window import steadied as steadied_in_order
from tests.core.noisy_scenes import SIZE, Picture, noisy, textured


def enlarged(picture: Picture, scale: int = 2) -> Picture:
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def steadied(given: Sequence[Planes], made: Sequence[Planes], fmt: PixelFormat, scale: int = 2) -> list[Planes]:
    found = list(steadied_in_order(zip(range(len(given)), given, made, strict=True), fmt, scale))
    assert [index for index, _ in found] == list(range(len(given)))
    return [planes for _, planes in found]


def steadied_gray(given: Sequence[Picture], made: Sequence[Picture]) -> list[NDArray[np.int64]]:
    planes = steadied([(p,) for p in given], [(p,) for p in made], gray())
    return [plane.astype(np.int64) for (plane,) in planes]


def change(pictures: Sequence[NDArray[np.int64]]) -> float:
    return float(np.mean([np.abs(a - b).mean() for a, b in itertools.pairwise(pictures)]))


def test_noise_on_what_stands_still_changes_half_as_much_from_frame_to_frame() -> None:
    given = noisy([textured(1)] * 6)
    made = [enlarged(p) for p in given]
    assert change(steadied_gray(given, made)) < change([m.astype(np.int64) for m in made]) / 2


def test_a_slow_pan_is_followed_and_comes_nearer_to_the_truth() -> None:
    canvas = textured(2, (100, 140))
    truth = [canvas[10 + n : 10 + n + SIZE[0], 2 * n : 2 * n + SIZE[1]] for n in range(6)]
    given = noisy(truth)
    made = [enlarged(p) for p in given]
    inner = np.s_[16:-16, 16:-16]
    found = steadied_gray(given, made)

    def error(pictures: Sequence[NDArray[np.int64]]) -> float:
        wanted = [enlarged(p).astype(np.int64) for p in truth]
        return float(np.mean([((p - w)[inner] ** 2).mean() for p, w in zip(pictures, wanted, strict=True)][1:-1]))

    assert error(found) < error([m.astype(np.int64) for m in made]) / 2


def test_half_a_pixel_of_motion_is_found() -> None:
    fine = textured(3, (160, 240)).astype(np.uint16)
    fine = (np.roll(fine, 1, axis=1) + 2 * fine + np.roll(fine, -1, axis=1)) // 4
    halved = [(fine[::2, n : 220 + n : 2] + fine[1::2, n : 220 + n : 2]) // 2 for n in (0, 1)]
    motion = find_motion(Look(halved[0].astype(np.uint8)), Look(halved[1].astype(np.uint8)), 2)
    moved = motion.vectors[motion.vectors.any(axis=-1)]
    assert len(moved) > 50
    assert (moved == [0, -1]).all(axis=1).mean() > 0.7


def test_nothing_crosses_a_cut_also_where_bars_stay_black() -> None:
    scenes = [textured(seed) for seed in (4, 4, 4, 5, 5, 5)]
    for scene in scenes:
        scene[:20], scene[-20:] = 16, 16
    given = noisy(scenes)
    made = [enlarged(p) for p in given]
    together = steadied_gray(given, made)
    apart = steadied_gray(given[:3], made[:3]) + steadied_gray(given[3:], made[3:])
    assert all(np.array_equal(a, b) for a, b in zip(together, apart, strict=True))
    assert not np.array_equal(together[2], made[2]), "the frame before a cut has a neighbour, still"


def test_a_fast_square_leaves_no_ghost() -> None:
    scenes = [np.full(SIZE, 90, np.uint8) for _ in range(6)]
    for n, scene in enumerate(scenes):
        scene[24:40, 12 * n : 12 * n + 16] = 200
    given = noisy(scenes, 1)
    made = [enlarged(p) for p in given]
    for found, scene in zip(steadied_gray(given, made), scenes, strict=True):
        assert np.abs(found - enlarged(scene)).max() <= 2, "more than the noise"


@pytest.mark.parametrize("shown", [1, 2])
def test_blinking_text_neither_fades_nor_appears_early(shown: int) -> None:
    scenes = [textured(6) for _ in range(6)]
    letters = np.random.default_rng(8).integers(0, 2, (10, 60)).astype(bool)
    for scene in scenes[2 : 2 + shown]:
        scene[30:40, 20:80][letters] = 250
    made = [enlarged(p) for p in scenes]
    for found, wanted in zip(steadied_gray(scenes, made), made, strict=True):
        assert np.abs(found - wanted).max() <= 3, "of a contrast of 40 to 200"


@pytest.mark.parametrize("step", [1, 3, 10])
def test_a_fade_goes_on_as_it_was(step: int) -> None:
    scene = textured(9).astype(np.int64)
    given = [np.clip(scene - step * n, 16, 255).astype(np.uint8) for n in range(8)]
    made = [enlarged(p) for p in given]
    for found, wanted in list(zip(steadied_gray(given, made), made, strict=True))[1:-1]:
        assert abs(float((found - wanted).mean())) < 0.2


def test_what_is_made_lies_between_the_three_frames() -> None:
    random = np.random.default_rng(3)
    given = [textured(1)] * 3
    made = [
        np.clip(enlarged(p).astype(int) + random.integers(-30, 31, (144, 208)), 0, 255).astype(np.uint8) for p in given
    ]
    found = steadied_gray(given, made)[1]
    assert (found >= np.min(made, axis=0)).all()
    assert (found <= np.max(made, axis=0)).all()


def planes_like(fmt: PixelFormat, size: tuple[int, int], seed: int) -> Planes:
    base = noisy([textured(11, (size[0] + seed, size[1]))])[0][seed:]
    shift = (16 if fmt.msb_aligned else fmt.depth) - 8
    return tuple(
        np.broadcast_to(
            base[: shape[0], : shape[1]].reshape(*base[: shape[0], : shape[1]].shape, *[1] * (len(shape) - 2)), shape
        ).astype(fmt.dtype)
        << shift
        for shape in fmt.plane_shapes(size[1], size[0])
    )


@pytest.mark.parametrize("size", [(41, 67), (9, 70), (8, 8)])
@pytest.mark.parametrize("scale", [1, 3, 4])
@pytest.mark.parametrize(
    "fmt", [yuv("420"), yuv("420", 10, semiplanar=True), yuv("422", 12), rgb(packed=True), gray(16)], ids=str
)
def test_every_format_scale_and_size_is_taken(fmt: PixelFormat, scale: int, size: tuple[int, int]) -> None:
    given = [planes_like(fmt, size, seed) for seed in range(3)]
    made = [planes_like(fmt, (size[0] * scale, size[1] * scale), seed * scale) for seed in range(3)]
    for found in steadied(given, made, fmt, scale):
        assert fmt.check(found) == (size[1] * scale, size[0] * scale)
        if fmt.msb_aligned:
            assert all((plane & 63 == 0).all() for plane in found)


def test_interleaved_planes_are_steadied_as_separate_ones_are() -> None:
    apart, together = yuv("420"), yuv("420", semiplanar=True)
    given = [planes_like(apart, (48, 64), seed) for seed in range(3)]
    made = [planes_like(apart, (96, 128), 2 * seed) for seed in range(3)]

    def interleaved(planes: Planes) -> Planes:
        return planes[0], np.stack(planes[1:], axis=-1)

    wanted = [interleaved(planes) for planes in steadied(given, made, apart)]
    found = steadied([interleaved(p) for p in given], [interleaved(p) for p in made], together)
    for ours, theirs in zip(found, wanted, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_floats_and_what_is_smaller_than_a_block_are_refused() -> None:
    with pytest.raises(BadInput, match="integer"):
        check_steadiable(PixelFormat(family="gray", depth=32, is_float=True), 64, 48)
    for size in ((64, 7), (7, 64)):
        with pytest.raises(BadInput, match=r"needs 8 pixels each way, and the picture is \d+x\d+"):
            check_steadiable(gray(), *size)
    check_steadiable(gray(), 8, 8)
