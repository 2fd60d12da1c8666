"""srvid --hwaccel cuda where there is no card: it says so and decodes the same frames on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sr_core.frame import Array
from sr_core.media.hwaccel import decoder_on
from sr_core.media.plan import Request, plan_output
from sr_core.media.source import Source
from tests.trt.test_gpu_planes import has_gpu

CLIP = Path(__file__).parents[2] / "examples" / "flower.mp4"


def luma_of(source: Source) -> list[Array]:
    with source:
        return [np.array(unit.frame.planes()[0]) for unit in source.units(copied=frozenset()) if unit.frame is not None]


def test_without_a_driver_the_frames_are_the_cpus_and_a_note_says_why() -> None:
    if has_gpu():
        pytest.skip("this machine has a GPU")
    source = Source(str(CLIP), hwaccel="cuda")
    assert len(source.notes) == 1
    assert source.notes[0].startswith("--hwaccel cuda is not available here (")
    assert source.notes[0].endswith("): decoding on the CPU")
    plan = plan_output(source, Request(source=str(CLIP), target="out.mp4", hwaccel="cuda"))
    assert source.notes[0] in plan.notes
    frames, expected = luma_of(source), luma_of(Source(str(CLIP)))
    assert len(frames) == len(expected) > 0
    assert all(np.array_equal(got, wanted) for got, wanted in zip(frames, expected, strict=True))


def test_a_plain_source_has_no_notes() -> None:
    with Source(str(CLIP)) as source:
        assert source.notes == []
    assert decoder_on(None) == (None, "")
