"""Display matrices and crops that only damage can have made still give a file."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest

from sr_video.decide.geometry import scale_crop, scale_matrix

UNTURNED = (65536, 0, 0, 0, 65536, 0)


@pytest.mark.parametrize("shift", [2**31 - 1, -(2**31), 2**30])
def test_a_shift_that_grows_past_its_field_stays_in_it(shift: int) -> None:
    facts: Any = SimpleNamespace(display_matrix=(*UNTURNED, shift, shift, 1 << 30), width=32, height=32)
    matrix = scale_matrix(facts, 128, 128)
    assert matrix is not None
    assert matrix[:6] == UNTURNED
    assert struct.pack("<9i", *matrix)
    assert (matrix[6] > 0) == (shift > 0)


@pytest.mark.parametrize(
    ("crop", "expected"),
    [((2, 4, 6, 8), (4, 8, 12, 16)), ((16, 16, 0, 0), (0, 0, 0, 0)), ((0, 0, 2**32 - 1, 0), (0, 0, 0, 0))],
)
def test_a_crop_that_would_leave_nothing_is_no_crop(
    crop: tuple[int, int, int, int], expected: tuple[int, int, int, int]
) -> None:
    context = SimpleNamespace(coded_side_data={"frame_cropping": struct.pack("<4I", *crop)})
    source: Any = SimpleNamespace(
        stream=SimpleNamespace(codec_context=context), facts=SimpleNamespace(width=32, height=32)
    )
    assert scale_crop(source, 64, 64) == expected
