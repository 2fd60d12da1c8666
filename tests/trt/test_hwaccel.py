"""srvid --hwaccel cuda where there is no card: it says so and decodes the same frames on the CPU."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from sr_core.backends.cuda import Cuda
from sr_core.frame import Array
from sr_core.media import hwaccel
from sr_core.media.hwaccel import Decoder, decoder_on
from sr_core.media.plan import Request, plan_output
from sr_core.media.source import Source
from tests.trt.fake_cuda import FakeCuda
from tests.trt.test_engine_store import L4
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


# ---- where CUDA is there, up to the point where FFmpeg would open it


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """Two L4 as far as CUDA goes; FFmpeg finds no driver."""
    cuda = FakeCuda()

    class OnFake(Cuda):
        def __init__(self) -> None:
            super().__init__(cuda)

    monkeypatch.setattr(hwaccel, "find_gpus", lambda: (L4, replace(L4, index=1)))
    monkeypatch.setattr(hwaccel, "Cuda", OnFake)
    return cuda


def test_frames_stay_on_the_card_that_was_named_in_the_context_of_the_engine(card: FakeCuda) -> None:
    asked = Decoder(index=1, shares_frames=True).hwaccel()
    assert (asked.is_hw_owned, asked.device_id) == (True, 1)
    assert asked.options == {"primary_ctx": "0", "current_ctx": "1"}
    assert card.current == 1  # which is the context that FFmpeg will find
    assert asked.allow_software_fallback


def test_without_cuda_bindings_frames_are_downloaded_and_no_context_is_shared(card: FakeCuda) -> None:
    asked = Decoder(index=1, shares_frames=False).hwaccel()
    assert (asked.is_hw_owned, asked.options) == (False, {})
    assert card.current == 0


def test_a_context_that_cannot_be_shared_is_said_and_the_card_decodes_all_the_same(
    card: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    def device(kind: str, *, device: int, options: dict[str, object]) -> None:
        if options:
            raise av.error.OSError(95, "Operation not supported")

    monkeypatch.setattr(hwaccel, "HWDevice", device)
    decoder, note = decoder_on("cuda:1")
    assert decoder == Decoder(index=1, shares_frames=False)
    assert note == "frames are downloaded from the card: Operation not supported"


@pytest.mark.usefixtures("card")
def test_a_card_that_ffmpeg_cannot_open_leaves_decoding_to_the_cpu_with_the_reason() -> None:
    if has_gpu():
        pytest.skip("this machine has a GPU")
    decoder, note = decoder_on("cuda:1")
    assert decoder is None
    assert re.fullmatch(r"--hwaccel cuda:1 is not available here \(.+\): decoding on the CPU", note)
