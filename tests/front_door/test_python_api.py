"""`import srvid` as Python users meet it: kinds of picture, frames, whole files, help."""

from __future__ import annotations

import inspect
import io
import pydoc
import re
import subprocess
import sys
import traceback
import types
import typing
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import srvid
from sr_core.errors import BadInput, OutputExists
from sr_core.testing import picture
from srvid.sheet import LABEL_PX

CLIP = Path(__file__).resolve().parents[2] / "examples" / "flower.mp4"


@pytest.fixture(scope="module")
def upscaler() -> Iterator[srvid.Upscaler]:
    with srvid.open_upscaler("swift-x2", precision="exact") as opened:
        yield opened


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    return (picture(32, 24) * 255).round().astype(np.uint8)


# ---- pictures


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_a_pil_image_comes_back_as_one(upscaler: srvid.Upscaler, rgb: np.ndarray, mode: str) -> None:
    image = Image.fromarray(rgb).convert(mode)
    image.info["icc_profile"] = b"profile"
    large = upscaler.image(image)
    assert (large.mode, large.size, large.info["icc_profile"]) == (mode, (64, 48), b"profile")
    assert (np.asarray(large) == upscaler.image(np.asarray(image))).all()


def test_pil_modes_without_channels_of_their_own_are_converted(upscaler: srvid.Upscaler, rgb: np.ndarray) -> None:
    palette = Image.fromarray(rgb).convert("P")
    assert upscaler.image(palette).mode == "RGB"
    assert upscaler.image(Image.fromarray(rgb).convert("1")).mode == "L"
    assert upscaler.image(Image.fromarray(rgb[..., 0].astype(np.uint16) * 257)).mode == "I;16"
    with pytest.raises(BadInput, match="mode F") as caught:
        upscaler.image(Image.fromarray(rgb[..., 0].astype(np.float32)))
    assert "no known range" in caught.value.hint


def test_one_transparent_colour_of_a_pil_image_becomes_alpha(upscaler: srvid.Upscaler, rgb: np.ndarray) -> None:
    for mode, mark, expected in (("P", 3, "RGBA"), ("L", 7, "LA"), ("RGB", (1, 2, 3), "RGBA")):
        image = Image.fromarray(rgb).convert(mode)
        image.info["transparency"] = mark
        assert upscaler.image(image).mode == expected


