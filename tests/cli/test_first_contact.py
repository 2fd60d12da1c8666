"""What a newcomer meets first: wrong names, swapped arguments, addresses, times, and what helps in a shell."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import av
import pytest
from click.testing import CliRunner, Result

from sr_core.errors import NotAvailable, SrError
from sr_work import connect
from srvid_cli.commands import load_commands, walk_commands
from srvid_cli.listener import VideoListener
from srvid_cli.srkit import group
from srvid_cli.srkit.man import write_pages
from srvid_cli.srvid import srvid_command
from srvid_cli.version import version_text

CLIP = Path(__file__).resolve().parents[2] / "examples" / "flower.mp4"
NEAREST = ("--model", "nearest", "--scale", "2", "--preset", "ultrafast")


def srvid(*arguments: object) -> Result:
    return CliRunner().invoke(srvid_command, [str(argument) for argument in arguments])


def error_of(done: Result) -> SrError:
    assert isinstance(done.exception, SrError), done.output
    return done.exception


def test_a_missing_input_is_said_before_an_existing_output(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    out = tmp_path / "sub"
    assert "no file" in error_of(srvid(tmp_path / "missing.mp4", out, *NEAREST)).message


def test_swapped_arguments_are_guessed(tmp_path: Path) -> None:
    error = error_of(srvid(tmp_path / "new.mp4", CLIP, *NEAREST))
    assert error.hint == f"IN comes first: srvid {CLIP} {tmp_path / 'new.mp4'}"
    assert CLIP.stat().st_size > 10_000


def test_a_start_past_the_end_says_how_long_the_video_is(tmp_path: Path) -> None:
    done = srvid(CLIP, tmp_path / "out.mkv", "--start", "9:00", *NEAREST)
    error = error_of(done)
    assert "opening the engine" not in done.output  # said before anything is opened or measured
    with av.open(str(CLIP)) as container:
        assert container.duration is not None
        seconds = container.duration / 1e6
    assert f"{seconds:.1f} s" in error.hint
    assert list(tmp_path.iterdir()) == []


# ---- URLs


class _WithRanges(SimpleHTTPRequestHandler):
    """As web servers are: it also gives the rest of a file from some byte on (RFC 9110 §14)."""

    def do_GET(self) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        with suppress(ConnectionError):  # FFmpeg hangs up when it seeks
            self.wfile.write(content[begin:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address where it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_WithRanges, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_url_is_read_like_a_file(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    shutil.copy(CLIP, folder / "a clip.mp4")
    done = srvid(f"{address}/a%20clip.mp4", tmp_path / "url.mkv", "--end", "0.2", *NEAREST)
    assert done.exit_code == 0, done.output + str(done.exception)
    assert srvid(CLIP, tmp_path / "file.mkv", "--end", "0.2", "--no-segments", *NEAREST).exit_code == 0
    frames = []
    for name in ("url.mkv", "file.mkv"):
        with av.open(str(tmp_path / name)) as container:
            frames.append([(f.pts, f.to_ndarray().tobytes()) for f in container.decode(video=0)])
    assert frames[0] == frames[1]
    assert len(frames[0]) == 6


def test_a_server_that_gives_only_whole_files_is_said_to_be_one(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    shutil.copy(CLIP, folder / "clip.mp4")  # its index is at its end
    monkeypatch.setattr(_WithRanges, "do_GET", SimpleHTTPRequestHandler.do_GET)
    error = error_of(srvid(f"{address}/clip.mp4", tmp_path / "out.mkv", *NEAREST))
    assert error.hint.startswith("download it first")


def test_a_playlist_from_afar_opens_no_file_of_this_machine(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    secret = tmp_path / "secret.ts"
    with av.open(str(CLIP)) as source, av.open(str(secret), "w", format="mpegts") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    assert srvid(secret, tmp_path / "fine.mkv", "--end", "0.1", *NEAREST).exit_code == 0
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    (folder / "list.m3u8").write_text(playlist)
    error_of(srvid(f"{address}/list.m3u8", tmp_path / "out.mkv", *NEAREST))
    assert not (tmp_path / "out.mkv").exists()


def test_a_protocol_that_is_not_read_is_named(tmp_path: Path) -> None:
    assert "https and http" in error_of(srvid("ftp://example.com/a.mp4", tmp_path / "o.mkv", *NEAREST)).hint


# ---- Ray


@contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """The address of a server that answers every connection with `reply`, and then is silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def serve() -> None:
            connection, _ = server.accept()
            kept.append(connection)
            connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)  # nobody may ask
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(10)
        for connection in kept:
            connection.close()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"HTTP/1.0 400 Bad request\r\n\r\n", "what answers there is not Ray"),
        (b"", "what listens there does not answer"),
    ],
)
def test_an_address_that_is_no_ray_cluster_is_refused_in_one_line(
    reply: bytes, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert connect._ANSWER_SECONDS <= 4  # of the five that a wrong address may take
    monkeypatch.setattr(connect, "_ANSWER_SECONDS", 0.5)
    with answering(reply) as address:
        error = error_of(srvid(CLIP, tmp_path / "out.mkv", "--ray", address, *NEAREST))
    assert isinstance(error, NotAvailable)
    assert error.message == f"no Ray cluster at {address!r}: {why}"


def test_an_address_is_tried_before_ray_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(connect, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "ray", None)  # importing it fails
    with answering(b"") as address, pytest.raises(NotAvailable, match="does not answer"):
        connect.connect(address)


def test_what_answers_like_grpc_is_taken_for_ray() -> None:
    with answering(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))) as address:
        connect.demand_reachable(address)


