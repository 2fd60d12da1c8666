"""The `srvid` command as a process of its own, and small clips for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

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
