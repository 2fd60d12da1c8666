"""Which tile is chosen on a CPU, and that nothing but frame and halo decides it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_core.backend import open_backend
from sr_core.color import FULL_RANGE_RGB
from sr_core.frame import gray
from sr_core.model_spec import spec_of
from sr_core.storage import CACHE_VARIABLE
from sr_core.testing import picture, planes_from_rgb, random_model
from sr_core.tiles.read_size import LARGEST_AREA, SIDES, best_read, shared_side
from sr_core.tiles.tiling import plan_tiles
from sr_core.upscaler import Upscaler


@given(width=st.integers(1, 5000), height=st.integers(1, 5000), halo=st.integers(0, 40), align=st.sampled_from([1, 2]))
def test_any_frame_gets_tiles_that_own_something_and_fit_the_cache(
    width: int, height: int, halo: int, align: int
) -> None:
    size = (width * align, height * align)
    read = best_read(size, halo=halo, align=align)
    plan = plan_tiles(*size, read=read, halo=halo, align=align)
    assert len(plan) >= 1
    assert plan.read_width * plan.read_height <= LARGEST_AREA


def test_a_small_frame_is_not_cut() -> None:
    assert best_read((480, 270), halo=9, align=2) == (480, 270)
    assert best_read((480, 270), halo=0, align=2) == (480, 270), "cutting costs nothing either"
    assert best_read((400, 270), halo=9, align=2) == (400, 270)


def test_a_large_frame_is_cut_so_that_little_is_read_twice() -> None:
    for size in ((1280, 720), (1920, 1080), (720, 576)):
        plan = plan_tiles(*size, read=best_read(size, halo=12, align=2), halo=12, align=2)
        assert plan.pixels_read < 1.2 * size[0] * size[1]


def test_a_shared_side_grows_with_the_halo() -> None:
    assert shared_side(halo=0, align=1) == 96
    assert [shared_side(halo=halo, align=2) for halo in (2, 10, 20)] == [96, 208, 304]


def test_a_reach_beyond_every_side_still_gets_a_tile() -> None:
    read = best_read((2000, 2000), halo=300, align=2)
    assert len(plan_tiles(2000, 2000, read=read, halo=300, align=2)) > 1
    assert shared_side(halo=300, align=2) > max(SIDES)


@given(width=st.integers(150, 3000), height=st.integers(150, 3000), smallest=st.integers(1, 150))
def test_no_tile_is_smaller_than_the_network_takes(width: int, height: int, smallest: int) -> None:
    assert min(best_read((width, height), halo=10, align=1, smallest=smallest)) >= smallest
    assert shared_side(halo=10, align=1, smallest=smallest) >= smallest
    assert shared_side(halo=10, align=1, smallest=900) == 900


def test_a_first_and_a_second_run_cut_alike_and_measure_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured in between changed the tile, and with it the order of sums.

    In FP32: where a CPU has bf16, which precision is faster *is* tried, once, and said.
    """
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    model, reads, phases = random_model(2, features=4), [], list[str]()
    spec = spec_of(model)
    assert spec is not None
    planes = planes_from_rgb(picture(700, 500), gray(), FULL_RANGE_RGB)
    for threads in (1, 2):
        backend = open_backend("openvino", threads=threads)
        with Upscaler(
            model, spec, backend, precision="exact", progress=lambda phase, share: phases.append(phase)
        ) as upscaler:
            upscaler.planes(planes, gray(), FULL_RANGE_RGB)
            reads.append(upscaler.read_size_for(gray(), FULL_RANGE_RGB, 700, 500))
    assert reads[0] == reads[1]
    assert not phases
    assert not (tmp_path / "tiles").exists()