# ---- --plan, advice


def test_a_plan_names_an_output_that_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    out.write_bytes(b"mine")
    plan = srvid(CLIP, out, "--plan", *NEAREST)
    assert plan.exit_code == 0, plan.output
    assert f"{out} exists already: --overwrite replaces it" in plan.output
    assert f"{out} would be replaced" in srvid(CLIP, out, "--plan", "--overwrite", *NEAREST).output
    assert out.read_bytes() == b"mine"


def hard_clip(path: Path, frames: int = 12) -> Path:
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, width=80, height=46, pix_fmt="yuv420p", options={"crf": "38"})
        for frame in islice(source.decode(video=0), frames):
            frame.pict_type = 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_a_hard_compressed_video_is_restored_unless_a_model_is_named(tmp_path: Path) -> None:
    hard, said = hard_clip(tmp_path / "hard.mkv"), "restore cleans it up"
    planned = srvid(hard, tmp_path / "out.mkv", "--plan", "--scale", "2").output
    assert said in planned
    assert "restore-x2" in planned
    named = srvid(hard, tmp_path / "out.mkv", "--plan", "--scale", "2", "--model", "clear").output
    assert said not in named
    assert "clear-x2" in named


def test_the_model_that_nobody_named_is_said_once_and_gives_the_bytes_of_its_name(tmp_path: Path) -> None:
    hard = hard_clip(tmp_path / "hard.mkv", frames=3)
    given = ("--scale", "2", "--codec", "ffv1", "--backend", "openvino")
    taken = srvid(hard, tmp_path / "a.mkv", *given)
    assert taken.exit_code == 0, taken.output
    assert taken.output.count("restore cleans it up") == 1
    named = srvid(hard, tmp_path / "b.mkv", *given, "--model", "restore")
    assert named.exit_code == 0, named.output
    assert "cleans it up" not in named.output
    pictures = []
    for path in (tmp_path / "a.mkv", tmp_path / "b.mkv"):
        with av.open(str(path)) as made:
            pictures.append([frame.to_ndarray() for frame in made.decode(video=0)])
    assert len(pictures[0]) == len(pictures[1]) == 3
    assert all((a == b).all() for a, b in zip(*pictures, strict=True))


class _Source:
    name, path = "in.mp4", "in.mp4"

    class facts:  # noqa: N801
        index, width, height, pix_fmt = 0, 1920, 1080, "yuv420p"


class _Plan:
    notes = ()
    engine_scale, frames_expected = 4, 10_000

    class encoder:  # noqa: N801
        width, height, pix_fmt = 7680, 4320, "yuv420p"

        class codec:  # noqa: N801
            encoder = "libx264"


@pytest.mark.parametrize(("is_default", "told"), [(True, 1), (False, 0)])
def test_4k_that_nobody_asked_for_is_priced_once(
    is_default: bool, told: int, capsys: pytest.CaptureFixture[str]
) -> None:
    from sr_video.transcode import Progress

    listener = VideoListener("out.mp4", as_json=False, quiet=False, is_default_scale=is_default)
    listener.planned(_Source(), _Plan())  # type: ignore[arg-type]
    for frames in range(1, 40):
        progress = Progress(
            frames=frames, frames_expected=10_000, position_seconds=frames / 25, elapsed_seconds=float(frames)
        )
        listener.progressed(progress)
    lines = [line for line in capsys.readouterr().err.splitlines() if "--scale 2 would make 3840x2160" in line]
    assert len(lines) == told
    assert all("7680x4320 takes about 2:46:" in line for line in lines)


# ---- the shell


def test_bash_completes_options_and_subcommands(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    script = CliRunner().invoke(group, ["completion", "bash"]).output
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in load_commands():
        (programs / name).write_text(
            f"#!/bin/sh\nexec {sys.executable} -c 'from srvid_cli.{name} import main; main()'\n"
        )
        (programs / name).chmod(0o755)
    (tmp_path / "completion").write_text(script)

    def completed(program: str, *words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in (program, *words))
        ask = (
            f"PATH={programs}:$PATH; source {tmp_path / 'completion'}; COMP_WORDS=({line}); "
            f"COMP_CWORD={len(words)}; _{program}_completion {program}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        return subprocess.run([bash, "-c", ask], capture_output=True, text=True, check=True).stdout.split()

    assert completed("srvid", "--cod") == ["--codec"]
    assert completed("srvid", "--precision", "ex") == ["exact"]
    assert completed("srkit", "comp") == ["compare", "completion"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_every_program(shell: str) -> None:
    script = CliRunner().invoke(group, ["completion", shell]).output
    assert all(f"_{name.upper()}_COMPLETE" in script for name in load_commands())


def test_every_command_has_a_manual_page_that_troff_takes(tmp_path: Path) -> None:
    pages = write_pages(tmp_path)
    assert {page.stem for page in pages} == {name.replace(" ", "-") for name, _, _ in walk_commands()}
    assert "--codec" in (tmp_path / "srvid.1").read_text().replace("\\-", "-")
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("needs groff")
    done = subprocess.run(
        [groff, "-man", "-Tutf8", "-ww", "-z", "-k", *map(str, pages)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_version_names_the_backends() -> None:
    import openvino

    assert version_text().startswith("srvid ")
    assert f"openvino {openvino.__version__.partition('-')[0]}" in version_text()
    for program in load_commands().values():
        assert CliRunner().invoke(program, ["--version"]).output == version_text() + "\n"
