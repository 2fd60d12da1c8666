"""An input that is elsewhere is read as if it were here."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_video.read.source import Source
from sr_video.segments.remote_file import RemoteFile

Clip = Callable[[str], Path]


@given(
    content=st.binary(max_size=100),
    block=st.integers(1, 30),
    steps=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 40)), max_size=20),
)
def test_any_order_of_reads_gives_the_files_own_bytes(content: bytes, block: int, steps: list[tuple[int, int]]) -> None:
    remote = RemoteFile(lambda offset, size: content[offset : offset + size], size=len(content), block_bytes=block)
    local = io.BytesIO(content)
    for offset, size in steps:
        assert remote.seek(offset) == local.seek(offset)
        part = remote.read(size)
        assert local.read(len(part)) == part
        assert part or size == 0 or offset >= len(content)
    assert remote.seek(0, io.SEEK_END) == len(content)


@pytest.mark.parametrize("name", ["plain.mp4", "mpeg2.ts", "vfr.mkv"])
def test_a_video_decodes_the_same_from_afar(name: str, clip: Clip) -> None:
    path = clip(name)
    descriptor = os.open(path, os.O_RDONLY)
    remote = RemoteFile(lambda offset, size: os.pread(descriptor, size, offset), size=path.stat().st_size)
    frames: list[list[tuple[int, bytes]]] = []
    for source in (Source(str(path)), Source("/nowhere/it.is", file=remote)):
        with source:
            units = source.units(copied=frozenset(), start=source.start_seconds + Fraction(2))
            found = [unit.frame for unit in units if unit.frame is not None]
            frames.append([(frame.ticks, np.ascontiguousarray(frame.planes()[0]).tobytes()) for frame in found])
    os.close(descriptor)
    assert frames[0] == frames[1]
    assert len(frames[0]) > 50
