"""The times and the sound of the input are those of the output."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.video.conftest import Clip, read_back, upscaled

VFR_TICKS = [0, 17, 50, 51, 120, 400, 433, 1000]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_variable_frame_rate_is_kept_to_the_tick(clip: Clip, tmp_path: Path, ending: str) -> None:
    source = clip(ticks=VFR_TICKS)
    target = tmp_path / f"out.{ending}"
    upscaled(source, target)
    found = read_back(target)
    assert found.seconds == [Fraction(tick, 1000) for tick in VFR_TICKS]


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_late_start_is_kept(clip: Clip, tmp_path: Path, ending: str) -> None:
    source = clip(ticks=[7300 + 40 * i for i in range(6)], sound=True)
    target = tmp_path / f"out.{ending}"
    upscaled(source, target)
    assert read_back(target).seconds[0] == Fraction(73, 10)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_clock_that_begins_before_zero_is_moved_to_zero(clip: Clip, tmp_path: Path, ending: str) -> None:
    """MPEG-TS counts 33 bits; FFmpeg takes what comes before the wrap as negative."""
    wrap = 1 << 33
    ticks = [wrap - 180_000 + 3600 * index for index in range(60)]
    source = clip("in.ts", codec="libx264", ticks=ticks, time_base=Fraction(1, 90000))
    before = read_back(source).seconds
    assert before[0] < 0 < before[-1]
    target = tmp_path / f"out.{ending}"
    heard = upscaled(source, target)
    assert any("clock of the input begins at -" in note for note in heard.notes)
    after = read_back(target).seconds
    assert after[0] < Fraction(1, 1000)
    assert [time - after[0] for time in after] == [time - before[0] for time in before]


def test_timestamps_beyond_a_day_are_kept(clip: Clip, tmp_path: Path) -> None:
    source = clip(ticks=[95_000_000 + 40 * i for i in range(4)])
    target = tmp_path / "out.mkv"
    upscaled(source, target)
    assert read_back(target).seconds[0] == 95_000


def test_every_frame_keeps_its_own_duration(clip: Clip, tmp_path: Path) -> None:
    source = clip(ticks=[0, 100, 400, 420])
    target = tmp_path / "out.mkv"
    upscaled(source, target, codec="ffv1")
    assert read_back(target).durations == read_back(source).durations


def test_sound_is_copied_packet_for_packet(clip: Clip, tmp_path: Path) -> None:
    source, target = clip(sound=True), tmp_path / "out.mkv"
    upscaled(source, target)
    assert read_back(target).packets[1] == read_back(source).packets[1]
    assert read_back(target, kind="audio").seconds == read_back(source, kind="audio").seconds


@pytest.mark.parametrize(("codec", "ending", "becomes"), [("wmav2", "mp4", "alac"), ("wmav2", "mkv", "flac")])
def test_sound_the_container_refuses_is_converted_not_lost(
    tmp_path: Path, codec: str, ending: str, becomes: str
) -> None:
    source, target = tmp_path / "in.wmv", tmp_path / f"out.{ending}"
    _clip_with_tone(source, codec)
    heard = upscaled(source, target)
    assert any(f"becomes {becomes}" in note for note in heard.notes)
    before, after = _samples(source), _samples(target)
    length = min(before.size, after.size)
    assert abs(before.size - after.size) <= 4096  # the last block may be padded
    assert np.abs(before[:length] - after[:length]).max() < 2 / 32768


def test_floating_point_sound_keeps_24_bits_and_the_note_says_so(clip: Clip, tmp_path: Path) -> None:
    wave = (np.sin(np.arange(48000) / 10) / 256).astype(np.float32)  # quiet: 8 of 16 bits would be left

    def with_float(out: av.container.OutputContainer, video: object) -> None:
        sound = out.add_stream("wavpack", rate=48000, layout="mono")
        assert isinstance(sound, av.AudioStream)
        sound.codec_context.format = "fltp"
        tone = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        tone.sample_rate, tone.pts = 48000, 0
        out.start_encoding()
        out.mux([*sound.encode(tone), *sound.encode(None)])

    source, target = clip(setup=with_float), tmp_path / "out.mp4"
    heard = upscaled(source, target)
    assert any("becomes alac (floating point becomes 24 bits)" in note for note in heard.notes)
    with av.open(str(target)) as container:
        found = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert np.abs(found[:48000] / 2.0**31 - wave).max() < 2.0**-22


def _clip_with_tone(path: Path, codec: str) -> None:
    with av.open(str(path), "w") as out:
        video, sound = out.add_stream("wmv2", rate=25), out.add_stream(codec, rate=44100, bit_rate=128000)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        wave = (np.sin(np.arange(44100) / 10) * 9000).astype(np.int16)
        tone = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
        tone.sample_rate, tone.pts = 44100, 0
        for index in range(25):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(sound.encode(tone))
        out.mux(sound.encode(None))
        out.mux(video.encode(None))


def _samples(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    joined = [f if f.shape[0] == 2 else f.reshape(-1, 2).T for f in frames]
    samples = np.concatenate(joined, axis=1)[0]
    return samples / 32768 if samples.dtype == np.int16 else samples


def test_sound_is_left_out_on_request(clip: Clip, tmp_path: Path) -> None:
    source, target = clip(sound=True), tmp_path / "out.mkv"
    upscaled(source, target, keeps_audio=False)
    assert read_back(target).kinds == ["video"]
