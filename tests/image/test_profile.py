"""ICC profiles against LittleCMS."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from sr_core.errors import BadInput
from sr_core.upscaler import Upscaler
from sr_image.color.profile import (
    ToSrgb,
    icc_is_linear,
    icc_space,
    linear_srgb_icc,
    rgb_from_cmyk,
    rgb_from_lab,
    srgb_icc,
)
from sr_image.enlarge import EnlargeOptions, enlarge
from tests.image.conftest import noise
from tests.image.samples import gamma_icc

LCMS_AGREES = 1.01  # codes of 255: LittleCMS computes 8 bits in fixed point


def test_the_matrix_road_agrees_with_littlecms() -> None:
    icc = gamma_icc(2.2)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    ours = ToSrgb(icc)(pixels)
    theirs = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    assert theirs is not None
    assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= LCMS_AGREES
    assert np.abs(ours.astype(int) - pixels).max() > 20


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_deeper_samples_give_the_same_colours(dtype: str) -> None:
    convert = ToSrgb(gamma_icc(1.8))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    deep = pixels.astype(np.float32) / 255 if dtype == "float32" else pixels.astype(np.uint16) * 257
    scale = 1 if dtype == "float32" else 65535
    assert np.abs(convert(deep).astype(float) / scale - convert(pixels) / 255.0).max() < 0.51 / 255


def test_srgb_is_recognised_and_left_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    convert = ToSrgb(srgb_icc())
    assert convert.is_identity
    assert convert(pixels) is pixels
    assert not ToSrgb(gamma_icc(2.2)).is_identity


def test_linear_profiles_are_told_from_gamma() -> None:
    assert icc_is_linear(linear_srgb_icc())
    assert not icc_is_linear(srgb_icc())
    assert not icc_is_linear(gamma_icc(2.2))
    assert not icc_is_linear(None)


def test_littlecms_accepts_our_linear_profile_and_finds_it_linear() -> None:
    image = Image.new("RGB", (1, 1), (128, 128, 128))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(linear_srgb_icc()))
    converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    assert converted is not None
    assert converted.getpixel((0, 0)) == pytest.approx((188, 188, 188), abs=1)  # sRGB code of 128/255


def test_a_broken_profile_is_refused_with_a_way_out() -> None:
    assert icc_space(b"no profile") == ""
    with pytest.raises(BadInput) as caught:
        ToSrgb(b"no profile" * 50)(np.zeros((1, 1, 3), np.uint8))
    assert "profile=keep" in caught.value.hint


def test_cmyk_without_a_profile_is_plain_ink_subtraction() -> None:
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 128, 0, 0]]], np.uint8)
    assert rgb_from_cmyk(inks, None).tolist() == [[[255, 255, 255], [0, 255, 255], [0, 0, 0], [255, 127, 255]]]


def test_lab_gray_is_gray() -> None:
    red, green, blue = rgb_from_lab(np.array([[[128, 0, 0]]], np.uint8))[0, 0]
    assert abs(int(red) - int(green)) <= 1
    assert abs(int(green) - int(blue)) <= 1
    assert 110 < green < 130


def profile_of(*, space: bytes = b"RGB ", **tags: bytes) -> bytes:
    """A profile of the given tags, whatever they hold."""
    at = 132 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += name.encode() + struct.pack(">II", at + len(data), len(body))
        data += body + b"\0" * (-len(body) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(data), b"\0" * 4, 0x02400000, b"mntr", space, b"XYZ ")
    return (head + bytes(12) + b"acsp").ljust(128, b"\0") + table + data


GAMMA = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)
BROKEN_CURVES = {
    "a division by zero": b"para\0\0\0\0" + struct.pack(">HH3i", 1, 0, 144179, 0, 32768),
    "a table cut short": b"curv\0\0\0\0" + struct.pack(">I", 1024) + bytes(10),
    "an unknown kind": b"abcd" + bytes(20),
    "no body": b"",
}


@pytest.mark.parametrize("what", BROKEN_CURVES)
def test_a_broken_curve_is_carried_along_and_refused_only_where_it_is_needed(what: str) -> None:
    body = BROKEN_CURVES[what]
    icc = profile_of(rTRC=body, gTRC=body, bTRC=body)
    assert not icc_is_linear(icc)
    with pytest.raises(BadInput, match="ICC profile"):
        _ = ToSrgb(icc).is_identity


def test_primaries_cut_short_are_refused_where_they_are_needed() -> None:
    curve = b"para\0\0\0\0" + struct.pack(">HH5i", 3, 0, 157286, 62119, 3417, 5073, 2651)
    with pytest.raises(BadInput, match="cut short"):
        _ = ToSrgb(profile_of(rTRC=curve, gTRC=curve, bTRC=curve, rXYZ=b"XYZ \0\0")).is_identity


@pytest.mark.parametrize("profile", ["keep", "srgb"])
def test_a_gray_profile_on_a_colour_picture_is_left_out_and_said(
    profile: str, tmp_path: Path, identity: Upscaler
) -> None:
    pixels = noise(6, 8, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile_of(space=b"GRAY", kTRC=GAMMA))
    plan = enlarge(tmp_path / "a.png", tmp_path / "b.png", identity, EnlargeOptions(profile=profile))
    with Image.open(tmp_path / "b.png") as made:
        np.testing.assert_array_equal(np.asarray(made), pixels)
        assert "icc_profile" not in made.info
    assert any("GRAY" in note for note in plan.notes)
