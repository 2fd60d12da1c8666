"""Clips for browsers: as they are where that plays, encoded elsewhere."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sr_core.errors import Cancelled
from sr_video.playable import make_playable


def make_video(path: Path, pix_fmt: str) -> Path:
    noise = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for number in range(25):
            picture = noise.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = 100 + number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shown(path: Path) -> tuple[list[float | None], str | None, list[np.ndarray]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.time for frame in frames], frames[0].format.name, [frame.to_ndarray() for frame in frames]


def test_what_browsers_play_is_copied_frame_by_frame_from_zero_on(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mkv", "yuv420p")
    assert make_playable(str(video), tmp_path / "a.mp4") == 25
    times, _, pictures = shown(tmp_path / "a.mp4")
    assert times == pytest.approx([number / 25 for number in range(25)], abs=0.002)  # Matroska counts milliseconds
    np.testing.assert_array_equal(pictures, shown(video)[2])


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p"])
def test_what_browsers_do_not_play_is_encoded(tmp_path: Path, pix_fmt: str) -> None:
    video = make_video(tmp_path / "a.mkv", pix_fmt)
    assert make_playable(str(video), tmp_path / "a.mp4") == 25
    times, made, _ = shown(tmp_path / "a.mp4")
    assert (made, times[0]) == ("yuv420p", 0)


def test_a_part_is_cut_out_and_a_clip_that_nobody_wants_is_left(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mkv", "yuv420p")
    second = Fraction(1, 5)
    assert make_playable(str(video), tmp_path / "a.mp4", start=second, end=2 * second) == 5
    with pytest.raises(Cancelled):
        make_playable(str(video), tmp_path / "b.mp4", start=second, is_wanted=lambda: False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "a.mp4"]
