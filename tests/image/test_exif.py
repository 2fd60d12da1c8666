"""EXIF patched in place."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from sr_image.metadata.exif import exif_for_output, has_thumbnail, orientation_of, xmp_for_output
from tests.image.samples import MAKER_NOTE, exif_blob, read


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_and_sizes_are_what_the_output_is(order: str) -> None:
    result = read(exif_for_output(exif_blob(order=order), (70_000, 30)))
    assert result[0x0112] == 1
    assert result.get_ifd(0x8769)[0xA002] == 70_000  # no longer fits a SHORT
    assert result.get_ifd(0x8769)[0xA003] == 30


@pytest.mark.parametrize("order", ["<", ">"])
def test_everything_else_stays_byte_for_byte_where_it_was(order: str) -> None:
    before = exif_blob(order=order)
    after = exif_for_output(before, (80, 60))
    assert len(after) == len(before)
    assert after.index(MAKER_NOTE) == before.index(MAKER_NOTE)
    assert sum(a != b for a, b in zip(before, after, strict=True)) < 16


def test_the_resolution_changes_only_when_asked() -> None:
    assert read(exif_for_output(exif_blob(), (80, 60)))[0x011A] == 72
    assert read(exif_for_output(exif_blob(), (80, 60), dpi=(288.0, 288.0)))[0x011A] == 288


def test_a_thumbnail_is_replaced_and_its_length_fits() -> None:
    blob = exif_blob(thumbnail=b"\xff\xd8old")
    assert has_thumbnail(blob)
    new = b"\xff\xd8a new and longer thumbnail"
    result = exif_for_output(blob, (80, 60), thumbnail=lambda: new)
    directory = read(result).get_ifd(Image.ExifTags.IFD.IFD1)
    at = directory[0x0201]
    assert result[at : at + directory[0x0202]] == new


@pytest.mark.parametrize("limit", [None, 300])
def test_a_thumbnail_that_cannot_be_made_or_does_not_fit_is_dropped(limit: int | None) -> None:
    blob = exif_blob(thumbnail=b"\xff\xd8old")
    maker = None if limit is None else lambda: b"\xff\xd8" + b"x" * 1000
    result = exif_for_output(blob, (80, 60), thumbnail=maker, limit_bytes=limit)
    assert not has_thumbnail(result)
    assert read(result)[0x010F] == "Maker of cameras"


def test_orientation_out_of_range_counts_as_upright() -> None:
    assert orientation_of(exif_blob(orientation=6)) == 6
    assert orientation_of(exif_blob(orientation=99)) == 1
    assert orientation_of(None) == 1


def test_xmp_orientation_and_sizes_change_in_both_notations() -> None:
    xmp = b"<x tiff:Orientation='6' exif:PixelXDimension=\"40\"><tiff:ImageLength>30</tiff:ImageLength>kept</x>"
    assert xmp_for_output(xmp, (80, 60)) == (
        b"<x tiff:Orientation='1' exif:PixelXDimension=\"80\"><tiff:ImageLength>60</tiff:ImageLength>kept</x>"
    )


def test_a_jpeg_with_our_patch_still_opens_in_pillow() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", exif=b"Exif\0\0" + exif_for_output(exif_blob(), (8, 8)))
    assert Image.open(stream).getexif()[0x010F] == "Maker of cameras"
