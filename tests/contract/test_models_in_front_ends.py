"""A chain of models and its factor, in every front end: what comes out is two runs after each other.

The middle picture is kept in floats here, so each front end may differ by its last rounding only. A front end that
dropped the first network, the second or the factor would miss by far more: see the first test.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper
from PIL import Image

import srvid
from sr_core.color import FULL_RANGE_RGB
from sr_core.frame import Array, PixelFormat
from sr_core.model_spec import INPUT_NAME, OUTPUT_NAME, ModelSpec, with_spec
from sr_core.testing import nearest_model, random_model

ROUNDING = 1  # of 255
WIDTH, HEIGHT = 24, 20
FLOATS = PixelFormat(family="rgb", depth=32, layout="packed", is_float=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """(a network that enlarges once, one that enlarges twice)."""
    folder = tmp_path_factory.mktemp("networks")
    onnx.save(turner(), folder / "turner.onnx")
    onnx.save(random_model(2, seed=5, features=4, layers=1), folder / "large.onnx")
    return str(folder / "turner.onnx"), str(folder / "large.onnx")


def turner() -> onnx.ModelProto:
    """Each channel becomes the next one, a pixel to the left: what is seen at once where it is left out."""
    model = nearest_model(1)
    weights = np.zeros((3, 3, 3, 3), np.float32)
    weights[range(3), (1, 2, 0), 1, 2] = 1
    model.graph.initializer.append(numpy_helper.from_array(weights, "weights"))
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Conv", [INPUT_NAME, "weights"], [OUTPUT_NAME], pads=[1] * 4))
    return with_spec(model, ModelSpec(name="turner", scale=1, halo_px=1))


@pytest.fixture(scope="module")
def chain(files: tuple[str, str]) -> str:
    return ",".join(files)


@pytest.fixture(scope="module")
def pixels() -> Array:
    return np.random.default_rng(8).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def one_after_the_other(pixels: Array, *files: str) -> Array:
    """Each network by itself, on what the one before made."""
    picture: Array = (pixels / 255).astype(np.float32)
    for file in files:
        with srvid.open_upscaler(file, backend="openvino", precision="exact") as upscaler:
            (picture,) = upscaler.planes((picture,), FLOATS, FULL_RANGE_RGB)
    rounded: Array = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
    return rounded


@pytest.fixture(scope="module")
def expected(pixels: Array, files: tuple[str, str]) -> Array:
    return one_after_the_other(pixels, *files)


def assert_is(found: Array, expected: Array) -> None:
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= ROUNDING


def run(command: str, *arguments: object) -> None:
    from srvid_cli.srbatch import srbatch_command
    from srvid_cli.srvid import srvid_command

    program = {"srvid": srvid_command, "srbatch": srbatch_command}[command]
    done = CliRunner().invoke(program, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_no_part_of_the_chain_could_be_missing_unseen(pixels: Array, files: tuple[str, str], expected: Array) -> None:
    for fewer in ((files[1],), (files[1], files[0])):
        assert np.abs(one_after_the_other(pixels, *fewer).astype(int) - expected).max() > 20 * ROUNDING


def test_python_runs_a_chain(pixels: Array, chain: str, expected: Array) -> None:
    with srvid.open_upscaler(chain, backend="openvino", precision="exact") as upscaler:
        assert_is(upscaler.image(pixels), expected)


def test_srbatch_runs_a_chain(pixels: Array, chain: str, expected: Array, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(tmp_path / "in.png")
    run("srbatch", tmp_path / "in.png", tmp_path / "out.png", "--model", chain, "--precision", "exact")
    assert_is(np.asarray(Image.open(tmp_path / "out.png")), expected)


def written(path: Path, pixels: Array) -> Path:
    """A clip of two frames that every codec here keeps exactly: FFV1 of RGB."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], "bgr0"
        for index in range(2):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def frames_of(path: Path) -> list[Array]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_srvid_runs_a_chain(pixels: Array, chain: str, expected: Array, tmp_path: Path) -> None:
    source = written(tmp_path / "in.mkv", pixels)
    run("srvid", source, tmp_path / "out.mkv", "--model", chain, "--precision", "exact", "--codec", "ffv1")
    found = frames_of(tmp_path / "out.mkv")
    assert len(found) == 2
    for frame in found:
        assert_is(frame, expected)


def rgb_clip(pixels: Array) -> Any:
    vs = pytest.importorskip("vapoursynth", reason="pip install 'srvid[vapoursynth]'")
    blank = vs.core.std.BlankClip(None, pixels.shape[1], pixels.shape[0], vs.RGB24, length=1)

    def fill(n: int, f: Any) -> Any:
        copy = f.copy()
        for index in range(3):
            np.copyto(np.asarray(copy[index]), pixels[:, :, index])
        return copy

    return vs.core.std.ModifyFrame(blank, blank, fill)


def picture_of(clip: Any) -> Array:
    frame = clip.get_frame(0)
    return np.stack([np.asarray(frame[index]) for index in range(3)], axis=-1)


def test_the_vapoursynth_filter_runs_a_chain(pixels: Array, chain: str, expected: Array) -> None:
    """`core.srvid.Upscale` gives what the function gives: tests/vapoursynth/test_native.py."""
    clip = rgb_clip(pixels)
    from vapoursynth_filter import upscale

    assert_is(picture_of(upscale(clip, model=chain, backend="openvino", precision="exact")), expected)


def test_the_worker_of_the_plug_ins_runs_a_chain(
    pixels: Array, chain: str, expected: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIMP, Krita and ComfyUI send their model to it as text."""
    from sr_plugins.testing import RunningWorker, through_worker

    monkeypatch.setenv("SRVID_WORKER_FILE", str(tmp_path / "worker.json"))

    def opener(model: str, **options: Any) -> srvid.Upscaler:
        return srvid.open_upscaler(model, **options, precision="exact")

    with RunningWorker(tmp_path / "worker.json", opener):
        assert_is(through_worker(pixels, model=chain, scale=2), expected)


# ---- factors


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ((), (1, 1)),
        (("--scale", "1"), (1, 1)),
        (("--model", "clear", "--scale", "8"), (8, 8)),
        (("--model", "clear", "--scale", "1.5"), (1.5, 1.5)),
        (("--model", "clear", "--height", "50"), (2.5, 2.5)),
    ],
    ids=["own", "1x", "8x", "1.5", "height"],
)
@pytest.mark.parametrize("command", ["srvid", "srbatch"])
def test_a_command_gives_every_factor(
    command: str,
    options: tuple[str, ...],
    size: tuple[float, float],
    pixels: Array,
    files: tuple[str, str],
    tmp_path: Path,
) -> None:
    model = () if "--model" in options else ("--model", files[0])
    read: Callable[[Path], Array]
    if command == "srvid":
        source, target = written(tmp_path / "in.mkv", pixels), tmp_path / "out.mkv"
        options, read = (*options, "--codec", "ffv1"), lambda path: frames_of(path)[0]
    else:
        source, target, read = tmp_path / "in.png", tmp_path / "out.png", lambda path: np.asarray(Image.open(path))
        Image.fromarray(pixels).save(source)
    run(command, source, target, *model, *options)
    assert read(target).shape == (HEIGHT * size[1], WIDTH * size[0], 3)
    if size == (1, 1):
        assert_is(read(target), one_after_the_other(pixels, files[0]))
