"""A zoo of files through the identity network: same pixels, same meaning."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.upscaler import Upscaler
from sr_image.enlarge import EnlargeOptions, EnlargePlan, enlarge, plan_enlarging
from sr_image.formats.jpeg_writer import write_jpeg
from sr_image.formats.png_writer import write_png
from sr_image.formats.reader import open_image
from sr_image.formats.writer import write_image
from sr_image.metadata.carried import Frame, Header, Metadata
from sr_image.metadata.exif import has_thumbnail
from sr_image.sizing import SizeTarget
from sr_video.native import keep_scheduling
from tests.image.conftest import noise
from tests.image.samples import (
    FULL,
    MAKER_NOTE,
    Load,
    by_openimageio,
    by_pillow,
    exif_blob,
    gamma_icc,
    header_of,
    read,
)

HEIGHT, WIDTH = 21, 34


Make = Callable[[Path], Array]


def _openimageio(channels: int, dtype: str, factor: float = 1, **attributes: object) -> Make:
    def make(path: Path) -> Array:
        pixels = noise(HEIGHT, WIDTH, channels, dtype)
        if factor != 1:
            pixels = pixels * pixels.dtype.type(factor)
        by_openimageio(path, pixels, **attributes)
        return pixels

    return make


def _pillow(channels: int, **options: object) -> Make:
    def make(path: Path) -> Array:
        pixels = noise(HEIGHT, WIDTH, channels)
        by_pillow(path, pixels, **options)
        return pixels

    return make


def _palette(path: Path) -> Array:
    image = Image.fromarray(noise(HEIGHT, WIDTH, 3)).quantize(16)
    image.save(path)
    return np.asarray(image.convert("RGB"))


def _bilevel(path: Path) -> Array:
    image = Image.fromarray(noise(HEIGHT, WIDTH, 1)[..., 0]).convert("1")
    image.save(path)
    return np.asarray(image.convert("L"))[..., None]


def _gif(path: Path) -> Array:
    image = Image.fromarray(noise(HEIGHT, WIDTH, 3)).quantize(200)
    image.save(path)
    return np.asarray(image.convert("RGB"))


LOSSLESS: dict[str, tuple[str, Make]] = {
    "PNG gray 8": ("a.png", _pillow(1)),
    "PNG gray+alpha 8": ("a.png", _pillow(2)),
    "PNG RGB 8": ("a.png", _pillow(3)),
    "PNG RGBA 8": ("a.png", _pillow(4)),
    "PNG gray 16": ("a.png", _openimageio(1, "uint16")),
    "PNG gray+alpha 16": ("a.png", _openimageio(2, "uint16")),
    "PNG RGB 16": ("a.png", _openimageio(3, "uint16")),
    "PNG RGBA 16": ("a.png", _openimageio(4, "uint16")),
    "PNG palette": ("a.png", _palette),
    "PNG 1 bit": ("a.png", _bilevel),
    "TIFF RGB 8 LZW": ("a.tif", _pillow(3, compression="tiff_lzw")),
    "TIFF RGBA 8": ("a.tiff", _pillow(4)),
    "TIFF gray 16": ("a.tif", _openimageio(1, "uint16")),
    "TIFF RGB 16 tiled": ("a.tif", _openimageio(3, "uint16", tiff__write_exif=0)),
    "TIFF RGB half": ("a.tif", _openimageio(3, "float16")),
    "TIFF RGB float": ("a.tif", _openimageio(3, "float32")),
    "TIFF palette": ("a.tif", _palette),
    "TIFF 1 bit": ("a.tif", _bilevel),
    "BMP RGB": ("a.bmp", _pillow(3)),
    "BMP gray": ("a.bmp", _pillow(1)),
    "GIF": ("a.gif", _gif),
    "WebP lossless": ("a.webp", _pillow(4, lossless=True, exact=True)),
    "EXR half": ("a.exr", _openimageio(3, "float16", 7)),
    "EXR gray float": ("a.exr", _openimageio(1, "float32", 7)),
    "EXR RGBA float": ("a.exr", _openimageio(4, "float32")),
    "JPEG XL 8": ("a.jxl", _openimageio(3, "uint8", compression="jpegxl:100")),
    "JPEG XL 16": ("a.jxl", _openimageio(4, "uint16", compression="jpegxl:100")),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_keep_every_sample(name: str, tmp_path: Path, identity: Upscaler, load: Load) -> None:
    file_name, make = LOSSLESS[name]
    source, target = tmp_path / file_name, tmp_path / f"out{Path(file_name).suffix}"
    expected = make(source)
    enlarge(source, target, identity, EnlargeOptions())
    before, _, read_before = load(source)
    after, _, (pixels,) = load(target)
    np.testing.assert_array_equal(read_before[0], expected)
    assert (after.dtype, after.channels, after.alpha) == (before.dtype, before.channels, before.alpha)
    if before.dtype.startswith("float"):
        # the sRGB curve and back in float32: a few steps of 2^-23, and nothing at all in half floats
        np.testing.assert_allclose(pixels, expected, rtol=1e-5 if before.dtype == "float32" else 0)
    else:
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize(
    ("file_name", "options"),
    [("a.jpg", {"quality": 95}), ("a.webp", {"quality": 95}), ("a.avif", {"quality": 95})],
)
def test_lossy_files_stay_close(
    file_name: str, options: dict[str, object], tmp_path: Path, identity: Upscaler, load: Load
) -> None:
    y, x = np.mgrid[:48, :64]
    smooth = np.stack([x * 4, y * 5, x + y], axis=2).astype(np.uint8)
    by_pillow(tmp_path / file_name, smooth, **options)
    enlarge(tmp_path / file_name, tmp_path / f"out-{file_name}", identity, EnlargeOptions(quality=95))
    _, _, (pixels,) = load(tmp_path / f"out-{file_name}")
    assert np.abs(pixels.astype(int) - smooth).mean() < 3


def test_heic_is_read_and_written_where_its_package_is(tmp_path: Path, identity: Upscaler, load: Load) -> None:
    heif = pytest.importorskip("pillow_heif")
    y, x = np.mgrid[:48, :64]
    smooth = np.stack([x * 4, y * 5, x + y], axis=2).astype(np.uint8)
    heif.from_pillow(Image.fromarray(smooth)).save(tmp_path / "a.heic", exif=b"Exif\0\0" + exif_blob(orientation=1))
    enlarge(tmp_path / "a.heic", tmp_path / "out.heic", identity, EnlargeOptions(quality=95))
    _, metadata, (pixels,) = load(tmp_path / "out.heic")
    assert np.abs(pixels.astype(int) - smooth).mean() < 4
    assert metadata.exif is not None
    assert read(metadata.exif)[0x010F] == "Maker of cameras"


METADATA = ["a.png", "a.jpg", "a.tif", "a.webp", "a.avif", "a.jxl"]


@pytest.mark.parametrize("file_name", METADATA)
def test_metadata_comes_out_as_it_went_in(file_name: str, tmp_path: Path, doubling: Upscaler, load: Load) -> None:
    pixels = noise(30, 40, 3)
    kind = {"jpg": "jpeg", "tif": "tiff"}.get(file_name[2:], file_name[2:])
    given = Metadata(
        icc=gamma_icc(2.2), exif=exif_blob(orientation=1), xmp=b"<x:xmpmeta>\xc3\xa9</x:xmpmeta>",
        iptc=FULL.iptc, dpi=(300.0, 300.0),
    )  # fmt: skip
    write_image(tmp_path / file_name, header_of(pixels, kind), given, [Frame([pixels])])
    plan = enlarge(tmp_path / file_name, tmp_path / f"out-{file_name}", doubling, EnlargeOptions())
    header, metadata, _ = load(tmp_path / f"out-{file_name}")
    assert header.size == (80, 60)
    assert metadata.xmp == given.xmp
    if kind != "jxl":  # libjxl writes the profile it encodes as its own
        assert metadata.icc == given.icc
    assert metadata.exif is not None
    exif = read(metadata.exif)
    assert exif[0x010F] == "Maker of cameras"
    assert exif.get_ifd(0x8769)[0x927C] == MAKER_NOTE
    assert (exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003]) == (80, 60)
    if kind in ("png", "jpeg", "tiff"):
        assert (metadata.iptc, metadata.dpi) == (given.iptc, given.dpi)
        assert plan.notes == ()


def test_what_a_format_has_no_place_for_is_said(tmp_path: Path, identity: Upscaler) -> None:
    pixels = noise(4, 5, 3)
    write_png(tmp_path / "a.png", header_of(pixels, "png"), FULL, [Frame([pixels])])
    plan = enlarge(tmp_path / "a.png", tmp_path / "a.webp", identity, EnlargeOptions(format="webp"))
    assert [note.split(" left out")[0] for note in plan.notes if "left out" in note] == [
        "resolution", "IPTC", "text entries",
    ]  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_name", ["a.png", "a.tif"])
def test_orientation_is_applied_once(
    file_name: str, orientation: int, tmp_path: Path, identity: Upscaler, load: Load
) -> None:
    pixels = noise(6, 9, 3)
    metadata = Metadata(exif=exif_blob(orientation=orientation), xmp=b'<r tiff:Orientation="%d"/>' % orientation)
    kind = "png" if file_name == "a.png" else "tiff"
    header = header_of(pixels, kind, orientation=orientation)
    write_image(tmp_path / file_name, header, metadata, [Frame([pixels])])
    enlarge(tmp_path / file_name, tmp_path / f"out-{file_name}", identity, EnlargeOptions())
    after, metadata_after, (turned,) = load(tmp_path / f"out-{file_name}")
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(turned, np.asarray(ImageOps.exif_transpose(image)))
    assert after.orientation == 1
    assert metadata_after.xmp == b'<r tiff:Orientation="1"/>'
    assert metadata_after.exif is not None
    assert read(metadata_after.exif)[0x0112] == 1


def test_a_thumbnail_is_made_anew(tmp_path: Path, doubling: Upscaler, load: Load) -> None:
    pixels = np.full((30, 40, 3), (200, 10, 10), np.uint8)
    blob = exif_blob(orientation=1, thumbnail=b"\xff\xd8not a picture")
    write_jpeg(tmp_path / "a.jpg", header_of(pixels, "jpeg"), Metadata(exif=blob), Frame([pixels]), quality=90)
    enlarge(tmp_path / "a.jpg", tmp_path / "out.jpg", doubling, EnlargeOptions())
    _, metadata, _ = load(tmp_path / "out.jpg")
    assert metadata.exif is not None
    assert has_thumbnail(metadata.exif)
    directory = read(metadata.exif).get_ifd(Image.ExifTags.IFD.IFD1)
    picture = metadata.exif[directory[0x0201] :][: directory[0x0202]]
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (40, 30)
        assert np.abs(np.asarray(image)[15, 20].astype(int) - (200, 10, 10)).max() < 6


def test_dpi_can_scale_so_that_the_print_keeps_its_size(tmp_path: Path, doubling: Upscaler, load: Load) -> None:
    by_pillow(tmp_path / "a.png", noise(8, 8, 3), dpi=(100, 100))
    enlarge(tmp_path / "a.png", tmp_path / "kept.png", doubling, EnlargeOptions())
    enlarge(tmp_path / "a.png", tmp_path / "scaled.png", doubling, EnlargeOptions(dpi="scale"))
    assert load(tmp_path / "kept.png")[1].dpi == (100, 100)
    assert load(tmp_path / "scaled.png")[1].dpi == (200, 200)


SIZES: list[tuple[SizeTarget, tuple[int, int]]] = [
    (SizeTarget(width=100), (100, 75)),
    (SizeTarget(height=33), (44, 33)),
    (SizeTarget(width=100, height=45), (60, 45)),
    (SizeTarget(max_side=64), (64, 48)),
    (SizeTarget(megapixels=0.0012), (40, 30)),
]


@pytest.mark.parametrize(("target", "expected"), SIZES)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_exact_targets_are_met(
    target: SizeTarget, expected: tuple[int, int], dtype: str, tmp_path: Path, doubling: Upscaler, load: Load
) -> None:
    pixels = np.full((30, 40, 4), 0.5 if dtype == "float32" else 128, dtype)
    by_openimageio(tmp_path / "a.tif", pixels)
    plan: EnlargePlan = enlarge(tmp_path / "a.tif", tmp_path / "out.tif", doubling, EnlargeOptions(target=target))
    header, _, (result,) = load(tmp_path / "out.tif")
    assert header.size == expected
    np.testing.assert_allclose(result, pixels[0, 0, 0], rtol=1e-5)
    assert any("resized" in note for note in plan.notes)


def test_one_pixel_is_an_image(tmp_path: Path, network: Upscaler, load: Load) -> None:
    by_pillow(tmp_path / "a.png", noise(1, 1, 3))
    enlarge(tmp_path / "a.png", tmp_path / "out.png", network, EnlargeOptions())
    assert load(tmp_path / "out.png")[0].size == (2, 2)


def test_the_same_pixels_as_the_array_api(tmp_path: Path, network: Upscaler, load: Load) -> None:
    pixels = noise(70, 90, 4)
    by_pillow(tmp_path / "a.png", pixels)
    enlarge(tmp_path / "a.png", tmp_path / "out.png", network, EnlargeOptions())
    np.testing.assert_array_equal(load(tmp_path / "out.png")[2][0], network.image(pixels))


def test_header_and_writer_agree_on_frames() -> None:
    with pytest.raises(BadInput, match="0x4"):
        Header(format="png", width=0, height=4, channels=3, dtype="uint8")


def test_an_avif_of_ten_bits_says_that_it_is_read_as_eight(tmp_path: Path, identity: Upscaler) -> None:
    av = pytest.importorskip("av")
    with keep_scheduling(), av.open(str(tmp_path / "a.avif"), "w", format="avif") as container:
        stream = container.add_stream("libsvtav1", rate=1, options={"svtav1-params": "lp=1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        gray = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 100, np.uint8), format="rgb24")
        for frame in (gray.reformat(format="yuv420p10le"), None):
            container.mux(stream.encode(frame))
    plan = enlarge(tmp_path / "a.avif", tmp_path / "out.avif", identity, EnlargeOptions())
    assert any("10 or 12 bits read as 8" in note for note in plan.notes)
    by_pillow(tmp_path / "b.avif", noise(64, 64, 3))
    assert enlarge(tmp_path / "b.avif", tmp_path / "out-b.avif", identity, EnlargeOptions()).notes == ()


@pytest.mark.parametrize("ending", [b".png", b".tif", b".jxl", b".gif"])
def test_a_file_name_need_not_be_utf8(ending: bytes, tmp_path: Path, doubling: Upscaler, load: Load) -> None:
    pixels = noise(12, 16, 3)
    folder = tmp_path / os.fsdecode(b"d\xe9")
    path, target = (folder / os.fsdecode(name + ending) for name in (b"caf\xe9", b"gr\xfc\xdfe"))
    kind = {b".tif": "tiff"}.get(ending, ending[1:].decode())
    write_image(path, header_of(pixels, kind), Metadata(), [Frame([pixels])])
    enlarge(path, target, doubling, EnlargeOptions())
    np.testing.assert_array_equal(load(target)[2][0], pixels.repeat(2, 0).repeat(2, 1))
    assert {file.name for file in folder.iterdir()} == {path.name, target.name}


@pytest.mark.parametrize("per_metre", [40_000_001, 3_000_000_000, 2**32 - 1])
@pytest.mark.parametrize("kind", ["png", "tiff", "jpeg", "bmp"])
def test_a_resolution_too_large_for_the_output_is_written_as_the_largest(
    kind: str, per_metre: int, tmp_path: Path, doubling: Upscaler
) -> None:
    pixels = noise(6, 8, 3)
    chunk = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    whole = struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(data[:33] + whole + data[33:])
    enlarge(tmp_path / "a.png", tmp_path / "out", doubling, EnlargeOptions(format=kind, dpi="scale"))
    with Image.open(tmp_path / "out") as made:
        assert made.info["dpi"][0] >= 65_535


def test_a_name_long_in_bytes_is_no_obstacle(tmp_path: Path, identity: Upscaler) -> None:
    target = tmp_path / ("超" * 81 + ".png")
    by_pillow(tmp_path / "a.png", noise(6, 8, 3))
    enlarge(tmp_path / "a.png", target, identity, EnlargeOptions())
    assert target.is_file()


def test_the_frames_a_gif_keeps_in_memory_are_budgeted(tmp_path: Path) -> None:
    frames = [Image.new("L", (700, 700), index) for index in range(40)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    with open_image(tmp_path / "a.gif") as image:
        assert plan_enlarging(image, 2, EnlargeOptions()).memory_bytes > 40 * 1400 * 1400
        with pytest.raises(BadInput, match="memory budget"):
            plan_enlarging(image, 2, EnlargeOptions(memory_bytes=80 << 20))


def test_a_file_that_changed_since_it_was_planned_is_not_enlarged_by_the_old_plan(
    tmp_path: Path, doubling: Upscaler
) -> None:
    path, target = tmp_path / "a.png", tmp_path / "out.png"
    Image.new("RGB", (8, 6)).save(path)
    with open_image(path) as image:
        plan = plan_enlarging(image, 2, EnlargeOptions())
    Image.new("RGBA", (6, 8)).save(path)
    with pytest.raises(BadInput, match=r"a\.png changed"):
        enlarge(path, target, doubling, EnlargeOptions(), plan=plan)
    assert not target.exists()