MISTAKES = {
    "channels first": (lambda rgb: rgb.transpose(2, 0, 1), "array.transpose(1, 2, 0)"),
    "a batch": (lambda rgb: rgb[None], "for one in array"),
    "a mask": (lambda rgb: rgb > 128, "* 255"),
    "int64": (lambda rgb: rgb.astype(np.int64), "array.astype(numpy.uint8)"),
    "nan": (lambda rgb: np.full(rgb.shape, np.nan, np.float32), "numpy.nan_to_num"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_wrong_array_is_refused_with_what_makes_it_right(
    upscaler: srvid.Upscaler, rgb: np.ndarray, name: str
) -> None:
    make, remedy = MISTAKES[name]
    with pytest.raises(BadInput) as caught:
        upscaler.image(make(rgb))
    assert remedy in caught.value.hint


LAYOUTS = {
    "read-only": lambda rgb: np.frombuffer(rgb.tobytes(), np.uint8).reshape(rgb.shape),
    "of strides": lambda rgb: np.repeat(rgb, 2, 0)[::2],
    "backwards": lambda rgb: rgb[..., ::-1].copy()[..., ::-1],
    "Fortran's": np.asfortranarray,
    "big-endian": lambda rgb: (rgb / np.float32(255)).astype(">f4"),
    "half floats": lambda rgb: (rgb / 255).astype(np.float16),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_array_may_lie_in_memory_as_it_likes(upscaler: srvid.Upscaler, rgb: np.ndarray, name: str) -> None:
    given = LAYOUTS[name](rgb)
    kept = given.copy()
    large = upscaler.image(given)
    largest = 1.0 if large.dtype.kind == "f" else 255
    assert abs(large.astype(np.float32) / largest - upscaler.image(rgb) / 255).max() <= 1.5 / 255
    assert (given == kept).all()


@pytest.mark.parametrize("name", ["missing.png", "", "text.png"])
def test_a_path_that_gives_no_picture_is_named(upscaler: srvid.Upscaler, tmp_path: Path, name: str) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(BadInput, match=re.escape(f"{tmp_path / name}: ")):
        upscaler.image(tmp_path / name)


def test_a_tensor_comes_back_as_one_in_its_own_layout(upscaler: srvid.Upscaler, rgb: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    expected = upscaler.image(rgb)
    tensor = torch.from_numpy(rgb.transpose(2, 0, 1).copy())
    large = upscaler.image(tensor)
    assert large.shape == (3, 48, 64)
    assert (large.numpy().transpose(1, 2, 0) == expected).all()
    batch = upscaler.image(torch.stack([tensor, tensor]).float() / 255)
    assert (batch.dtype, batch.shape) == (torch.float32, (2, 3, 48, 64))
    assert abs(batch[1].numpy().transpose(1, 2, 0) * 255 - expected).max() <= 1  # rounded, and not
    assert upscaler.image(tensor.bfloat16() / 255).dtype == torch.bfloat16
    with pytest.raises(BadInput, match="no picture") as caught:
        upscaler.image(torch.from_numpy(rgb))
    assert "permute" in caught.value.hint
    with pytest.raises(BadInput, match="no picture"):
        upscaler.image(torch.zeros(0, 3, 4, 4))


class OnDevice:
    """An array of a library of its own, on its device 2:0 (CUDA), which hands it over as DLPack 1 demands."""

    def __init__(self, held: np.ndarray, *, copies: bool = True) -> None:
        self.held, self.copies, self.device = held, copies, "cuda:0"

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, *, dl_device: tuple[int, int] | None = None, **asked: object) -> object:
        if not self.copies or dl_device != (1, 0):
            raise BufferError("this memory is not the host's")
        return self.held.copy().__dlpack__(max_version=asked.get("max_version"))


class OfAnArrayLibrary(OnDevice):
    def __array_namespace__(self) -> object:
        return types.SimpleNamespace(asarray=self.made)

    def made(self, array: np.ndarray, *, device: str) -> OfAnArrayLibrary:
        assert device == self.device
        return OfAnArrayLibrary(array)


def test_dlpack_is_taken_from_a_gpu_and_goes_back_by_the_librarys_own_hand(
    upscaler: srvid.Upscaler, rgb: np.ndarray
) -> None:
    expected = upscaler.image(rgb)
    assert (upscaler.image(OnDevice(rgb)) == expected).all()  # type: ignore[call-overload]
    large = upscaler.image(OfAnArrayLibrary(rgb))  # type: ignore[call-overload]
    assert isinstance(large, OfAnArrayLibrary)
    assert (large.held == expected).all()
    with pytest.raises(BadInput, match="OnDevice cannot be handed over by DLPack: this memory"):
        upscaler.image(OnDevice(rgb, copies=False))  # type: ignore[call-overload]
    tensor = pytest.importorskip("torch").from_numpy(rgb.copy())
    foreign = type("Foreign", (), {"__dlpack__": tensor.__dlpack__, "__dlpack_device__": tensor.__dlpack_device__})()
    assert (upscaler.image(foreign) == expected).all()  # type: ignore[call-overload]


def test_a_path_is_read_upright_and_in_its_own_depth(upscaler: srvid.Upscaler, rgb: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    Image.fromarray(rgb).save(tmp_path / "turned.png", exif=exif)
    assert (upscaler.image(tmp_path / "turned.png") == upscaler.image(np.rot90(rgb, -1).copy())).all()
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert upscaler.image(str(tmp_path / "deep.png")).dtype == np.uint16


def test_float64_is_taken_and_comes_back(upscaler: srvid.Upscaler, rgb: np.ndarray) -> None:
    large = upscaler.image(rgb / 255)
    assert large.dtype == np.float64
    assert abs(large - upscaler.image((rgb / 255).astype(np.float32))).max() == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_0_to_255_are_refused_with_the_remedy(upscaler: srvid.Upscaler, rgb: np.ndarray, dtype: type) -> None:
    with pytest.raises(BadInput, match="far outside") as caught:
        upscaler.image(rgb.astype(dtype))
    assert caught.value.hint == "0..255 floats? divide by 255"
    upscaler.image(np.array([[[-0.1, 0.5, 1.3]]], dtype))  # a little overshoot is none


def test_what_is_no_picture_is_refused_by_name(upscaler: srvid.Upscaler) -> None:
    with pytest.raises(BadInput, match="list is no picture"):
        upscaler.image([[1, 2], [3, 4]])  # type: ignore[call-overload]


# ---- frames


def clip_frames(count: int) -> list[av.VideoFrame]:
    with av.open(str(CLIP)) as container:
        return [frame for _, frame in zip(range(count), container.decode(video=0), strict=False)]


def test_frames_keep_time_tags_and_format(upscaler: srvid.Upscaler) -> None:
    sources = clip_frames(7)
    for source in sources:
        source.color_primaries, source.color_trc, source.colorspace = 1, 1, 1
    large = list(upscaler.frames(iter(sources)))
    assert len(large) == 7
    for source, result in zip(sources, large, strict=True):
        assert (result.width, result.height) == (2 * source.width, 2 * source.height)
        assert result.format.name == source.format.name == "yuv420p"
        tags = "pts", "time_base", "duration", "color_range", "colorspace", "color_primaries", "color_trc"
        assert [getattr(result, tag) for tag in tags] == [getattr(source, tag) for tag in tags]


@pytest.mark.parametrize("steady", [False, True])
def test_frames_are_those_that_the_command_writes(steady: bool, upscaler: srvid.Upscaler, tmp_path: Path) -> None:
    options: dict[str, typing.Any] = {"model": "swift", "precision": "exact", "codec": "ffv1", "no_segments": True}
    srvid.upscale_video(CLIP, tmp_path / "out.mkv", scale=2, end=0.2, steady=steady, **options)
    with av.open(str(tmp_path / "out.mkv")) as container:
        written = [frame.to_ndarray() for frame in container.decode(video=0)]
    read = clip_frames(len(written) + steady)  # a part's last frame is averaged with the one behind it
    ours = [frame.to_ndarray() for frame in upscaler.frames(read, steady=steady)][:6]
    assert len(written) == len(ours) == 6
    assert all((one == other).all() for one, other in zip(ours, written, strict=True))
    plain = [frame.to_ndarray() for frame in upscaler.frames(read)]
    assert any((one != other).any() for one, other in zip(ours, plain, strict=False)) == steady


def test_what_cannot_be_steadied_is_refused(upscaler: srvid.Upscaler) -> None:
    (frame,) = clip_frames(1)
    with pytest.raises(BadInput, match="is 32x4"):
        list(upscaler.frames([frame.reformat(width=32, height=4)], steady=True))
    upscaler.grain = 0.5
    try:
        with pytest.raises(BadInput, match="would average the grain"):
            upscaler.frames([], steady=True)
    finally:
        upscaler.grain = 0.0
    assert list(upscaler.frames([], steady=True)) == []


def test_side_data_comes_along(upscaler: srvid.Upscaler, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "x.mkv"), "w") as container:  # x264 writes an SEI that decoders hand on
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((24, 32, 3), np.uint8), "rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(tmp_path / "x.mkv")) as container:
        source = next(container.decode(video=0))
    assert source.side_data
    (large,) = upscaler.frames([source])
    assert [(k, bytes(v)) for k, v in large.side_data.items()] == [(k, bytes(v)) for k, v in source.side_data.items()]
    assert large.width == 64


def test_an_interlaced_frame_and_another_size_are_refused(upscaler: srvid.Upscaler) -> None:
    (first,) = clip_frames(1)
    other = first.reformat(width=64, height=48)
    with pytest.raises(BadInput, match="64x48 after frames of"):
        list(upscaler.frames([first, other]))
    with pytest.raises(BadInput, match="ndarray is no av"):
        list(upscaler.frames([first.to_ndarray()]))  # type: ignore[list-item]


def test_a_format_that_is_not_ours_is_converted_with_its_colours(upscaler: srvid.Upscaler) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((24, 32, 4), (200, 30, 90, 255), np.uint8), format="rgba")
    frame.pts, frame.time_base = 5, Fraction(1, 25)
    (large,) = upscaler.frames([frame])
    assert large.pts == 5
    assert abs(large.to_ndarray(format="rgb24")[24, 32].astype(int) - (200, 30, 90)).max() <= 2


# ---- files


def test_upscale_video_tells_progress_and_notes_and_returns_the_summary(tmp_path: Path) -> None:
    seen: list[srvid.Progress] = []
    notes: list[str] = []
    summary = srvid.upscale_video(
        CLIP,
        tmp_path / "out.mp4",
        scale=2,
        model="nearest",
        preset="ultrafast",
        start="0:01",
        end=1.2,
        on_progress=seen.append,
        on_note=notes.append,
    )
    assert summary.frames == 6
    assert seen[-1].frames == 6
    assert all(isinstance(note, str) for note in notes)
    with pytest.raises(OutputExists) as caught:
        srvid.upscale_video(CLIP, tmp_path / "out.mp4", model="nearest")
    assert "overwrite=True" in caught.value.hint


def test_upscale_image_keeps_what_the_file_means(upscaler: srvid.Upscaler, rgb: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a flower"
    Image.fromarray(rgb).save(tmp_path / "in.jpg", quality=95, exif=exif)
    srvid.upscale_image(tmp_path / "in.jpg", tmp_path / "out.png", upscaler=upscaler)
    with Image.open(tmp_path / "out.png") as large:
        assert large.size == (64, 48)
        assert large.getexif()[0x010E] == "a flower"
    with pytest.raises(OutputExists):
        srvid.upscale_image(tmp_path / "in.jpg", tmp_path / "out.png", upscaler=upscaler)
    with pytest.raises(BadInput, match="no file"):
        srvid.upscale_image(tmp_path / "gone.jpg", tmp_path / "out2.png", upscaler=upscaler)


def test_upscale_images_goes_on_after_a_bad_file(upscaler: srvid.Upscaler, rgb: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    Image.fromarray(rgb).save(tmp_path / "c.png")
    sources = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    failed: list[Path] = []
    done = srvid.upscale_images(
        sources, tmp_path / "out", upscaler=upscaler, format="webp", quality=90, on_error=lambda s, e: failed.append(s)
    )
    assert [path.name for path in done] == ["a.webp", "c.webp"]
    assert failed == [tmp_path / "b.png"]
    with pytest.raises(srvid.SrError):
        srvid.upscale_images(sources[1:2], tmp_path / "out", upscaler=upscaler)


# ---- names, help, errors


def test_a_model_named_with_its_scale_needs_no_other(upscaler: srvid.Upscaler, tmp_path: Path) -> None:
    assert upscaler.scale == 2
    assert "swift-x2" in srvid.model_names()
    from sr_zoo.models import find_model

    copy = tmp_path / "2x_foo.onnx"
    copy.write_bytes(find_model("swift-x2").read_bytes())
    with srvid.open_upscaler(str(copy)) as own:
        assert own.scale == 2
    with srvid.open_upscaler("swift") as default:
        assert default.scale == 4


def test_the_repr_says_what_it_is(upscaler: srvid.Upscaler) -> None:
    assert repr(upscaler).startswith("<srvid.Upscaler swift-x2: 2 times, openvino on ")


def test_jupyter_is_given_a_picture(upscaler: srvid.Upscaler, rgb: np.ndarray) -> None:
    shown = srvid.compare(rgb, upscaler.image(rgb))
    with Image.open(io.BytesIO(shown._repr_png_())) as sheet:
        assert sheet.size == (64 + 8 + 64, LABEL_PX + 48)
        shown_rows = np.asarray(sheet)[LABEL_PX:]
    assert not shown_rows[:, 64:72].any()
    assert (shown_rows[:, 72:] == upscaler.image(rgb)).all()


@pytest.mark.parametrize("name", [name for name in srvid.__all__ if name != "__version__"])
def test_every_public_name_has_help_and_types_that_resolve(name: str) -> None:
    value = getattr(srvid, name)
    assert inspect.getdoc(value)
    if inspect.isfunction(value):
        assert set(typing.get_type_hints(value)) == {*inspect.signature(value).parameters, "return"}
    methods = inspect.getmembers(value, inspect.isfunction) if inspect.isclass(value) else []
    for method, function in methods:
        assert typing.get_type_hints(function) is not None  # raises where a name is not found
        assert method.startswith("_") or inspect.getdoc(function), method
    assert name in pydoc.render_doc(srvid, renderer=pydoc.plaintext)


def test_importing_srvid_is_cheap_and_listing_it_loads_nothing() -> None:
    code = "import srvid, sys; dir(srvid); print({'av', 'onnx', 'PIL', 'openvino', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_traceback_ends_with_the_hint() -> None:
    with pytest.raises(srvid.SrError) as caught:
        srvid.open_upscaler("clera")
    text = "".join(traceback.format_exception(caught.value))
    assert text.splitlines()[-1].startswith("hint: did you mean clear-x4? choose one of: ")
