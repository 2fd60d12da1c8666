"""Sound, subtitles and languages that a container cannot hold as they are: kept, converted or said, never late."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from sr_core.errors import BadInput
from sr_video.decide.languages import stored_language
from sr_video.write.sound import SoundConverter
from tests.conftest import skip_or_fail
from tests.video.conftest import Clip, read_back, upscaled


@pytest.mark.parametrize(
    ("language", "muxer", "stored"),
    [
        ("eng", "mov", "eng"),
        ("fre", "mov", "fra"),
        ("deu", "mov", "ger"),
        ("fre", "mp4", "fre"),
        ("pt-BR", "mp4", "por"),
        ("pt_BR", "mov", "por"),
        ("en", "mp4", "eng"),
        ("un@", "mov", "und"),
        ("pt-BR", "matroska", "pt-BR"),
    ],
)
def test_a_language_is_spelled_as_the_container_keeps_it(language: str, muxer: str, stored: str) -> None:
    assert stored_language(language, muxer) == stored


@pytest.mark.parametrize(("language", "stored"), [("fre", "fra"), ("pt-BR", "por"), ("qqq", "und")])
def test_a_language_arrives_or_is_said_to_be_lost(language: str, stored: str, clip: Clip, tmp_path: Path) -> None:
    source = clip(setup=lambda out, video: video.metadata.update(language=language))
    heard = upscaled(source, tmp_path / "out.mov", codec="libx264")
    with av.open(str(tmp_path / "out.mov")) as made:
        assert made.streams.video[0].metadata.get("language", "und") == stored
    assert any("language" in note and "lost" in note for note in heard.notes) == (stored == "und")


def with_pcm(path: Path, *, samples: int) -> Path:
    """A video with stereo PCM in packets of `samples`."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mjpeg" if path.suffix == ".avi" else "ffv1", rate=25)
        video.width, video.height = 32, 32
        video.pix_fmt = "yuvj420p" if path.suffix == ".avi" else "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=48000, layout="stereo")
        for number in range(25):
            picture = np.full((32, 32, 3), number * 9, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=video.pix_fmt)
            out.mux(video.encode(frame))
            tone = av.AudioFrame.from_ndarray(
                np.arange(samples * 2, dtype=np.int16)[None], format="s16", layout="stereo"
            )
            tone.sample_rate, tone.pts, tone.time_base = 48000, number * samples, Fraction(1, 48000)
            out.mux(sound.encode(tone))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("ending", ["mov", "mp4"])
@pytest.mark.parametrize("source", ["in.avi", "in.mkv"])
@pytest.mark.parametrize("samples", [1920, 100])
def test_pcm_of_any_packet_size_arrives_with_every_sample(
    samples: int, source: str, ending: str, tmp_path: Path
) -> None:
    target = tmp_path / f"out.{ending}"
    upscaled(with_pcm(tmp_path / source, samples=samples), target, codec="libx264")
    with av.open(str(target)) as made:
        sounds = [frame.to_ndarray().reshape(-1) for frame in made.decode(audio=0)]
        planes = made.streams.audio[0].codec_context.format.is_planar
    total = sum(sound.size for sound in sounds)
    assert total == 25 * samples * 2
    assert planes or np.concatenate(sounds)[: samples * 2].tolist() == list(range(samples * 2))


def test_overlapping_cues_keep_their_beginnings_in_mp4(clip: Clip, tmp_path: Path) -> None:
    """A later cue begins on time; the one before ends there."""
    text = tmp_path / "in.srt"
    cues = [(0, 3), (1, 4), (2, 5), (3, 6)]
    text.write_text(
        "".join(f"{n}\n00:00:0{a},000 --> 00:00:0{b},000\nline {n}\n\n" for n, (a, b) in enumerate(cues, 1))
    )
    plain, source = clip(frames=8, ticks=[1000 * n for n in range(8)]), tmp_path / "with.mkv"
    with av.open(str(plain)) as video, av.open(str(text)) as words, av.open(str(source), "w") as out:
        copies = [out.add_stream_from_template(video.streams.video[0]), out.add_stream_from_template(words.streams[0])]
        for read, copy in zip((video, words), copies, strict=True):
            for packet in read.demux(read.streams[0]):
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
    upscaled(source, tmp_path / "out.mp4", codec="libx264")
    with av.open(str(tmp_path / "out.mp4")) as made:
        stream = made.streams.subtitles[0]
        base = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        begins = [round(packet.pts * base * 1000) for packet in made.demux(stream) if packet.size > 2]
    assert begins == [0, 1000, 2000, 3000]


