"""A chain of models and its factor, in every front end: what comes out is two runs after each other.

The middle picture is kept in floats here, so each front end may differ by its last rounding only. A front end that
dropped the first network, the second or the factor would miss by far more: see the first test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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
from sr_plugins import client
from srvid.model_choice import engine_scale

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


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The worker of the plug-ins, in FP32."""
    from sr_plugins.testing import RunningWorker

    monkeypatch.setenv("SRVID_WORKER_FILE", str(tmp_path / "worker.json"))

    def opener(model: str, **options: Any) -> srvid.Upscaler:
        return srvid.open_upscaler(model, **options, precision="exact")

    with RunningWorker(tmp_path / "worker.json", opener, scale_for=engine_scale):
        yield


def test_the_worker_of_the_plug_ins_runs_a_chain(pixels: Array, chain: str, expected: Array, worker: None) -> None:
    """GIMP, Krita and ComfyUI send their model to it as text."""
    from sr_plugins.testing import through_worker

    assert_is(through_worker(pixels, model=chain, scale=2), expected)


# ---- factors


def resized(pixels: Array, files: tuple[str, str], size: tuple[int, int]) -> Array:
    """The chain at its own scale, brought down to `size` (width, height) by a filter that everyone here has."""
    whole = Image.fromarray(one_after_the_other(pixels, *files))
    return np.asarray(whole.resize(size, Image.Resampling.LANCZOS))


FACTORS = [(2, (48, 40)), (1.5, (36, 30)), (1, (24, 20))]


@pytest.mark.parametrize(("factor", "size"), FACTORS, ids=str)
def test_vapoursynth_gives_every_factor_of_a_chain(
    factor: float, size: tuple[int, int], pixels: Array, chain: str, expected: Array
) -> None:
    clip = rgb_clip(pixels)
    from vapoursynth_filter import upscale

    options = {"model": chain, "backend": "openvino", "precision": "exact"}
    whole = upscale(clip, **options)
    assert_is(picture_of(whole), expected)
    found = picture_of(upscale(clip, factor, **options))
    assert np.array_equal(found, picture_of(whole.resize.Lanczos(*size)))
    assert np.array_equal(found, picture_of(upscale(clip, **options, height=size[1])))


def test_vapoursynth_gives_eight_times() -> None:
    clip = rgb_clip(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    from vapoursynth_filter import upscale

    large = upscale(clip, 8, backend="openvino")
    assert (large.width, large.height) == (8 * WIDTH, 8 * HEIGHT)


@pytest.mark.parametrize(("factor", "size"), [*FACTORS, (8, (192, 160))], ids=str)
def test_the_worker_of_the_plug_ins_gives_every_factor(
    factor: float, size: tuple[int, int], pixels: Array, files: tuple[str, str], chain: str, worker: None
) -> None:
    from sr_plugins.testing import through_worker

    if factor == 8:
        assert through_worker(pixels, model="clear", scale=8).shape == (size[1], size[0], 3)
        return
    assert_is(through_worker(pixels, model=chain, scale=factor), resized(pixels, files, size))


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


# ---- names


@pytest.fixture
def name(files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The network that enlarges twice, imported by the command under a name that reads like no file."""
    from srvid_cli.srkit.models import command

    monkeypatch.setenv("SRVID_MODELS", str(tmp_path / "library"))
    words = ["import", files[1], "--name", "my.large-x2", "--for", "old tapes", "--licence", "MIT"]
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return "my.large-x2"


def test_an_imported_name_is_listed_with_what_it_is_for_its_scale_cost_and_licence(name: str) -> None:
    from srvid_cli.srkit.models import command

    lines = CliRunner().invoke(command, ["list"], catch_exceptions=False).output.splitlines()
    (row,) = [" ".join(line.split()) for line in lines if line.startswith(name)]
    assert re.fullmatch(rf"{re.escape(name)} x2 old tapes \d+\.\d \d+ px \d+ MIT", row), row


def test_every_front_end_takes_an_imported_name(
    name: str, pixels: Array, files: tuple[str, str], tmp_path: Path, worker: None
) -> None:
    from sr_plugins.testing import through_worker

    expected = one_after_the_other(pixels, files[1])
    Image.fromarray(pixels).save(tmp_path / "in.png")
    run("srbatch", tmp_path / "in.png", tmp_path / "out.png", "--model", name, "--precision", "exact")
    assert_is(np.asarray(Image.open(tmp_path / "out.png")), expected)
    source = written(tmp_path / "in.mkv", pixels)
    run("srvid", source, tmp_path / "out.mkv", "--model", name, "--precision", "exact", "--codec", "ffv1")
    assert_is(frames_of(tmp_path / "out.mkv")[0], expected)
    with srvid.open_upscaler(name, backend="openvino", precision="exact") as upscaler:
        assert_is(upscaler.image(pixels), expected)
    assert_is(through_worker(pixels, model=name, scale=2), expected)


def test_the_vapoursynth_filter_takes_an_imported_name(name: str, pixels: Array, files: tuple[str, str]) -> None:
    clip = rgb_clip(pixels)
    from vapoursynth_filter import upscale

    made = picture_of(upscale(clip, model=name, backend="openvino", precision="exact"))
    assert_is(made, one_after_the_other(pixels, files[1]))


def test_lists_to_choose_from_hold_an_imported_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's, napari's, and those of plug-ins, also where they were installed before the import."""
    from sr_plugins.install import launch_content
    from sr_ui.suggested import models_here
    from sr_zoo.models import families

    assert name in [model["name"] for model in models_here()]
    assert "my.large" in families()
    (tmp_path / "launch.json").write_bytes(launch_content(("clear",)))
    monkeypatch.setattr(client, "__file__", str(tmp_path / "srvid_client.py"))
    assert client.model_names() == ["clear", "my.large"]
