"""No command sends a file's control characters to the terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import onnx
import pytest
from PIL import Image

from sr_core.model_spec import load_model
from sr_zoo.models import find_model

PROJECT = Path(__file__).resolve().parents[2]
EVIL = "t\x1b]0;owned\x07\x1b[2J\x9b31m"
SENT = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")  # all but tab and line end, in UTF-8


@pytest.fixture
def evil_video(tmp_path: Path) -> Path:
    """A video whose name, titles, languages and attachment hold escape sequences."""
    path = tmp_path / f"in{EVIL[:9]}.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        sound = out.add_stream("flac", rate=8000)
        for stream in (video, sound):
            stream.metadata.update({"title": EVIL, "language": "e\x1bc"})
        out.add_attachment(f"{EVIL}.ttf", "font/ttf", b"font")
        out.metadata["title"] = EVIL
        out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        out.mux(video.encode(None))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        samples.sample_rate, samples.pts = 8000, 0
        out.mux(sound.encode(samples))
        out.mux(sound.encode(None))
    return path


@pytest.fixture
def evil_model(tmp_path: Path) -> Path:
    """A model whose metadata and operators' names hold escape sequences."""
    shipped = find_model("srcnn", scale=2)
    proto = load_model(shipped)
    for entry in proto.metadata_props:
        entry.value = entry.value.replace('"training": "', f'"training": "{EVIL}')
    path = tmp_path / "evil.onnx"
    onnx.save(proto, path)
    return path


def command(name: str, *arguments: object) -> list[str]:
    code = f"from srvid_cli.{name} import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "cli")]), "TERM": "xterm"}


def printed(folder: Path, name: str, *arguments: object) -> bytes:
    """All that a command prints, on both streams."""
    done = subprocess.run(
        command(name, *arguments),
        cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False,
    )  # fmt: skip
    return done.stdout


def test_srvid_shows_titles_languages_and_names(evil_video: Path, tmp_path: Path) -> None:
    words = (evil_video, tmp_path / "out.webm", "--scale", 2, "--model", "nearest", "--overwrite")
    for arguments in (words, (*words, "--plan"), (tmp_path / EVIL, *words[1:]), ("--no\x1b[31m",)):
        said = printed(tmp_path, "srvid", *arguments)
        assert rb"\x1b" in said
        assert not SENT.search(said), said


def test_json_keeps_the_true_names(evil_video: Path, tmp_path: Path) -> None:
    said = printed(tmp_path, "srvid", evil_video, "out.webm", "--scale", 2, "--model", "nearest", "--json")
    events = [json.loads(line) for line in said.splitlines() if line.startswith(b"{")]
    assert events[0]["input"] == str(evil_video)
    assert not SENT.search(said)


def test_srbatch_shows_the_names_of_what_failed_and_was_made(tmp_path: Path) -> None:
    (tmp_path / f"bad{EVIL}.png").write_bytes(b"none")
    Image.new("RGB", (8, 8)).save(tmp_path / f"good{EVIL}.png")
    said = printed(tmp_path, "srbatch", ".", "out", "--scale", 2, "--model", "nearest")
    assert rb"bad" in said
    assert rb"\x1b" in said
    assert not SENT.search(said), said


def test_srkit_shows_what_a_model_says_of_itself(evil_model: Path, tmp_path: Path) -> None:
    said = printed(tmp_path, "srkit", "models", "info", evil_model)
    assert b"srkit: " in said
    assert not SENT.search(said), said


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
def test_on_a_terminal_only_the_progress_line_moves_the_cursor(evil_video: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = (evil_video, tmp_path / "out.webm", "--scale", 2, "--model", "nearest")
    process = subprocess.Popen(
        command("srvid", *words), env=environment(), stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL
    )
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:
        pass  # how Linux says that the other end is closed
    finally:
        os.close(ours)
    assert process.wait(60) == 0, said
    assert rb"\x1b]0;owned" in said
    assert b"\x1b]0;" not in said
    assert b"\x1b[2J" not in said
    assert b"\x07" not in said
