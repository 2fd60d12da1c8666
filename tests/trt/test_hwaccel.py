"""srvid --hwaccel cuda where there is no card: it says so and decodes the same frames on the CPU."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sr_core.backends.cuda import Cuda
from sr_core.errors import DamagedMedia
from sr_core.frame import Array
from sr_core.wording import as_flag, spell
from sr_video.decide.plan import Request, plan_output
from sr_video.read import hwaccel
from sr_video.read.hwaccel import Decoder, decoder_on
from sr_video.read.source import Source
from tests.trt.cards import L4, has_gpu
from tests.trt.fake_cuda import FakeCuda
from tests.video.conftest import Clip

CLIP = Path(__file__).parents[2] / "examples" / "flower.mp4"


def luma_of(source: Source) -> list[Array]:
    with source:
        return [np.array(unit.frame.planes()[0]) for unit in source.units(copied=frozenset()) if unit.frame is not None]


def test_without_a_driver_the_frames_are_the_cpus_and_a_note_says_why() -> None:
    if has_gpu():
        pytest.skip("this machine has a GPU")
    source = Source(str(CLIP), hwaccel="cuda")
    assert len(source.notes) == 1
    assert spell(source.notes[0], as_flag).startswith("--hwaccel cuda is not available here (")
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
    told = spell(note, as_flag)
    assert re.fullmatch(r"--hwaccel cuda:1 is not available here \(.+\): decoding on the CPU", told)


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(("codec", "threads"), [("libx264", 1), ("libx265", 2)])
def test_a_decoder_on_the_card_has_threads_for_its_32_surfaces(
    clip: Clip, monkeypatch: pytest.MonkeyPatch, codec: str, threads: int
) -> None:
    path = clip("in.mkv", codec=codec, size=(96, 64), frames=3)
    monkeypatch.setattr(hwaccel, "HWDevice", lambda kind, **options: None)
    monkeypatch.setattr(Decoder, "hwaccel", lambda self: None)  # FFmpeg finds no driver here
    with Source(str(path), hwaccel="cuda") as source:
        assert source.stream.codec_context.thread_count == threads


class _FailingStream:
    """NVDEC out of surfaces: every packet of the first opening is refused as FFmpeg does it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.openings = 0
        opening, demuxing = Source._open, Source._demux

        def count(source: Source) -> None:
            self.openings += 1
            opening(source)

        def demux(source: Source) -> Iterator[object]:
            for packet in demuxing(source):
                yield packet if self.openings > 1 else _Refused(packet)

        monkeypatch.setattr(Source, "_open", count)
        monkeypatch.setattr(Source, "_demux", demux)


class _Refused:
    def __init__(self, packet: Any) -> None:
        self._packet = packet

    def __getattr__(self, name: str) -> Any:
        return getattr(self._packet, name)

    def decode(self) -> list[object]:
        raise av.error.MemoryError(12, "No decoder surfaces left")


def test_a_card_that_decodes_no_frame_leaves_the_file_to_the_cpu_and_its_reason_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = luma_of(Source(str(CLIP)))
    monkeypatch.setattr(hwaccel, "HWDevice", lambda kind, **options: None)
    monkeypatch.setattr(Decoder, "hwaccel", lambda self: None)
    failing = _FailingStream(monkeypatch)
    source = Source(str(CLIP), hwaccel="cuda")
    assert failing.openings == 2
    assert source.notes == ["the card does not decode this (No decoder surfaces left): decoding on the CPU"]
    assert not source.damage
    assert source.stream.codec_context.thread_count != 1
    frames = luma_of(source)
    assert len(frames) == len(expected) > 0
    assert all(np.array_equal(got, wanted) for got, wanted in zip(frames, expected, strict=True))


def test_a_file_that_the_cpu_does_not_decode_either_is_damaged_and_no_card_is_blamed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hwaccel, "HWDevice", lambda kind, **options: None)
    monkeypatch.setattr(Decoder, "hwaccel", lambda self: None)
    failing = _FailingStream(monkeypatch)
    failing.openings = -1  # the second opening fails as well
    with pytest.raises(DamagedMedia, match=r"flower\.mp4 is damaged: 1 packet does not decode"):
        Source(str(CLIP), hwaccel="cuda")
    assert failing.openings == 1
