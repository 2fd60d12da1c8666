"""What a finished segment used is given back when it ends, not when Python happens to collect garbage."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sr_video.segments.maker as maker

TASKS = Path("/proc/self/task")
MORE = 1.5  # the second half of the segments needs no more threads than the first; kept ones made it 1.9 times


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(not TASKS.is_dir(), reason="native threads are counted in /proc")
@pytest.mark.usefixtures("no_collection")
def test_threads_of_finished_segments_are_gone(
    clip: Callable[[str], Path], upscale_here: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    make = maker.make_segment

    def counted(*args: object, **kwargs: object) -> object:
        record = make(*args, **kwargs)  # type: ignore[arg-type]
        counts.append(len(os.listdir(TASKS)))
        return record

    monkeypatch.setattr(maker, "make_segment", counted)
    upscale_here(clip("plain.mp4"), tmp_path / "out.mkv", segment=0.12)
    assert len(counts) >= 40
    assert max(counts[20:]) < MORE * max(counts[:20])
