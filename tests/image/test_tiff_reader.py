"""TIFFs of every build, made by Pillow and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO
import pytest
from PIL import Image

from sr_core.errors import BadInput
from sr_core.upscaler import Upscaler
from sr_image.enlarge import EnlargeOptions, enlarge
from sr_image.metadata.ifd import Directory, Layout, directory_bytes, read_directory, read_header
from tests.image.conftest import noise
from tests.image.samples import Load


def handmade(
    path: Path,
    samples: np.ndarray,
    *,
    photometric: int,
    extra: int | None = None,
    orientation: int = 1,
    after: Path | None = None,
) -> None:
    """An uncompressed TIFF of one strip with the given photometric interpretation, or one page more of `after`."""
    layout, data = Layout(order="<"), samples.tobytes()
    before = after.read_bytes() if after is not None and after.exists() else b"II*\0" + bytes(4)
    rows, width, channels = samples.shape
    shorts = {258: [samples.itemsize * 8] * channels, 259: [1], 262: [photometric], 277: [channels], 284: [1]}
    shorts |= {274: [orientation], 339: [3 if samples.dtype.kind == "f" else 1] * channels}
    if extra is not None:
        shorts[338] = [extra]
    entries = {tag: (3, len(values), layout.pack(f"{len(values)}H", *values)) for tag, values in shorts.items()}
    for tag, value in ((256, width), (257, rows), (273, len(before)), (278, rows), (279, len(data))):
        entries[tag] = (4, 1, layout.pack("L", value))
    offset = len(before) + len(data)
    pointer = 4  # where the offset of the new directory is to be written
    if len(before) > 8:
        with path.open("rb") as file:
            last = read_directory(file, layout, read_header(file)[1])
        pointer = last.offset + 2 + 12 * len(last.entries)
    made = before + data + directory_bytes(Directory(entries=entries), layout, offset)
    path.write_bytes(made[:pointer] + layout.pack("L", offset) + made[pointer + 4 :])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_white_is_zero_is_turned_round(dtype: str, tmp_path: Path, load: Load) -> None:
    samples = noise(6, 8, 1, dtype)
    handmade(tmp_path / "a.tif", samples, photometric=0)
    np.testing.assert_array_equal(load(tmp_path / "a.tif")[2][0], np.iinfo(dtype).max - samples)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_white_is_zero_turns_gray_round_and_leaves_alpha(dtype: str, tmp_path: Path, load: Load) -> None:
    samples = noise(6, 8, 2, dtype)
    handmade(tmp_path / "a.tif", samples, photometric=0, extra=2)
    expected = samples.copy()
    peak = 1 if dtype == "float32" else np.iinfo(dtype).max
    expected[..., 0] = peak - expected[..., 0]
    np.testing.assert_array_equal(load(tmp_path / "a.tif")[2][0], expected)


@pytest.mark.parametrize("photometrics", [(1, 0), (0, 1)])
def test_each_page_says_itself_whether_white_is_zero(photometrics: tuple[int, int], tmp_path: Path, load: Load) -> None:
    samples = noise(6, 8, 1, "uint16")
    for photometric in photometrics:
        handmade(tmp_path / "a.tif", samples, photometric=photometric, after=tmp_path / "a.tif")
    pages = load(tmp_path / "a.tif")[2]
    assert len(pages) == 2
    for page, photometric in zip(pages, photometrics, strict=True):
        np.testing.assert_array_equal(page, samples if photometric else 65_535 - samples)


def test_a_page_to_be_turned_otherwise_is_refused_by_name(tmp_path: Path, identity: Upscaler) -> None:
    for orientation in (1, 3):
        handmade(tmp_path / "a.tif", noise(6, 8, 3), photometric=2, orientation=orientation, after=tmp_path / "a.tif")
    with pytest.raises(BadInput, match="page 2 is to be turned"):
        enlarge(tmp_path / "a.tif", tmp_path / "out.tif", identity, EnlargeOptions())
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize(("extra", "alpha"), [(1, "premultiplied"), (2, "straight")])
def test_extra_samples_say_how_alpha_is_meant(
    extra: int, alpha: str, tmp_path: Path, identity: Upscaler, load: Load
) -> None:
    samples = noise(6, 8, 4)
    samples[..., :3] = samples[..., :3] // 2
    samples[..., 3] = np.maximum(samples[..., 3], 128)
    handmade(tmp_path / "a.tif", samples, photometric=2, extra=extra)
    enlarge(tmp_path / "a.tif", tmp_path / "out.tif", identity, EnlargeOptions())
    header, _, (pixels,) = load(tmp_path / "out.tif")
    assert header.alpha == alpha
    np.testing.assert_array_equal(pixels, samples)


def test_premultiplied_colour_is_divided_for_a_png(tmp_path: Path, identity: Upscaler, load: Load) -> None:
    samples = np.full((6, 8, 4), 100, np.uint8)
    samples[..., 3] = 200
    handmade(tmp_path / "a.tif", samples, photometric=2, extra=1)
    enlarge(tmp_path / "a.tif", tmp_path / "a.png", identity, EnlargeOptions(format="png"))
    assert load(tmp_path / "a.png")[2][0][0, 0].tolist() == [128, 128, 128, 200]  # 100 / (200 / 255)


def test_tiles_and_separate_planes_read_as_strips_do(tmp_path: Path, load: Load) -> None:
    pixels = noise(100, 130, 3, "uint16")
    for name, attribute, value in (("tiled", "tile", 48), ("planes", "planarconfig", "separate")):
        spec = OpenImageIO.ImageSpec(130, 100, 3, "uint16")
        if attribute == "tile":
            spec.tile_width = spec.tile_height = int(value)
        else:
            spec.attribute(attribute, value)
        output = OpenImageIO.ImageOutput.create("tiff")
        assert output is not None
        assert output.open(str(tmp_path / name), spec)
        assert output.write_image(pixels), output.geterror()
        output.close()
        np.testing.assert_array_equal(load(tmp_path / name)[2][0], pixels)


def test_sixteen_bit_cmyk_is_said_to_be_done_in_eight(tmp_path: Path, identity: Upscaler, load: Load) -> None:
    handmade(tmp_path / "a.tif", np.zeros((4, 4, 4), np.uint16), photometric=5)
    plan = enlarge(tmp_path / "a.tif", tmp_path / "out.tif", identity, EnlargeOptions())
    assert "in 8 bits" in plan.notes[0]
    assert (load(tmp_path / "out.tif")[2][0] == 255).all()


def test_a_lab_image_becomes_srgb(tmp_path: Path, identity: Upscaler, load: Load) -> None:
    Image.new("LAB", (8, 8), (128, 128, 128)).save(tmp_path / "a.tif")
    plan = enlarge(tmp_path / "a.tif", tmp_path / "out.tif", identity, EnlargeOptions())
    pixel = load(tmp_path / "out.tif")[2][0][0, 0].astype(int)
    assert "Lab converted to sRGB" in plan.notes
    assert pixel.max() - pixel.min() <= 2
    assert 110 < pixel.mean() < 130


def test_samples_no_network_can_be_fed_are_named(tmp_path: Path, load: Load) -> None:
    handmade(tmp_path / "a.tif", np.zeros((4, 4, 3), np.uint32), photometric=2)
    with pytest.raises(BadInput, match="uint"):
        load(tmp_path / "a.tif")


def test_pages_of_different_sizes_are_refused_and_nothing_is_left(tmp_path: Path, identity: Upscaler) -> None:
    pages = [Image.new("RGB", (8, 8)), Image.new("RGB", (9, 8))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(BadInput, match="page 2 is 9x8"):
        enlarge(tmp_path / "a.tif", tmp_path / "out.tif", identity, EnlargeOptions())
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
