"""Encoders of graphics cards on a machine that may have none: real refusals, and options that FFmpeg knows.

FFmpeg reads an encoder's options before it looks for the card. A value that it cannot read is therefore refused as
such, and one that it can leads to the missing card: together they prove the option.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.codec.codec import Codec, UnknownCodecError
from click.testing import CliRunner

from sr_core.errors import BadInput, NotAvailable
from sr_core.frame import PixelFormat, yuv
from sr_video.decide.codecs import VIDEO_CODECS, choose_pix_fmt, encoder_options, encoder_pix_fmts, video_codec
from sr_video.decide.encoding import EncoderSettings
from sr_video.decide.hardware_encoders import ELSEWHERE, HARDWARE_ENCODERS, why_not_here
from sr_video.decide.plan import Request, plan_output
from sr_video.decide.video_codec import VideoCodec
from sr_video.read.source import Source
from sr_video.write.encoder import VideoEncoder
from srvid_cli.srkit.doctor import command as doctor
from srvid_cli.srvid import srvid_command

CLIP = Path(__file__).parents[2] / "examples" / "flower.mp4"


def is_built(row: VideoCodec) -> bool:
    try:
        Codec(row.encoder, "w")
    except UnknownCodecError:
        return False
    return True


BUILT = [row for row in HARDWARE_ENCODERS.values() if is_built(row)]
MISSING = [row for row in BUILT if why_not_here(row)]


def opened(row: VideoCodec, pix_fmt: str, options: dict[str, str]) -> None:
    context = av.CodecContext.create(row.encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 256, 144, pix_fmt
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = options
    context.open()


def test_pyavs_wheel_has_those_of_nvidia_intel_and_amd() -> None:
    families = {row.encoder.rpartition("_")[2] for row in BUILT}
    assert families >= {"videotoolbox"} or families >= {"nvenc", "qsv", "amf"}
    assert not any(is_built(replace(row, encoder=name)) for name in ELSEWHERE for row in BUILT[:1])


@pytest.mark.parametrize("row", BUILT, ids=lambda row: row.encoder)
def test_each_pixel_format_is_one_that_the_encoder_lists_and_that_we_fill(row: VideoCodec) -> None:
    listed = {fmt.name for fmt in Codec(row.encoder, "w").video_formats or ()}
    assert set(row.pix_fmts) <= listed
    assert encoder_pix_fmts(row) == row.pix_fmts


@pytest.mark.parametrize("row", MISSING, ids=lambda row: row.encoder)
def test_every_option_is_one_that_ffmpeg_reads(row: VideoCodec) -> None:
    told = encoder_options(row, crf=None, preset=None, pix_fmt=row.pix_fmts[0], user={})
    if row.device_option:
        told[row.device_option] = "1"
    for preset in row.presets:
        told |= {row.preset_option: preset}
        with pytest.raises((av.FFmpegError, NotImplementedError)) as refused:
            opened(row, row.pix_fmts[0], told)
        assert not isinstance(refused.value, ValueError), f"{preset}: {refused.value}"
    for name in told:
        with pytest.raises(ValueError, match="Invalid argument"):
            opened(row, row.pix_fmts[0], {**told, name: "no such value"})


@pytest.mark.parametrize("row", MISSING, ids=lambda row: row.encoder)
def test_one_that_is_not_here_is_refused_in_words_before_the_first_frame(row: VideoCodec, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    arguments = [str(CLIP), str(target), "--model", "nearest", "--scale", "2", "--codec", row.encoder]
    result = CliRunner().invoke(srvid_command, [*arguments, "--no-segments"])
    assert isinstance(result.exception, NotAvailable), result.exception
    assert result.exception.message.startswith(f"{row.encoder} cannot be used here: ")
    assert row.needs in result.exception.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", sorted(ELSEWHERE) + [row.encoder for row in HARDWARE_ENCODERS.values() if row not in BUILT]
)
def test_one_that_this_build_lacks_is_refused_with_what_works(name: str) -> None:
    with pytest.raises(NotAvailable) as caught:
        video_codec(name)
    assert "works anywhere; srkit doctor lists what opens here" in caught.value.hint


def test_nvenc_names_the_driver_that_pyavs_build_needs() -> None:
    """Its NVENC headers are version 13.0, which drivers before 570 refuse."""
    assert {row.needs for name, row in HARDWARE_ENCODERS.items() if name.endswith("_nvenc")} == {
        "an NVIDIA GPU and driver 570 or newer"
    }


def test_doctor_tries_every_one() -> None:
    said = CliRunner().invoke(doctor, [], catch_exceptions=False).output
    for name, row in HARDWARE_ENCODERS.items():
        line = next(line.strip() for line in said.splitlines() if line.strip().startswith(name))
        assert line.endswith("yes") or f"; needs {row.needs}" in line
    assert "h264_vaapi         no: PyAV's wheels have no VA-API encoders" in said


def test_amd_gets_one_quality_for_both_kinds_of_frames() -> None:
    row = HARDWARE_ENCODERS["h264_amf"]
    told = encoder_options(row, crf=23, preset="speed", pix_fmt="nv12", user={"qp_p": "25"})
    assert told == {"rc": "cqp", "qp_i": "23", "qp_p": "25", "quality": "speed"}
    with pytest.raises(BadInput, match="beyond h264_amf's worst, 51"):
        encoder_options(row, crf=52, preset=None, pix_fmt="nv12", user={})


@pytest.mark.parametrize(
    ("name", "depth", "taken", "loses"),
    [
        ("h264_nvenc", 10, "yuv420p", True),
        ("hevc_nvenc", 10, "p010le", False),
        ("h264_qsv", 10, "nv12", True),
        ("hevc_qsv", 10, "p010le", False),
        ("hevc_amf", 10, "p010le", False),
        ("av1_qsv", 8, "nv12", False),
    ],
)
def test_ten_bits_stay_where_the_encoder_has_them_and_are_said_to_be_lost_where_not(
    name: str, depth: int, taken: str, loses: bool
) -> None:
    source: PixelFormat = yuv("420", depth=depth)
    pix_fmt, notes = choose_pix_fmt(VIDEO_CODECS[name], source, width=640, height=360)
    assert pix_fmt == taken
    assert any("10 bits become 8" in note for note in notes) == loses


def settings_on(device: int | None, codec: str, **options: str) -> EncoderSettings:
    with Source(str(CLIP)) as source:
        request = Request(source=str(CLIP), target="out.mkv", codec=codec, options=options, device=device)
        return plan_output(source, request).encoder


def test_nvenc_runs_on_the_gpu_that_was_named(tmp_path: Path) -> None:
    def told(settings: EncoderSettings) -> str | None:
        with av.open(str(tmp_path / "out.mkv"), "w") as container:
            context = VideoEncoder(container, settings).stream.codec_context
            return context.options.get("gpu")

    assert told(settings_on(1, "hevc_nvenc")) == "1"
    assert told(settings_on(None, "hevc_nvenc")) is None
    assert told(settings_on(1, "hevc_nvenc", gpu="0")) == "0"
    assert told(settings_on(1, "libx264")) is None
