"""Pictures are made once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_ui.looks import Asked, Looks
from sr_ui.pictures import MAX_PIXELS, Picture, middle_of
from tests.trt.networks import YUV420P8


def test_two_that_ask_for_one_picture_at_the_same_time_wait_for_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 6), "teal").save(tmp_path / "a.png")
    looks, may_begin, made = Looks(), threading.Event(), list[object]()
    enlarge = looks._enlarged

    def enlarged(asked: Asked, key: tuple[object, ...]) -> Picture:
        made.append(key)
        return enlarge(asked, key)

    monkeypatch.setattr(looks, "_enlarged", enlarged)
    asked = Asked(path=tmp_path / "a.png", kind="image", seconds=Fraction(0), model="nearest", scale=Fraction(2))
    with ThreadPoolExecutor() as pool:
        pool.submit(looks._with_engines.soon, may_begin.wait)
        waiting = [pool.submit(looks.look, asked) for _ in range(2)]
        while len(looks._with_engines._waited_for) < 3:
            threading.Event().wait(0.001)
        may_begin.set()
        sizes = [(found.result().width, found.result().height) for found in waiting]
    looks.close()
    assert (sizes, len(made)) == ([(16, 12)] * 2, 1)


@pytest.mark.parametrize(("width", "height"), [(400_000, 11), (400_001, 20), (11, 400_000), (9000, 7000), (640, 480)])
def test_the_middle_of_any_shape_is_a_picture_within_the_budget(width: int, height: int) -> None:
    planes = tuple(np.zeros(shape, np.uint8) for shape in YUV420P8.plane_shapes(width, height))
    inner = middle_of(planes, YUV420P8, 4.0)
    rows, columns = inner[0].shape
    assert min(width, height, 16) <= min(rows, columns)
    assert rows * columns * 16 <= MAX_PIXELS
    assert tuple(plane.shape for plane in inner) == YUV420P8.plane_shapes(columns, rows)
