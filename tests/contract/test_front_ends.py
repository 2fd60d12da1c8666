"""Every front end gives the same bits for the same model, format and backend.

The reference is `Upscaler.planes` with the shipped default model. The filter's own suite holds it to
the same reference in every format (tests/vapoursynth), the worker's its rows (tests/plugins).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import srvid
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.frame import Array, Planes, rgb, yuv
from sr_core.upscaler import Upscaler

CLIP = Path(__file__).resolve().parents[2] / "examples" / "flower.mp4"
SCALE, TILE, FRAMES = 2, 96, 3
BT709 = ColorSpec(matrix="bt709", siting="left")  # what flower.mp4 is tagged as


@pytest.fixture(scope="module")
def engine() -> Iterator[Upscaler]:
    with srvid.open_upscaler("clear", scale=SCALE, backend="openvino", tile=TILE) as upscaler:
        yield upscaler


def decoded(path: Path) -> list[Planes]:
    """The first frames of a 4:2:0 video."""
    with av.open(str(path)) as container:
        frames = [frame for frame, _ in zip(container.decode(video=0), range(FRAMES), strict=False)]
    planes = []
    for frame in frames:
        assert frame.format.name == "yuv420p"
        shapes = yuv("420").plane_shapes(frame.width, frame.height)
        planes.append(
            tuple(
                np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : shape[1]].copy()
                for plane, shape in zip(frame.planes, shapes, strict=True)
            )
        )
    return planes


@pytest.fixture(scope="module")
def expected(engine: Upscaler) -> list[Planes]:
    return [engine.planes(planes, yuv("420"), BT709) for planes in decoded(CLIP)]


@pytest.fixture(scope="module")
def pixels() -> Array:
    random = np.random.default_rng(5)
    return random.integers(0, 256, (70, 130, 3), np.uint8)


def run(command: str, *arguments: object) -> None:
    call = f"from srvid_cli.{command} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", call, *(str(argument) for argument in arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_srvid_writes_the_engines_frames(expected: list[Planes], tmp_path: Path) -> None:
    out = tmp_path / "large.mkv"
    options = ("--scale", SCALE, "--tile", TILE, "--backend", "openvino", "--codec", "ffv1", "--end", "0.2")
    run("srvid", CLIP, out, *options)
    for frame, reference in zip(decoded(out), expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame, reference, strict=True))


def test_srbatch_writes_the_engines_pixels(engine: Upscaler, pixels: Array, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in" / "noise.png")
    options = ("--scale", SCALE, "--tile", TILE, "--backend", "openvino")
    run("srbatch", tmp_path / "in", tmp_path / "out", *options)
    with Image.open(tmp_path / "out" / "noise.png") as image:
        (reference,) = engine.planes((pixels,), rgb(packed=True), FULL_RANGE_RGB)
        assert np.array_equal(np.asarray(image), reference)


def test_the_python_api_gives_the_engines_pixels(engine: Upscaler, pixels: Array) -> None:
    (reference,) = engine.planes((pixels,), rgb(packed=True), FULL_RANGE_RGB)
    assert np.array_equal(engine.image(pixels), reference)


def test_the_vapoursynth_filter_gives_the_engines_frames(expected: list[Planes]) -> None:
    vs = pytest.importorskip("vapoursynth", reason="pip install 'srvid[vapoursynth]'")
    from vapoursynth_filter import upscale

    sources = decoded(CLIP)
    height, width = sources[0][0].shape
    blank = vs.core.std.BlankClip(None, width, height, vs.YUV420P8, length=FRAMES)

    def fill(n: int, f: object) -> object:
        copy = f.copy()  # type: ignore[attr-defined]
        for index, plane in enumerate(sources[n]):
            np.copyto(np.asarray(copy[index]), plane)
        return copy

    clip = vs.core.std.ModifyFrame(blank, blank, fill).std.SetFrameProps(_Matrix=1, _Range=0, _ChromaLocation=0)
    large = upscale(clip, SCALE, "clear", "openvino", tile=TILE)
    for frame, reference in zip(large.frames(), expected, strict=True):
        for index, plane in enumerate(reference):
            assert np.array_equal(np.asarray(frame[index]), plane)
