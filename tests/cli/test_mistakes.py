"""Mistakes that people make: each is told in one line and one hint, by the program itself, never as a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

PROJECT = Path(__file__).resolve().parents[2]
_ONE_PROCESS = """
import contextlib, io, json, sys
from srvid_cli.errors import run_command
from srvid_cli.srbatch import srbatch_command
from srvid_cli.srkit import group
from srvid_cli.srvid import srvid_command
programs = {"srvid": srvid_command, "srbatch": srbatch_command, "srkit": group}
for line in json.load(sys.stdin):
    said, sys.argv = io.StringIO(), line
    code = None
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            run_command(programs[line[0]], line[0])
        except SystemExit as leave:
            code = leave.code
    print(json.dumps([code, said.getvalue()]))
"""

# line → what its message holds; the hint is the line after it
MISTAKES = {
    "srvid missing.mp4 out.mp4": "no file missing.mp4",
    "srvid missing.mp4 clip.mp4": "hint: IN comes first: srvid clip.mp4 missing.mp4",
    "srvid folder out.mp4": "srbatch upscales folders of images",
    "srvid sound.m4a out.mp4": "sound.m4a has only sound",
    "srvid text.mp4 out.mp4": "is it a video file?",
    "srvid empty.mp4 out.mp4": "empty.mp4 is empty",
    "srvid ftp://host/a.mp4 out.mp4": "URLs are read by https and http",
    "srvid clip.mp4 folder": "name a file in it: folder/out.mp4",
    "srvid clip.mp4 nowhere/out.mp4": "no folder",
    "srvid clip.mp4 out.png": "srbatch enlarges pictures",
    "srvid clip.mp4 out.xyz": "cannot write .xyz files",
    "srvid clip.mp4 clip.mp4": "input and output are the same file",
    "srvid clip.mp4 there.mp4": "--overwrite replaces it",
    "srvid clip.mp4 out.mp4 --model claer": "did you mean clear-x4?",
    "srvid clip.mp4 out.mp4 --model none.onnx": "srkit models list",
    "srvid clip.mp4 out.mp4 --scale 99": "99 is not from 1 to 16",
    "srvid clip.mp4 out.mp4 --start abc": "90, 1:30, 1:02:03.5",
    "srvid clip.mp4 out.mp4 --start 1 --end 0.5": "--end is not after --start",
    "srvid clip.mp4 out.mp4 --width 0": "--width 0 is too small",
    "srvid clip.mp4 out.mp4 --codec h266": "did you mean h265?",
    "srvid clip.mp4 out.mp4 --preset fastt": "did you mean fast?",
    "srvid clip.mp4 out.mp4 --crf 99": "smaller is better",
    "srvid clip.mp4 out.mp4 --backend cuda": "did you mean tensorrt_rtx?",
    "srvid clip.mp4 out.mp4 --ray 127.0.0.1:1": "no Ray cluster at '127.0.0.1:1'",
    "srvid clip.mp4": "Missing argument 'OUT'",
    "srbatch missing.png out.png": "no file or folder missing.png",
    "srbatch clip.mp4 out": "hint: srvid clip.mp4 clip-large.mkv",
    "srbatch text.png out.png": "text.png: not an image of a known format",
    "srbatch photo.png": "OUT is missing: srbatch photo.png upscaled/",
    "srbatch photo.png photo.png": "photo.png is an input",
    "srbatch photo.png out.xyz": "cannot write .xyz files",
    "srbatch empty-folder out": "no images to enlarge",
    "srbatch photo.png out.png --quality 400": "400 is not in the range",
    "srbatch photo.png out.png --format foo": "unknown image format 'foo'",
    "srkit modle": "did you mean models?",
    "srkit models info clear-x9": "did you mean clear-x",
    "srkit eval none.onnx --set set5": "no model file none.onnx",
    "srkit plug install photoshop": "'photoshop' is not one of",
}
if hasattr(os, "mkfifo"):  # each would be waited on for ever
    MISTAKES |= {
        "srvid pipe out.mp4": "hint: give - and lead it there: srvid - OUT < pipe",
        "srvid clip.mp4 out.mp4 --model pipe.onnx": "pipe.onnx is not a regular file",
        "srbatch pipe out.png": "pipe is not a regular file",
        "srkit models info pipe.onnx": "pipe.onnx is not a regular file",
        "srkit compare photo.png pipe look.png": "pipe is not a regular file",
        "srkit compare pipe clip.mp4 look.html": "pipe is not a regular file",
    }


PIPES = ("pipe", "pipe.onnx") if hasattr(os, "mkfifo") else ()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "clip.mp4").write_bytes((PROJECT / "examples" / "flower.mp4").read_bytes())
    (folder / "there.mp4").write_bytes(b"something of mine")
    for name in ("text.mp4", "text.png"):
        (folder / name).write_text("hello")
    (folder / "empty.mp4").touch()
    for name in ("folder", "empty-folder"):
        (folder / name).mkdir()
    for name in PIPES:
        os.mkfifo(folder / name)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "photo.png")
    with av.open(str(folder / "sound.m4a"), "w") as out:
        stream = out.add_stream("aac", rate=48000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return folder


@pytest.fixture(scope="module")
def told(place: Path) -> dict[str, tuple[int, str]]:
    """line → (exit code, all that was printed); one process, because starting forty takes a minute."""
    done = subprocess.run(
        [sys.executable, "-c", _ONE_PROCESS],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])},
        input=json.dumps([line.split() for line in MISTAKES]),
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(MISTAKES), done.stderr
    return {line: (code, said) for line, (code, said) in zip(MISTAKES, answers, strict=True)}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_told_in_one_line_and_a_hint(line: str, told: dict[str, tuple[int, str]]) -> None:
    code, said = told[line]
    lines = said.splitlines()
    assert code in (1, 2), said
    assert "Traceback" not in said
    assert MISTAKES[line] in said
    assert len(lines) == 2, said
    assert re.match(rf"{line.split()[0]}[a-z ]*: ", lines[0]), said
    assert lines[1].startswith("hint: "), said


def test_no_mistake_leaves_anything_behind(place: Path, told: dict[str, tuple[int, str]]) -> None:
    given = "clip.mp4 empty-folder empty.mp4 folder photo.png sound.m4a text.mp4 text.png there.mp4".split()
    assert sorted(path.name for path in place.iterdir()) == sorted([*given, *PIPES])
    assert (place / "there.mp4").read_bytes() == b"something of mine"
