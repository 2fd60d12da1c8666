"""Which tile is chosen, and that measuring happens once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_core.backend import open_backend
from sr_core.backends.openvino import OpenVinoSession
from sr_core.color import FULL_RANGE_RGB
from sr_core.frame import gray
from sr_core.model_spec import spec_of
from sr_core.storage import CACHE_VARIABLE
from sr_core.testing import picture, planes_from_rgb, random_model
from sr_core.tile_tuning import ROUNDS, SIDES, best_read
from sr_core.tiling import plan_tiles
from sr_core.upscaler import Upscaler

FLAT = dict.fromkeys(SIDES, 1e-06)


@given(width=st.integers(1, 5000), height=st.integers(1, 5000), halo=st.integers(0, 40))
def test_any_frame_gets_a_tile_that_owns_something(width: int, height: int, halo: int) -> None:
    read = best_read(FLAT, (width, height), halo=halo, align=1, shared=False)
    assert len(plan_tiles(width, height, read=read, halo=halo, align=1)) >= 1


def test_with_equal_cost_per_pixel_a_small_frame_is_not_cut() -> None:
    assert best_read(FLAT, (480, 270), halo=9, align=2, shared=False) == (480, 270)
    assert best_read(FLAT, (720, 404), halo=9, align=2, shared=False) < (720, 404), "larger than anything measured"
    assert best_read(FLAT, (480, 270), halo=0, align=2, shared=False) == (480, 270), "cutting costs nothing either"
    assert best_read(FLAT, (400, 270), halo=9, align=2, shared=False) == (400, 270)


def test_a_size_that_costs_twice_as_much_is_avoided() -> None:
    costs = FLAT | {432: 2e-6, 304: 2e-6}
    assert max(best_read(costs, (1920, 1080), halo=9, align=2, shared=False)) <= 208


def test_a_shared_tile_does_not_depend_on_the_frame() -> None:
    sizes = [(64, 64), (1000, 30), (4000, 3000)]
    assert len({best_read(FLAT, size, halo=9, align=1, shared=True) for size in sizes}) == 1


def test_a_shared_tile_is_small_where_that_costs_little() -> None:
    assert best_read(FLAT, (64, 64), halo=2, align=1, shared=True) == (96, 96)
    assert best_read(FLAT | {96: 2e-6}, (64, 64), halo=2, align=1, shared=True) == (144, 144)


def test_a_reach_beyond_every_measured_side_still_gets_a_tile() -> None:
    read = best_read(FLAT, (2000, 2000), halo=300, align=2, shared=False)
    assert len(plan_tiles(2000, 2000, read=read, halo=300, align=2)) > 1


def test_tiles_are_measured_once_per_model_and_a_broken_file_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    model = random_model(2, features=4)
    spec = spec_of(model)
    assert spec is not None
    planes = planes_from_rgb(picture(60, 40), gray(), FULL_RANGE_RGB)
    phases: list[str] = []
    contents = []
    for _ in range(3):
        with Upscaler(
            model, spec, open_backend("openvino"), progress=lambda phase, share: phases.append(phase)
        ) as upscaler:
            upscaler.planes(planes, gray(), FULL_RANGE_RGB)
        (path,) = (tmp_path / "tiles").iterdir()
        contents.append(path.read_text())
        measured = len(phases)
        if len(contents) == 2:
            assert contents[0] == contents[1]
            assert measured == len(SIDES) * ROUNDS
            path.write_text("[not a table")
    assert len(phases) == 2 * len(SIDES) * ROUNDS
    assert json.loads(contents[2]).keys() == json.loads(contents[0]).keys()


def test_the_tiles_of_a_size_are_chosen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Choosing hashes the model and reads a file: more than a small frame's own time."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    model = random_model(2, features=4)
    spec = spec_of(model)
    assert spec is not None
    small, large = (planes_from_rgb(picture(width, 40), gray(), FULL_RANGE_RGB) for width in (60, 64))
    with Upscaler(model, spec, open_backend("openvino")) as upscaler:
        upscaler.planes(small, gray(), FULL_RANGE_RGB)
        (path,) = (tmp_path / "tiles").iterdir()
        path.unlink()
        upscaler.planes(small, gray(), FULL_RANGE_RGB)
        assert not path.exists()
        upscaler.planes(large, gray(), FULL_RANGE_RGB)
        assert path.exists()


def test_tiles_are_measured_as_frames_run_into_planes_already_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New planes for each tile had large ones look slow, and a frame of a light network was cut in two."""

    def run(*_: object) -> None:
        raise AssertionError("makes new planes")

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(OpenVinoSession, "run", run)
    model = random_model(2, features=4)
    spec = spec_of(model)
    assert spec is not None
    with Upscaler(model, spec, open_backend("openvino")) as upscaler:
        width, height = upscaler.read_size_for(gray(), FULL_RANGE_RGB, 60, 40)
    assert (width, height) == (60, 40)
