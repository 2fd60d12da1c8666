"""PNG and TIFF as written here, read by other people's decoders."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenImageIO
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sr_core.errors import BadInput, StorageError
from sr_core.frame import Array
from sr_image.formats.png_writer import write_png
from sr_image.formats.tiff_writer import write_tiff
from sr_image.formats.writer import check_writable, write_image
from sr_image.metadata.carried import Frame, Header, Metadata
from sr_image.metadata.ifd import read_directory, read_header
from sr_image.metadata.png_chunks import read_chunks
from tests.image.conftest import noise
from tests.image.samples import FULL, MAKER_NOTE, exif_blob, header_of


def by_openimageio(path: Path) -> Array:
    config = OpenImageIO.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    file = OpenImageIO.ImageInput.open(str(path), config)
    assert file is not None, OpenImageIO.geterror()
    pixels = file.read_image(file.spec().format)
    file.close()
    height, width = file.spec().height, file.spec().width
    return np.asarray(pixels).reshape(height, width, -1)


def banded(pixels: Array, rows: int) -> list[Array]:
    return [pixels[top : top + rows] for top in range(0, len(pixels), rows)]


quick = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@quick
@given(
    height=st.integers(1, 40), width=st.integers(1, 40), channels=st.integers(1, 4),
    dtype=st.sampled_from(["uint8", "uint16"]), rows=st.integers(1, 40), seed=st.integers(0, 99),
)  # fmt: skip
def test_any_png_reads_back_exactly_in_libpng(
    tmp_path: Path, height: int, width: int, channels: int, dtype: str, rows: int, seed: int
) -> None:
    pixels = noise(height, width, channels, dtype, seed)
    write_png(tmp_path / "a.png", header_of(pixels, "png"), Metadata(), [Frame(banded(pixels, rows))])
    np.testing.assert_array_equal(by_openimageio(tmp_path / "a.png"), pixels)


@quick
@given(
    height=st.integers(1, 40), width=st.integers(1, 40), channels=st.integers(1, 4),
    dtype=st.sampled_from(["uint8", "uint16", "float16", "float32"]), rows=st.integers(1, 40),
    order=st.sampled_from("<>"),
)  # fmt: skip
def test_any_tiff_reads_back_exactly_in_libtiff(
    tmp_path: Path, height: int, width: int, channels: int, dtype: str, rows: int, order: str
) -> None:
    pixels = noise(height, width, channels, dtype)
    metadata = Metadata(exif=exif_blob(order=order))
    write_tiff(tmp_path / "a.tif", header_of(pixels, "tiff"), metadata, [Frame(banded(pixels, rows))])
    np.testing.assert_array_equal(by_openimageio(tmp_path / "a.tif"), pixels)


def test_a_tiff_of_many_strips_reads_back_exactly(tmp_path: Path) -> None:
    pixels = noise(700, 1000, 3, "uint16")
    write_tiff(tmp_path / "a.tif", header_of(pixels, "tiff"), Metadata(), [Frame(banded(pixels, 33))])
    np.testing.assert_array_equal(by_openimageio(tmp_path / "a.tif"), pixels)


def test_bigtiff_reads_back_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr_image.formats.tiff_writer._BIG_FROM_BYTES", 0)
    pixels = noise(50, 40, 3)
    write_tiff(tmp_path / "a.tif", header_of(pixels, "tiff"), FULL, [Frame([pixels])])
    assert (tmp_path / "a.tif").read_bytes()[2] == 43
    np.testing.assert_array_equal(by_openimageio(tmp_path / "a.tif"), pixels)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.tag_v2[0x010F] == "Maker of cameras"
        assert image.getexif().get_ifd(0x8769)[0x927C] == MAKER_NOTE


def test_a_png_carries_every_kind_of_metadata(tmp_path: Path) -> None:
    pixels = noise(4, 5, 3)
    write_png(tmp_path / "a.png", header_of(pixels, "png"), FULL, [Frame([pixels])])
    chunks = read_chunks(tmp_path / "a.png")
    assert (chunks.icc, chunks.exif, chunks.xmp, chunks.iptc) == (FULL.icc, FULL.exif, FULL.xmp, FULL.iptc)
    assert chunks.dpi == FULL.dpi
    assert tuple(chunks.text) == FULL.text
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.info["icc_profile"] == FULL.icc
        assert image.getexif()[0x010F] == "Maker of cameras"
        assert image.info["dpi"] == pytest.approx((300, 150), abs=0.02)
        assert image.info["Author"] == "Ünï"


def test_pillow_finds_every_kind_of_metadata_in_a_tiff(tmp_path: Path) -> None:
    pixels = noise(4, 5, 3)
    write_tiff(tmp_path / "a.tif", header_of(pixels, "tiff"), FULL, [Frame([pixels])])
    with Image.open(tmp_path / "a.tif") as image:
        assert image.info["icc_profile"] == FULL.icc
        assert image.tag_v2[700] == FULL.xmp
        assert image.tag_v2[33723] == FULL.iptc
        assert image.info["dpi"] == (300, 150)
        assert image.getexif().get_ifd(0x8769)[0x927C] == MAKER_NOTE


def test_an_animation_keeps_the_exact_duration_of_each_frame(tmp_path: Path) -> None:
    frames = [noise(6, 7, 4, seed=index) for index in range(3)]
    durations = (Fraction(1001, 30000), Fraction(1, 3), Fraction(2))
    header = header_of(frames[0], "png", frames=3, durations=durations, loop=5)
    write_png(tmp_path / "a.png", header, Metadata(), [Frame([f], d) for f, d in zip(frames, durations, strict=True)])
    chunks = read_chunks(tmp_path / "a.png")
    assert tuple(chunks.durations) == durations
    assert chunks.loop == 5
    with Image.open(tmp_path / "a.png") as image:
        for index, frame in enumerate(frames):
            image.seek(index)
            np.testing.assert_array_equal(np.asarray(image.convert("RGBA")), frame)


def test_pages_become_a_chain_of_directories(tmp_path: Path) -> None:
    pages = [noise(6, 7, 3, seed=index) for index in range(3)]
    write_tiff(tmp_path / "a.tif", header_of(pages[0], "tiff", frames=3), FULL, [Frame([page]) for page in pages])
    with (tmp_path / "a.tif").open("rb") as file:
        layout, offset = read_header(file)
        count = 0
        while offset:
            offset, count = read_directory(file, layout, offset).next_offset, count + 1
    assert count == 3
    with Image.open(tmp_path / "a.tif") as image:
        for index, page in enumerate(pages):
            image.seek(index)
            np.testing.assert_array_equal(np.asarray(image), page)


@pytest.mark.parametrize(
    ("kind", "pixels", "said"),
    [
        ("jpeg", noise(2, 2, 4), "transparency"),
        ("jpeg", noise(2, 2, 3, "uint16"), "uint16"),
        ("bmp", noise(2, 2, 4), "transparency"),
        ("exr", noise(2, 2, 3), "uint8"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(kind: str, pixels: Array, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        check_writable(header_of(pixels, kind))


def test_a_size_past_the_format_is_refused_with_formats_that_can() -> None:
    with pytest.raises(BadInput, match="16383 a side") as caught:
        check_writable(Header(format="webp", width=20_000, height=10, channels=3, dtype="uint8"))
    assert "png" in caught.value.hint


def test_a_failing_source_leaves_no_file_behind(tmp_path: Path) -> None:
    def strips() -> object:
        yield noise(2, 8, 3)
        raise ValueError("no more")

    header = Header(format="png", width=8, height=4, channels=3, dtype="uint8")
    with pytest.raises(ValueError, match="no more"):
        write_image(tmp_path / "a.png", header, Metadata(), [Frame(strips())])  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    header = Header(format="png", width=8, height=2, channels=3, dtype="uint8")
    with pytest.raises(StorageError, match="cannot write"):
        write_image(tmp_path / "file" / "a.png", header, Metadata(), [Frame([noise(2, 8, 3)])])


def test_the_up_filter_and_zlib_ng_do_not_lose_to_pillow_on_a_smooth_picture(tmp_path: Path) -> None:
    y, x = np.mgrid[:300, :400]
    pixels = (128 + 60 * np.sin(x / 40)[..., None] + 40 * np.cos(y / 30)[..., None] * [1, 0.5, 0.2]).astype(np.uint8)
    write_png(tmp_path / "a.png", header_of(pixels, "png"), Metadata(), [Frame([pixels])])
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    assert (tmp_path / "a.png").stat().st_size < 1.3 * len(stream.getvalue())
