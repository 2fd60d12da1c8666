"""Pixels that change their space on the way: CMYK, profiles, linear light, a background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO
import pytest
from PIL import Image

from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.upscaler import Upscaler
from sr_image.color.profile import icc_is_linear, icc_space, linear_srgb_icc, srgb_icc
from sr_image.enlarge import EnlargeOptions, enlarge
from sr_image.formats.png_writer import write_png
from sr_image.metadata.carried import Frame, Metadata
from tests.image.conftest import noise
from tests.image.samples import Load, by_openimageio, by_pillow, gamma_icc, header_of


@pytest.mark.parametrize("file_name", ["a.jpg", "a.tif"])
def test_cmyk_becomes_srgb_and_it_is_said(file_name: str, tmp_path: Path, identity: Upscaler, load: Load) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / file_name)
    plan = enlarge(tmp_path / file_name, tmp_path / f"out-{file_name}", identity, EnlargeOptions())
    _, metadata, (pixels,) = load(tmp_path / f"out-{file_name}")
    assert np.abs(pixels[8, 8].astype(int) - (255, 0, 0)).max() < 4
    assert "CMYK converted to sRGB" in plan.notes[0]
    assert metadata.icc is not None
    assert icc_space(metadata.icc) == "RGB"


def test_the_profile_option_converts_and_embeds_srgb(tmp_path: Path, identity: Upscaler, load: Load) -> None:
    pixels = noise(6, 7, 4, "uint16")
    write_png(tmp_path / "a.png", header_of(pixels, "png"), Metadata(icc=gamma_icc(2.2)), [Frame([pixels])])
    plan = enlarge(tmp_path / "a.png", tmp_path / "out.png", identity, EnlargeOptions(profile="srgb"))
    _, metadata, (converted,) = load(tmp_path / "out.png")
    assert metadata.icc == srgb_icc()
    assert "converted to sRGB" in plan.notes
    np.testing.assert_array_equal(converted[..., 3], pixels[..., 3])
    assert np.abs(converted[..., :3].astype(int) - pixels[..., :3]).max() > 1000


def test_a_format_without_profiles_gets_srgb_pixels(tmp_path: Path, identity: Upscaler) -> None:
    pixels = noise(6, 7, 3)
    write_png(tmp_path / "a.png", header_of(pixels, "png"), Metadata(icc=gamma_icc(2.2)), [Frame([pixels])])
    plan = enlarge(tmp_path / "a.png", tmp_path / "a.bmp", identity, EnlargeOptions(format="bmp"))
    assert "converted to sRGB: BMP has no place for an ICC profile" in plan.notes


class _Recording:
    """The identity network, remembering what it was shown."""

    scale, halo_px, align = 1, 0, 1

    def __init__(self, inner: Upscaler) -> None:
        self._inner, self.seen = inner, list[Array]()

    def planes(self, planes, fmt, color):  # type: ignore[no-untyped-def]
        self.seen.append(planes[0].copy())
        return self._inner.planes(planes, fmt, color)


@pytest.mark.parametrize("source_kind", ["exr", "profile"])
def test_the_network_sees_linear_light_encoded(source_kind: str, tmp_path: Path, identity: Upscaler) -> None:
    recording = _Recording(identity)
    if source_kind == "exr":
        path = tmp_path / "a.exr"
        by_openimageio(path, np.full((4, 4, 3), 0.5, np.float32))
    else:
        path = tmp_path / "a.png"
        pixels = np.full((4, 4, 3), 32768, np.uint16)
        write_png(path, header_of(pixels, "png"), Metadata(icc=linear_srgb_icc()), [Frame([pixels])])
    enlarge(path, tmp_path / f"out{path.suffix}", recording, EnlargeOptions())
    np.testing.assert_allclose(recording.seen[0], 0.7354, atol=1e-3)  # sRGB code of 0.5


def test_exr_to_png_is_srgb_and_to_tiff_stays_linear(tmp_path: Path, identity: Upscaler, load: Load) -> None:
    by_openimageio(tmp_path / "a.exr", np.full((4, 4, 3), 0.5, np.float32))
    plan = enlarge(tmp_path / "a.exr", tmp_path / "a.png", identity, EnlargeOptions(format="png"))
    np.testing.assert_allclose(load(tmp_path / "a.png")[2][0] / 65535, 0.7354, atol=1e-4)
    assert any("encoded as sRGB" in note for note in plan.notes)
    enlarge(tmp_path / "a.exr", tmp_path / "a.tif", identity, EnlargeOptions(format="tiff"))
    _, metadata, (pixels,) = load(tmp_path / "a.tif")
    assert icc_is_linear(metadata.icc)
    np.testing.assert_allclose(pixels, 0.5, rtol=1e-5)


def test_png_to_exr_becomes_linear_light(tmp_path: Path, identity: Upscaler, load: Load) -> None:
    by_pillow(tmp_path / "a.png", np.full((4, 4, 3), 188, np.uint8))
    enlarge(tmp_path / "a.png", tmp_path / "a.exr", identity, EnlargeOptions(format="exr"))
    np.testing.assert_allclose(load(tmp_path / "a.exr")[2][0], 0.5, atol=3e-3)


def test_exr_attributes_are_kept(tmp_path: Path, identity: Upscaler) -> None:
    by_openimageio(tmp_path / "a.exr", noise(4, 4, 3, "float16"), Copyright="somebody", shot="12b")
    enlarge(tmp_path / "a.exr", tmp_path / "out.exr", identity, EnlargeOptions())
    file = OpenImageIO.ImageInput.open(str(tmp_path / "out.exr"))
    assert file is not None
    assert file.spec().getattribute("Copyright") == "somebody"
    assert file.spec().getattribute("shot") == "12b"
    file.close()


def test_infinite_light_does_not_darken_the_rest(tmp_path: Path, identity: Upscaler, load: Load) -> None:
    pixels = np.full((8, 8, 3), 0.25, np.float32)
    pixels[0, 0], pixels[0, 1] = np.inf, np.nan
    by_openimageio(tmp_path / "a.exr", pixels)
    enlarge(tmp_path / "a.exr", tmp_path / "out.exr", identity, EnlargeOptions())
    _, _, (result,) = load(tmp_path / "out.exr")
    np.testing.assert_allclose(result[1:], 0.25, rtol=1e-4)
    assert np.isfinite(result).all()


def test_transparency_goes_into_a_jpeg_only_on_a_background(tmp_path: Path, identity: Upscaler, load: Load) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    by_pillow(tmp_path / "a.png", pixels)
    with pytest.raises(BadInput, match="transparency") as caught:
        enlarge(tmp_path / "a.png", tmp_path / "a.jpg", identity, EnlargeOptions(format="jpeg"))
    assert "background" in caught.value.hint
    options = EnlargeOptions(format="jpeg", background=(255, 255, 255))
    enlarge(tmp_path / "a.png", tmp_path / "a.jpg", identity, options)
    assert load(tmp_path / "a.jpg")[2][0].min() > 250
