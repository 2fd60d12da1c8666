"""The `srvid` command as people and programs run it: a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest
from av.stream import Disposition
from PIL import Image

from tests.cli.conftest import NEAREST, SRVID, environment, frames_in, make_clip, outputs, srvid


def test_help_shows_examples_and_loads_neither_av_nor_a_runtime() -> None:
    code = (
        "import sys\n"
        "from srvid_cli.srvid import srvid_command\n"
        "srvid_command.main(['--help'], standalone_mode=False)\n"
        "print('LOADED', sorted({'av', 'numpy', 'openvino', 'torch', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert "srvid in.mp4 out.mp4" in done.stdout
    assert "LOADED []" in done.stdout


def test_a_video_is_upscaled_and_said_to_be_verified(source: Path, tmp_path: Path) -> None:
    done = srvid(source, tmp_path / "out.mp4", *NEAREST)
    assert done.returncode == 0, done.stderr
    assert "12 frames" in done.stderr
    assert "verified" in done.stderr
    assert done.stdout == ""
    assert frames_in(tmp_path / "out.mp4") == 12


def test_quiet_says_nothing(source: Path, tmp_path: Path) -> None:
    done = srvid(source, tmp_path / "out.mp4", *NEAREST, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_json_events_tell_the_whole_run(source: Path, tmp_path: Path) -> None:
    done = srvid(source, tmp_path / "out.mp4", *NEAREST, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start"
    assert kinds[-2:] == ["verify", "done"]
    assert "progress" in kinds
    assert events[0]["frames_expected"] == 12
    assert (events[0]["width"], events[0]["height"], events[0]["codec"]) == (128, 96, "libx264")
    assert events[-1]["frames"] == 12
    assert events[-1]["output_bytes"] == (tmp_path / "out.mp4").stat().st_size


def test_an_error_has_message_hint_and_code_one(tmp_path: Path) -> None:
    done = srvid(tmp_path / "missing.mp4", tmp_path / "out.mp4", *NEAREST)
    assert done.returncode == 1
    assert done.stderr.startswith("srvid: no file")
    assert "\nhint: " in done.stderr
    as_json = srvid(tmp_path / "missing.mp4", tmp_path / "out.mp4", *NEAREST, "--json")
    event = json.loads(as_json.stdout)
    assert event["event"] == "error"
    assert event["message"].startswith("no file")
    assert event["hint"]


@pytest.mark.parametrize(
    "arguments",
    [["--backend", "foo"], ["--width", "1"], ["--segment", "0"], ["--start", "5", "--end", "4"], ["--plan"]],
)
def test_every_error_is_an_event_also_one_before_the_run(tmp_path: Path, arguments: list[str]) -> None:
    done = srvid(tmp_path / "missing.mp4", tmp_path / "out.mp4", "--json", *arguments)
    assert done.returncode == 1, done.stderr
    (event,) = map(json.loads, done.stdout.splitlines())
    assert event["event"] == "error"
    assert done.stderr.startswith(f"srvid: {event['message']}")


@pytest.mark.parametrize(
    "arguments", [["--scale", "0.5"], ["--codec", "h262"], ["-o", "novalue"], ["--nonsense"], ["--crf", "high"]]
)
def test_wrong_usage_has_code_two(source: Path, tmp_path: Path, arguments: list[str]) -> None:
    done = srvid(source, tmp_path / "out.mp4", *arguments)
    assert done.returncode == 2
    assert outputs(tmp_path) == []


def test_an_existing_output_needs_overwrite(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    done = srvid(source, tmp_path / "out.mp4", *NEAREST)
    assert done.returncode == 1
    assert "--overwrite" in done.stderr
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    assert srvid(source, tmp_path / "out.mp4", *NEAREST, "--overwrite").returncode == 0
    assert frames_in(tmp_path / "out.mp4") == 12


def test_encoder_options_reach_the_encoder(source: Path, tmp_path: Path) -> None:
    done = srvid(source, tmp_path / "out.mkv", *NEAREST, "--crf", "30", "-o", "g=3", "--pix-fmt", "yuv444p")
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "out.mkv")) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        assert [p.is_keyframe for p in packets[:7]] == [True, False, False, True, False, False, True]
        assert container.streams.video[0].pix_fmt == "yuv444p"


def test_a_pipe_carries_matroska_both_ways(source: Path, tmp_path: Path) -> None:
    with source.open("rb") as stdin, (tmp_path / "out.mkv").open("wb") as stdout:
        code = subprocess.run(
            [*SRVID, "-", "-", *NEAREST, "-q"], env=environment(), stdin=stdin, stdout=stdout, check=False
        ).returncode
    assert code == 0
    assert frames_in(tmp_path / "out.mkv") == 12


def test_a_cover_that_comes_through_a_pipe_is_kept(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(picture, "png")
    source, target = make_clip(tmp_path / "in.mkv", cover=picture.getvalue()), tmp_path / "out.mkv"
    with source.open("rb") as stdin:
        done = srvid("-", target, *NEAREST, stdin=stdin)
    assert done.returncode == 0, done.stderr
    with av.open(str(target)) as container:
        covers = [stream for stream in container.streams if stream.disposition & Disposition.attached_pic]
        assert [bytes(packet) for packet in container.demux(covers) if packet.size] == [picture.getvalue()]


def test_a_reader_that_goes_away_ends_it_with_code_one(long_source: Path) -> None:
    with subprocess.Popen(
        [*SRVID, str(long_source), "-", *NEAREST], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1000)
        process.stdout.close()
        message = process.stderr.read().decode()
        assert process.wait(timeout=600) == 1
    assert "reader of our output went away" in message


def test_a_folder_without_write_permission_is_an_error(source: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    done = srvid(source, closed / "out.mkv", *NEAREST)
    assert done.returncode == 1
    assert "permissions" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--segment", "nan"], 2, "nan is not a length"),
        (["--segment", "inf"], 2, "inf is not a length"),
        (["--crf", "99"], 1, "--crf 99 is beyond libx264's worst, 51"),
        (["--model", "swift", "--threads", "100000"], 1, "100000 threads are too many"),
    ],
)
def test_a_number_without_sense_is_refused(
    options: list[str], code: int, said: str, source: Path, tmp_path: Path
) -> None:
    done = srvid(source, tmp_path / "out.mkv", *NEAREST, *options)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert outputs(tmp_path) == []


def test_closed_standard_streams_are_no_reason_to_fail(source: Path, tmp_path: Path) -> None:
    def close_them() -> None:
        os.closerange(0, 3)

    done = srvid(source, tmp_path / "out.mkv", *NEAREST, preexec_fn=close_them)
    assert done.returncode == 0
    assert frames_in(tmp_path / "out.mkv") == 12


@pytest.mark.parametrize("device", ["/dev/full", None])
def test_output_that_nobody_can_read_is_an_error_without_a_traceback(device: str | None) -> None:
    def redirect() -> None:
        os.close(1) if device is None else os.dup2(os.open(device, os.O_WRONLY), 1)

    done = srvid("--help", preexec_fn=redirect)
    assert done.returncode == 1
    assert done.stderr.startswith("srvid: cannot write: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_cache_that_cannot_be_written_stops_no_run_and_is_said_once(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path / "file" / "cache"))
    done = srvid(source, tmp_path / "out.mkv", "--scale", 2, "--segment", "0.2", "--preset", "ultrafast")
    assert done.returncode == 0, done.stderr
    assert frames_in(tmp_path / "out.mkv") == 12
    assert [line.count("set SRVID_CACHE") for line in done.stderr.splitlines() if "SRVID_CACHE" in line] == [1]


@pytest.mark.parametrize("pool", [("--ray", "auto"), ("--workers", "2")])
def test_a_clip_of_one_segment_says_that_no_other_worker_is_used(
    source: Path, tmp_path: Path, pool: tuple[str, str]
) -> None:
    done = srvid(source, tmp_path / "out.mkv", *NEAREST, *pool)
    assert done.returncode == 0, done.stderr
    assert "no other worker is used" in done.stderr


def test_an_ascii_terminal_gets_arrows_it_can_show(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = srvid(source, tmp_path / "out.mkv", *NEAREST)
    assert done.returncode == 0, done.stderr
    assert "64x48 yuv420p -> 128x96" in done.stderr
    assert "\\u" not in done.stderr


def test_an_input_without_a_name_is_refused_as_such(tmp_path: Path) -> None:
    done = srvid("", tmp_path / "out.mkv", *NEAREST)
    assert done.returncode == 1
    assert "the input has no name" in done.stderr


def test_one_frame_is_not_frames(tmp_path: Path) -> None:
    done = srvid(make_clip(tmp_path / "in.mkv", frames=1), tmp_path / "out.mkv", *NEAREST)
    assert ": 1 frame in" in done.stderr


def test_an_interrupted_job_says_how_much_is_kept_and_how_much_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 of 3 segments, and the 19 frames that were under way."""
    from types import SimpleNamespace

    from sr_video.segments.job import WorkFolder
    from sr_video.transcode import Progress
    from srvid_cli.listener import VideoListener

    target = tmp_path / "out.mkv"
    folder = WorkFolder.of(target)
    folder.path.mkdir()
    folder.manifest_path.touch()
    state = SimpleNamespace(manifest=SimpleNamespace(segments=(1, 2, 3)), segments_done=0, frames_done=0)
    monkeypatch.setattr(WorkFolder, "state", lambda folder: state)
    listener = VideoListener(str(target), as_json=False, quiet=False)
    listener.progressed(Progress(frames=19, frames_expected=900, position_seconds=1.0, elapsed_seconds=9))
    listener.stopped()
    told = capsys.readouterr().err
    assert "0 of 3 segments are kept; 19 frames will be made again: the same command goes on" in told