def test_a_side_stream_without_decoder_is_left_out_and_said(clip: Clip, tmp_path: Path) -> None:
    source = clip("in.mkv", sound=True)
    content = source.read_bytes()
    assert content.count(b"A_FLAC") == 1
    source.write_bytes(content.replace(b"A_FLAC", b"A_FLAX"))
    for ending in ("mkv", "mp4", "webm", "mov"):
        codec = "libsvtav1" if ending == "webm" else "libx264"
        heard = upscaled(
            source, tmp_path / f"out.{ending}", codec=codec, preset="12" if ending == "webm" else "ultrafast"
        )
        assert any("stream 1, audio" in note and "lost" in note for note in heard.notes)
        assert read_back(tmp_path / f"out.{ending}").kinds == ["video"]


@pytest.mark.parametrize("ending", ["mov", "mkv"])
def test_sound_that_only_apple_decodes_is_copied_where_the_container_takes_it(
    ending: str, clip: Clip, tmp_path: Path
) -> None:
    """An iPhone's second track of sound: Apple Positional Audio Codec, for which FFmpeg has no decoder."""
    plain, source = tmp_path / "plain.mp4", tmp_path / "in.mov"
    with av.open(str(clip(frames=8))) as read, av.open(str(plain), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("alac", rate=48000, layout="stereo")
        for frame in read.decode(video=0):
            out.mux(video.encode(frame.reformat(format="yuv420p")))
        out.mux(video.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((2, 2 * 4096), np.int16), format="s16p", layout="stereo")
        tone.sample_rate, tone.pts = 48000, 0
        out.mux(sound.encode(tone))
        out.mux(sound.encode(None))
    content = plain.read_bytes()
    assert content.count(b"alac") == 2  # the sample entry, and its box
    source.write_bytes(content.replace(b"alac", b"apac", 1))
    with av.open(str(source)) as made:
        assert made.streams.audio[0].codec_context is None
    target = tmp_path / f"out.{ending}"
    heard = upscaled(source, target, codec="libx264")
    if ending == "mov":
        assert read_back(target).packets[1] == read_back(source).packets[1] != []
        assert b"apac" in target.read_bytes()
    else:
        assert read_back(target).kinds == ["video"]
    assert any("stream 1, audio" in note and "lost" in note for note in heard.notes) == (ending == "mkv")


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_sound_whose_decoder_does_not_open_is_left_out_and_said_once(ending: str, clip: Clip, tmp_path: Path) -> None:
    """MOV does not carry the header that WMA's decoder needs."""
    if shutil.which("ffmpeg") is None:
        skip_or_fail("PyAV does not write WMA into MOV: apt install ffmpeg")
    source = tmp_path / "wma.mov"
    inputs = ["-i", str(clip(codec="libx264")), "-f", "lavfi", "-i", "sine=d=0.3:r=44100"]
    made = ["ffmpeg", "-v", "error", *inputs, "-c:v", "copy", "-c:a", "wmav1", str(source)]
    subprocess.run(made, check=True)
    heard = upscaled(source, tmp_path / f"out.{ending}", codec="libx264")
    (note,) = [note for note in heard.notes if note.startswith("stream 1")]
    assert "is lost" in note
    assert "its decoder does not open" in note
    assert read_back(tmp_path / f"out.{ending}").kinds == ["video"]


def test_sound_whose_decoder_does_not_say_its_samples_is_refused_each_time(tmp_path: Path) -> None:
    """A pipe's decoder is the same at every trial: at the second it is open already."""
    decoder = av.CodecContext.create("truehd", "r")
    source: Any = SimpleNamespace(index=1, codec_context=decoder)
    for number in range(2):
        with av.open(str(tmp_path / f"{number}.mov"), "w") as out, pytest.raises(BadInput, match="does not say what"):
            SoundConverter(out, source, "alac", lambda *_: None)
