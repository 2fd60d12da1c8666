"""Small clips of every awkward kind, made with ffmpeg, and ways to run srvid on them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest

from sr_video.decide.plan import Plan, Request
from sr_video.read.source import Source
from sr_video.segments.run import upscale
from sr_video.segments.terms import Segmenting
from sr_video.transcode import Progress
from srvid.recipe import EngineRecipe
from tests.conftest import skip_or_fail

NEAREST = EngineRecipe(model="nearest")
PROJECT = Path(__file__).resolve().parents[2]
SOURCE = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=6"]
SOUND = ["-f", "lavfi", "-i", "sine=d=6:r=48000"]
X264 = ["-c:v", "libx264", "-g", "25", "-threads", "1"]
CLIPS: dict[str, list[str]] = {
    "tiny.mp4": ["-f", "lavfi", "-i", "testsrc2=s=32x32:r=8:d=2", "-c:v", "libx264", "-g", "8"],
    "low.mkv": ["-f", "lavfi", "-i", "testsrc2=s=32x6:r=8:d=1", "-c:v", "ffv1"],
    "plain.mp4": [*SOURCE, *SOUND, *X264, "-c:a", "aac"],
    "b-pyramid.mp4": [*SOURCE, *X264, "-bf", "4", "-x264-params", "b-pyramid=normal"],
    "open-gop.mp4": [*SOURCE, *X264, "-x264-params", "open-gop=1:bframes=3"],
    "intra-refresh.mp4": [*SOURCE, *X264, "-x264-params", "intra-refresh=1"],
    "one-key.mkv": [*SOURCE, *X264[:-4], "-g", "9999", "-sc_threshold", "0"],
    "hevc.mp4": [*SOURCE, "-c:v", "libx265", "-x265-params", "log-level=error:keyint=25:bframes=4:pools=1"],
    "mpeg2.ts": [*SOURCE, *SOUND, "-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-c:a", "mp2"],
    "h264.ts": [*SOURCE, *X264],
    "interlaced.mkv": [*SOURCE, "-vf", "interlace", *X264, "-flags", "+ildct+ilme"],
    "interlaced-intra.mkv": [*SOURCE, "-vf", "interlace", *X264[:-4], "-g", "1", "-flags", "+ildct+ilme"],
    "vfr.mkv": [*SOURCE, "-vf", "select='mod(n,7)*mod(n,11)'", "-fps_mode", "vfr", *X264, "-bf", "3"],
}


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The path of a clip of `CLIPS`, or 'edited.mp4' (edit list) or 'late.mkv' (begins at 5 s)."""
    if shutil.which("ffmpeg") is None:
        skip_or_fail("clips are made and judged with ffmpeg: apt install ffmpeg")
    folder = tmp_path_factory.mktemp("clips")

    def made(name: str) -> Path:
        path = folder / name
        if not path.exists():
            if name == "edited.mp4":
                arguments = ["-ss", "1.3", "-i", str(made("b-pyramid.mp4")), "-c", "copy"]
            elif name == "late.mkv":
                arguments = ["-itsoffset", "5", "-i", str(made("plain.mp4")), "-c", "copy", "-copyts"]
            else:
                arguments = CLIPS[name]
            subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments, str(path)], check=True)
        return path

    return made


@pytest.fixture
def srvid() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real command to its end."""

    def run(*arguments: object, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            srvid_command(*arguments), capture_output=True, text=True, timeout=timeout, env=environment(), check=False
        )

    return run


class Quiet:
    """A listener that only remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.resumed: list[int] = []

    def reading(self) -> None: ...

    def planned(self, source: Source, plan: Plan) -> None: ...

    def progressed(self, progress: Progress) -> None: ...

    def verifying(self, progress: Progress) -> None: ...

    def indexing(self, share: float) -> None: ...

    def resuming(self, *, segments_done: int, segments: int, frames_done: int) -> None:
        self.resumed.append(segments_done)

    def noted(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def upscale_here() -> Callable[..., Quiet]:
    """Upscale in this process, which spares its start; `segment` in seconds, None for a straight run."""

    def run(
        source: Path,
        target: Path,
        *,
        segment: float | None,
        codec: str = "ffv1",
        recipe: EngineRecipe = NEAREST,
        **cut: Fraction,
    ) -> Quiet:
        listener = Quiet()
        request = Request(source=str(source), target=str(target), scale=2, codec=codec, **cut)
        seconds = None if segment is None else Fraction(str(segment))
        upscale(request, recipe, listener, Segmenting(seconds=seconds))
        return listener

    return run


@pytest.fixture
def start_srvid() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the real command; whatever still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            srvid_command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def srvid_command(*arguments: object) -> list[str]:
    """The command line: two times the size, without a network, fastest encoding unless told."""
    words = [str(argument) for argument in arguments]
    defaults = ["--scale", "2", "--model", "nearest"]
    if "--codec" not in words:
        defaults += ["--preset", "ultrafast", "--crf", "30"]
    main = "from srvid_cli.srvid import main; main()"
    return [sys.executable, "-c", main, *words, *defaults]


def environment() -> dict[str, str]:
    """Ours, with the working tree importable."""
    paths = [str(PROJECT), str(PROJECT / "cli"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture
def shown() -> Callable[[Path], list[tuple[Fraction, int]]]:
    """(time, hash of the picture) of every frame of a file."""
    return _shown


@pytest.fixture
def complaints() -> Callable[[Path], str]:
    """What ffmpeg says while it decodes a file; '' where all is well."""
    return _complaints


def _shown(path: Path) -> list[tuple[Fraction, int]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        frames: list[tuple[Fraction, int]] = []
        for frame in container.decode(stream):
            assert frame.pts is not None
            frames.append((frame.pts * base, zlib.crc32(frame.to_ndarray().tobytes())))
        return frames


def _complaints(path: Path) -> str:
    done = subprocess.run(
        ["ffmpeg", "-v", "warning", "-i", str(path), "-f", "null", "-"], capture_output=True, text=True, check=False
    )
    return done.stderr
