"""Advice is measured from the bitstream: the same pictures, compressed more or less."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.video.stream import VideoStream

from sr_core.wording import as_flag, spell
from sr_video.decide import hardware_encoders
from sr_video.read.compression import measure_quantizer, read_rate_factor
from sr_video.read.hardness import compression_of
from sr_zoo.models import DEFAULT_MODEL
from srvid.advice import RESTORING_MODEL
from srvid.model_choice import scales_of
from srvid_cli.advice import encoding_advice, fitting_model

CLIP = Path(__file__).resolve().parents[2] / "examples" / "flower.mp4"


def compress(path: Path, codec: str, options: dict[str, str], *, still: bool = False) -> Path:
    """The clip by `codec`; `still`: its first frame again and again."""
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as out:
        video = source.streams.video[0]
        stream = out.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        frames = list(source.decode(video=0))
        for number, frame in enumerate(frames[:1] * len(frames) if still else frames):
            frame.pict_type, frame.pts, frame.time_base = 0, number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("quantizer", [20, 30, 42])
def test_a_constant_quantizer_is_measured_as_it_was_set(quantizer: int, tmp_path: Path) -> None:
    options = {"qp": str(quantizer), "x264-params": "ipratio=1:pbratio=1"}
    measured = measure_quantizer(str(compress(tmp_path / "clip.mkv", "libx264", options)))
    assert measured == pytest.approx(quantizer, abs=0.5)


def without_rate_factor(source: Path, path: Path) -> Path:
    """A copy that does not say what encoder it is by, as hardware's and streaming sites' H.264."""
    given = source.read_bytes()
    assert b"x264 - core" in given
    path.write_bytes(given.replace(b"x264 - core", b"none - core"))
    return path


@pytest.mark.parametrize("still", [False, True], ids=["moving", "still"])
@pytest.mark.parametrize("crf", [16, 20, 28, 34])
def test_restore_is_taken_from_crf_28_on_and_never_up_to_20(crf: int, still: bool, tmp_path: Path) -> None:
    path = compress(tmp_path / "a.mkv", "libx264", {"crf": str(crf)}, still=still)
    assert read_rate_factor(str(path)) == crf
    model, why = fitting_model(str(path))
    assert model == ("restore" if crf >= 28 else "clear")
    assert (f"x264 at crf {crf}): restore cleans it up" in why) == (crf >= 28)
    assert ("--model clear leaves it" in spell(why, as_flag)) == (crf >= 28)
    assert fitting_model(str(path)) == (model, why)


@pytest.mark.parametrize("crf", [16, 20, 28, 34])
def test_the_quantizer_alone_says_the_same_of_a_moving_picture(crf: int, tmp_path: Path) -> None:
    path = compress(tmp_path / "a.mkv", "libx264", {"crf": str(crf)})
    bare = without_rate_factor(path, tmp_path / "b.mkv")
    assert read_rate_factor(str(bare)) is None
    assert measure_quantizer(str(bare)) == measure_quantizer(str(path))
    model, why = fitting_model(str(bare))
    assert model == ("restore" if crf >= 28 else "clear")
    assert ("mean quantizer" in why) == (crf >= 28)


def test_a_bit_rate_limit_makes_the_rate_factor_worthless(tmp_path: Path) -> None:
    options = {"crf": "16", "maxrate": "40k", "bufsize": "40k"}
    path = compress(tmp_path / "a.mkv", "libx264", options)
    assert read_rate_factor(str(path)) is None
    assert compression_of(str(path), 0).hardness == "hard"


def test_restore_comes_in_every_size_that_the_usual_model_does() -> None:
    assert scales_of(RESTORING_MODEL) == scales_of(DEFAULT_MODEL)


@pytest.mark.parametrize("name", ["-", "pipe:0", "https://example.com/a.mp4", "missing.mp4", "."])
def test_what_cannot_be_measured_gets_the_usual_model(name: str) -> None:
    assert measure_quantizer(name) is None
    assert fitting_model(name) == (DEFAULT_MODEL, "")


def test_a_video_that_nothing_here_decodes_gets_the_usual_model_and_is_left_to_who_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "unknown.mp4"
    path.write_bytes(CLIP.read_bytes().replace(b"avc1", b"zzzz"))
    assert fitting_model(str(path)) == (DEFAULT_MODEL, "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_by_name_is_not_read_before_its_turn(tmp_path: Path) -> None:
    fifo = tmp_path / "in.mp4"
    os.mkfifo(fifo)  # opening it would wait for a writer that never comes
    assert fitting_model(str(fifo)) == (DEFAULT_MODEL, "")


def test_other_codecs_and_broken_files_give_none(tmp_path: Path) -> None:
    lossless = compress(tmp_path / "a.mkv", "ffv1", {})
    assert measure_quantizer(str(lossless)) is None
    assert fitting_model(str(lossless)) == (DEFAULT_MODEL, "")
    (tmp_path / "broken.mp4").write_bytes(CLIP.read_bytes()[:3000])
    assert measure_quantizer(str(tmp_path / "broken.mp4")) is None
    assert fitting_model(str(tmp_path / "broken.mp4")) == (DEFAULT_MODEL, "")


@pytest.mark.parametrize(
    ("backend", "codec", "encodes", "advised"),
    [
        ("TensorRT-RTX on GPU 0, NVIDIA L4", None, True, True),
        ("TensorRT on GPU 0, NVIDIA H100", None, False, False),  # a card without encoders
        ("TensorRT-RTX on GPU 0, NVIDIA L4", "libx265", True, False),
        ("OpenVINO on the CPU", None, True, False),
    ],
)
def test_a_card_that_could_encode_is_pointed_out_once_nobody_named_a_codec(
    monkeypatch: pytest.MonkeyPatch, backend: str, codec: str | None, encodes: bool, advised: bool
) -> None:
    monkeypatch.setattr(hardware_encoders, "why_not_here", lambda row: "" if encodes else "no capable devices found")
    said = spell(encoding_advice(backend, codec), as_flag)
    assert said == ("the card could encode as well: --codec hevc_nvenc would free the CPU" if advised else "")
