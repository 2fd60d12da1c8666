"""Arithmetic of tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sr_core.errors import BadInput
from sr_core.tiles.tiling import balanced_read, plan_axis, plan_tiles, ramp

ALIGNED = st.integers(1, 400)


@given(length=ALIGNED, read=ALIGNED, halo=st.integers(0, 20), align=st.sampled_from([1, 2, 4]))
def test_every_pixel_is_owned_once_and_read_with_its_halo(length: int, read: int, halo: int, align: int) -> None:
    length, read, halo = length * align, read * align, halo * align
    assume(read >= length or read - 2 * halo >= align)
    spans = plan_axis(length, read=read, halo=halo, align=align)
    owned = np.zeros(length, int)
    for span in spans:
        owned[span.start : span.stop] += 1
        end = span.read + min(read, length)
        assert 0 <= span.read <= max(span.start - halo, 0)
        assert min(span.stop + halo, length) <= end <= length
        assert span.read % align == span.start % align == 0
    assert (owned == 1).all()


@given(length=ALIGNED, read=ALIGNED, halo=st.integers(0, 20), align=st.sampled_from([1, 2, 4]))
def test_balancing_reads_less_with_no_more_tiles(length: int, read: int, halo: int, align: int) -> None:
    length, read, halo = length * align, read * align, halo * align
    assume(read >= length or read - 2 * halo >= align)
    balanced = balanced_read(length, read=read, halo=halo, align=align)
    before = plan_axis(length, read=read, halo=halo, align=align)
    after = plan_axis(length, read=balanced, halo=halo, align=align)
    assert len(after) <= len(before)
    assert balanced <= max(read, align) or balanced == length


def test_a_tile_that_owns_nothing_is_refused_with_a_size_that_works() -> None:
    with pytest.raises(BadInput, match="owns nothing") as caught:
        plan_tiles(500, 500, read=(32, 32), halo=16, align=1)
    side = int(caught.value.hint.split("tile=")[1].split()[0])
    assert len(plan_tiles(500, 500, read=(side, side), halo=16, align=1)) > 1


@given(overlap=st.integers(0, 60), length=st.integers(60, 90), margin=st.integers(0, 10))
def test_ramps_of_neighbours_sum_to_one(overlap: int, length: int, margin: int) -> None:
    left = ramp(length, overlap_before=0, overlap_after=overlap, margin=margin)
    right = ramp(length, overlap_before=overlap, overlap_after=0, margin=margin)
    assume(overlap > 2 * margin)
    for index in range(overlap):
        assert left[length - overlap + index] + right[index] == pytest.approx(1)
    assert not any(right[:margin])
