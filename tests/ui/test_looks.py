"""Pictures are made once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from sr_ui.looks import Asked, Looks
from sr_ui.pictures import Picture


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
