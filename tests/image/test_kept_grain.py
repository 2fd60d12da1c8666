"""`grain='keep'` of pictures: measured on all of it, so strips, disk and memory give the bytes of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from scipy.ndimage import uniform_filter

from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.errors import BadInput, StorageError
from sr_core.frame import Array, PixelFormat, Planes
from sr_core.grain import KEEP, Film, color_planes, film_of, lay_on_picture
from sr_image.enlarge import EnlargeOptions, enlarge
from sr_image.in_memory import enlarge_in_strips
from sr_image.strips import held_on_disk
from sr_plugins.jobs import job_from_request

SMALLEST_BUDGET = 64 << 20


class Smoother:
    """Takes grain away: the mean of 5x5 pixels, twice as large."""

    scale, halo_px, align = 2, 2, 1

    def planes(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> Planes:
        smooth = [uniform_filter(plane, (5, 5, 1)[: plane.ndim], mode="nearest") for plane in planes]
        return tuple(plane.repeat(2, axis=0).repeat(2, axis=1) for plane in smooth)


def grainy(width: int, height: int) -> Array:
    """Soft colors; the noise is stronger below, so that no part tells that of the whole."""
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(5).standard_normal((height, width)) * np.linspace(3, 8, height)[:, None]
    colors = [100 + columns / width * 50, 140 - rows / height * 30, np.full((height, width), 120.0)]
    return np.stack([np.rint(color + noise) for color in colors], axis=-1).clip(0, 255).astype(np.uint8)


def whole(picture: Array, *, moment: int = 0) -> tuple[Film, Array]:
    (made,) = Smoother().planes((picture,), color_planes(picture)[0], FULL_RANGE_RGB)
    (fmt, given), (_, large) = color_planes(picture), color_planes(made)
    film = film_of(KEEP, given, large, fmt, FULL_RANGE_RGB)
    return film, lay_on_picture(film, made, moment=moment)


def test_an_image_file_keeps_it_in_strips_and_from_the_disk_as_whole(tmp_path: Path) -> None:
    picture = grainy(1100, 1003)
    PIL.Image.fromarray(picture).save(tmp_path / "in.png")
    film, expected = whole(picture)
    assert 4 < film.strength * 255 < 7
    options = EnlargeOptions(grain=KEEP)
    in_memory = enlarge(tmp_path / "in.png", tmp_path / "a.png", Smoother(), options)
    small = EnlargeOptions(grain=KEEP, memory_bytes=SMALLEST_BUDGET)
    streamed = enlarge(tmp_path / "in.png", tmp_path / "b.png", Smoother(), small)
    assert (in_memory.streams, streamed.streams) == (False, True)
    for name in ("a.png", "b.png"):
        assert np.array_equal(np.asarray(PIL.Image.open(tmp_path / name)), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "in.png"]


@pytest.mark.parametrize("strip_pixels", [100 * 64, 1 << 20])
def test_a_picture_in_memory_keeps_it_too(strip_pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr_image.in_memory.STRIP_PIXELS", strip_pixels)
    picture = grainy(100, 203)
    made = list(enlarge_in_strips(picture, Smoother(), grain=KEEP, moment=3))
    assert (len(made) > 1) == (strip_pixels < picture.size)
    assert np.array_equal(np.concatenate(made), whole(picture, moment=3)[1])


def test_the_worker_takes_keep_and_no_other_word() -> None:
    size = {"width": 8, "height": 8, "channels": 3, "sample": "u8", "scale": 2}
    assert job_from_request(size | {"grain": "keep"}).grain == KEEP
    for grain in ("0.5", "much", True, 2, None):
        with pytest.raises(BadInput, match="grain is"):
            job_from_request(size | {"grain": grain})


def test_a_disk_that_is_full_is_told_as_such(tmp_path: Path) -> None:
    """Also where the file's last bytes are the first that find no room: no flush may fail behind the words."""
    resource = pytest.importorskip("resource")
    strips = [np.zeros((100, 700, 1), np.uint8)] * 2
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (100_000, 139_999, 1000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            with pytest.raises(StorageError, match="cannot keep a picture for a moment"):
                held_on_disk(tmp_path, iter(strips))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert all(map(np.array_equal, held_on_disk(tmp_path, iter(strips)), strips))
