"""The `srvid` command as people and programs run it: a process of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from av.stream import Disposition
from PIL import Image

PROJECT = Path(__file__).resolve().parents[2]
SRVID = [sys.executable, "-m", "srvid_cli.srvid"]
NEAREST = ["--model", "nearest", "--scale", "2", "--preset", "ultrafast"]


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])
    return {**os.environ, "PYTHONPATH": paths}


def srvid(*arguments: object, **popen: object) -> subprocess.CompletedProcess[str]:
    command = [*SRVID, *map(str, arguments)]
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command, env=environment(), capture_output=True, text=True, timeout=600, check=False, **popen
    )


def make_clip(path: Path, *, frames: int = 12, size: tuple[int, int] = (64, 48), cover: bytes = b"") -> Path:
    """Noise, so that the encoder has work to do and the output has bytes."""
    import numpy as np

    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if cover:
            out.add_attachment("cover.png", "image/png", cover)
        for index in range(frames):
            noise = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, format="rgb24")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv")


@pytest.fixture
def long_source(tmp_path: Path) -> Path:
    """Long enough that a signal always arrives in the middle."""
    return make_clip(tmp_path / "long.mkv", frames=600, size=(320, 240))


def outputs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("out"))


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


def started(source: Path, target: Path) -> subprocess.Popen[str]:
    """A straight run, without segments, that has encoded its first frames."""
    process = subprocess.Popen(
        [*SRVID, str(source), str(target), "--model", "nearest", "--codec", "ffv1", "--json", "--no-segments"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["frames"] > 3:
            return process
    raise AssertionError(f"never got going: {process.communicate()}")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_stops_and_leaves_nothing(long_source: Path, tmp_path: Path, name: str) -> None:
    """Ctrl-C, a service manager, a terminal that is closed."""
    number = signal.Signals[name]
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("this test run was started so that it ignores the signal, and so would srvid")
    process = started(long_source, tmp_path / "out.mkv")
    assert "out.mkv.part" in outputs(tmp_path)
    process.send_signal(number)
    _, message = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "srvid: stopped" in message
    assert "\n\n" not in message
    assert outputs(tmp_path) == []


@pytest.mark.parametrize("frames_given", [0, 1])
def test_ctrl_c_ends_a_wait_for_a_silent_pipe(source: Path, tmp_path: Path, frames_given: int) -> None:
    """FFmpeg is blocked in a read then; the process must end, and must not crash."""
    command = [*SRVID, "-", str(tmp_path / "out.mkv"), *NEAREST]
    with subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        if frames_given:
            process.stdin.write(source.read_bytes()[:-3000])
            process.stdin.flush()
            plan = process.stderr.readline()  # it has begun
            assert b"yuv420p" in plan, plan + process.stderr.read()
        else:
            _wait_until_it_reads(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=600) == 130, process.stderr.read()
    assert outputs(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_module_is_loaded_gives_the_same_code(tmp_path: Path, number: int) -> None:
    """Dataclasses are made by `exec` of a string: after one that was interrupted, `python -m` died of SIGINT."""
    (tmp_path / "work.py").write_text(
        "import click; from srvid_cli.errors import run_command\n"
        "@click.command()\n"
        "def work():\n"
        f"    exec('import signal; signal.raise_signal({number.value})')\n"
        "run_command(work, 'work')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "work"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert ended.returncode == 130, ended.stderr
    assert "work: stopped" in ended.stderr


def _wait_until_it_reads(pid: int) -> None:
    """Until one of its threads waits for the first bytes of the pipe."""
    deadline = time.monotonic() + 600
    while not any("pipe" in _waits_in(task) for task in Path(f"/proc/{pid}/task").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _waits_in(task: Path) -> str:
    try:
        return (task / "wchan").read_text()
    except OSError:  # it has ended
        return ""


def test_a_killed_run_leaves_no_file_under_the_final_name(long_source: Path, tmp_path: Path) -> None:
    process = started(long_source, tmp_path / "out.mkv")
    process.kill()
    process.communicate(timeout=600)
    assert "out.mkv" not in outputs(tmp_path)
    assert "out.mkv.part" in outputs(tmp_path)
    done = srvid(long_source, tmp_path / "out.mkv", *NEAREST, "--end", "0.5")
    assert done.returncode == 0, done.stderr
    assert outputs(tmp_path) == ["out.mkv"]


def test_a_full_disk_is_an_error_with_a_hint_and_leaves_nothing(long_source: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = srvid(long_source, tmp_path / "out.mkv", *NEAREST, "-q", preexec_fn=limited)
    assert done.returncode == 1
    assert "cannot write out.mkv" in done.stderr
    assert "hint:" in done.stderr
    assert outputs(tmp_path) == []


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
