"""Every `srvid`, `srbatch` and `srkit` line of the documents is run as it stands, or named here with what runs it.

Run in a folder that holds the files the documents speak of. A line that names no model of its own gets
`--model nearest` (videos) or `swift-x2` (images): what the networks do is tested elsewhere.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from srvid_cli.commands import load_commands
from tests.docs.pages import documented_commands

SECONDS = 100  # of in.mp4: some lines begin at 1:30
# A line that begins so is not run here. What it does is run by what is named, or needs what no test has.
ELSEWHERE = {
    r"srvid https:": "a URL, by tests/cli/test_first_contact.py",
    r"\S+ .*--ray auto": "a cluster, by tests/video/segments/test_cluster.py and tests/batch/test_cluster.py",
    r"srvid .*(--device|--devices|--hwaccel|--no-wait)\b": "an NVIDIA card",
    r"srvid in.mp4 out.mp4 --precision exact": "an NVIDIA card",
    r"srvid .*--model \S*(\.pth|\.onnx)": "files that are not here, by tests/zoo/test_importing.py",
    r"srkit models (get|search|import)": "a list on the network, by tests/zoo/test_catalogue.py",
    r"srkit models list \|": "alternatives, by tests/srkit/test_srkit.py",
    r"srkit engines": "alternatives, by tests/trt/test_engine_store.py",
    r"srkit build": "minutes of TensorRT-RTX, by tests/trt/test_build.py",
    r"srkit (train (swift|mine|configs)|eval)": "a training, by tests/train/test_commands.py",
    r"srkit (ui|watch)": "they run until they are stopped, by tests/ui",
    r"srkit plug": "programs that may not be here, by tests/plugins/test_install.py",
}


def reason_not_run(line: str) -> str:
    return next((reason for pattern, reason in ELSEWHERE.items() if re.match(pattern, line)), "")


def bare(line: str) -> str:
    """Without what a page says of it."""
    return re.split(r"\s#|\s{2,}#|;", line)[0].strip()


LINES = sorted({bare(line) for _, line in documented_commands()})
RUN = [line for line in LINES if not reason_not_run(line)]


def write_clip(path: Path, codec: str, *, size: int = 32, frames: int = SECONDS) -> None:
    """A picture a second."""
    noise = np.random.default_rng(1).integers(0, 256, (size, size, 3), np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=1, width=size, height=size, pix_fmt="yuv420p")
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, number, 1), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 1)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the documents speak of."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("in.mp4", "film.mkv", "film.mp4"):
        write_clip(folder / name, "libx264")
    for name in ("a.mp4", "b.mp4", "film-clear.mkv", "film-swift.mkv"):
        write_clip(folder / name, "libx264", size=64)
    write_clip(folder / "in.mkv", "libx264", size=144, frames=5)  # 16 times at most, to 2160 lines
    for name in ("old.avi", "blocky.avi"):
        write_clip(folder / name, "mpeg4", frames=3)
    write_clip(folder / "cartoon.mkv", "libx264", frames=3)
    content = bytearray((folder / "in.mp4").read_bytes())
    middle = content.index(b"mdat") + 3000
    content[middle : middle + 200] = bytes(200)
    (folder / "damaged.mp4").write_bytes(content)
    picture = Image.fromarray(np.random.default_rng(2).integers(0, 256, (20, 24, 3), np.uint8))
    (folder / "photos" / "more").mkdir(parents=True)
    (folder / "scans" / "box").mkdir(parents=True)
    for name in ("photo.jpg", "photos/one.jpg", "photos/more/two.png", "scans/box/page.tif"):
        picture.save(folder / name, dpi=(300, 300))
    return folder


def shortened(words: list[str]) -> list[str]:
    """What makes a line quick and changes nothing of what it is."""
    words = list(words)
    if words[0] == "srvid":
        if "--start" not in words and "--workers" not in words:
            words += ["--end", "0:01" if "2160" in words else "0:03"]
        if not {"--plan", "--preset"} & set(words):
            words += ["--preset", "ultrafast"]
        if "--model" not in words:
            words += ["--model", "nearest"]
    elif words[0] == "srbatch" and "--model" not in words and "--dry-run" not in words:
        words += ["--model", "swift"]
    return words


@pytest.mark.parametrize("line", RUN)
def test_a_documented_line_runs(
    line: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: Callable[[Path, Path], None]
) -> None:
    linked(files, tmp_path)
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    words = shlex.split(line)
    if words[:2] == ["srkit", "compare"]:
        write_clip(tmp_path / "out.mp4", "libx264", size=64)
        before[tmp_path / "out.mp4"] = 0
    program: click.Command = load_commands()[words[0]]
    done = CliRunner().invoke(program, shortened(words)[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    makes_none = {"--plan", "--dry-run", "--list", "doctor", "list"} & set(words)
    made = [path for path in tmp_path.rglob("*") if path.is_file() and path not in before]
    assert bool(made) != bool(makes_none), done.output


@pytest.fixture
def linked() -> Callable[[Path, Path], None]:
    def link(files: Path, folder: Path) -> None:
        for path in files.rglob("*"):
            target = folder / path.relative_to(files)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                os.link(path, target)

    return link


def test_what_is_not_run_is_still_in_the_documents() -> None:
    for pattern in ELSEWHERE:
        assert any(re.match(pattern, line) for line in LINES), pattern


def test_the_tests_that_are_named_are_there() -> None:
    project = Path(__file__).parents[2]
    for reason in ELSEWHERE.values():
        for name in re.findall(r"tests/[\w/.]+", reason):
            assert (project / name.rstrip(".")).exists(), name


def test_most_lines_are_run() -> None:
    assert len(RUN) >= 20
