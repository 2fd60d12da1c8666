"""Inputs whose packets, times or pictures are not laid out as most files have them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.media.conftest import Clip, read_back, upscaled


def remuxed(source: Path, target: Path, **options: str) -> Path:
    """The same packets in another container."""
    with av.open(str(source)) as given, av.open(str(target), "w", options=options) as out:
        streams = [out.add_stream_from_template(stream) for stream in given.streams]
        for packet in given.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return target


@pytest.mark.parametrize("end", ["0.4", "0.9"])
def test_a_cut_keeps_the_sound_that_a_fragment_stores_behind_its_pictures(clip: Clip, tmp_path: Path, end: str) -> None:
    whole = clip(codec="libx264", frames=50, sound=True)
    source = remuxed(whole, tmp_path / "in.mp4", movflags="frag_keyframe+empty_moov+default_base_moof")
    upscaled(source, tmp_path / "out.mkv", end=Fraction(end))
    expected = [time for time in read_back(source, kind="audio").seconds if time < Fraction(end)]
    found = read_back(tmp_path / "out.mkv", kind="audio").seconds
    assert len(found) == len(expected) > 3
