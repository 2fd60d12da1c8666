"""Files that are not what they say, end early, or say too much."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sr_core.errors import BadInput, DamagedMedia, NotAvailable, SrError
from sr_core.upscaler import Upscaler
from sr_image.enlarge import EnlargeOptions, enlarge
from sr_image.formats.capabilities import format_named, sniff
from sr_image.formats.reader import open_image
from sr_image.formats.writer import write_image
from sr_image.metadata.carried import Frame, Metadata
from tests.image.conftest import noise
from tests.image.samples import FULL, header_of

KINDS = {"a.png": "png", "a.jpg": "jpeg", "a.webp": "webp", "a.tif": "tiff", "a.gif": "gif", "a.bmp": "bmp",
         "a.avif": "avif", "a.jxl": "jxl"}  # fmt: skip


def make(path: Path) -> Path:
    pixels = noise(60, 80, 3)
    write_image(path, header_of(pixels, KINDS[path.name]), FULL, [Frame([pixels])])
    return path


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_truncated_file_is_damaged_and_leaves_no_output(
    name: str, share: float, tmp_path: Path, identity: Upscaler
) -> None:
    path = make(tmp_path / name)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    target = tmp_path / f"out-{name}"
    with pytest.raises(BadInput):
        enlarge(path, target, identity, EnlargeOptions())
    assert sorted(file.name for file in tmp_path.iterdir()) == [name]


def test_a_pipe_is_refused_and_not_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(BadInput, match="not a regular file"), open_image(tmp_path / "a.png"):
        pass


@pytest.mark.filterwarnings("ignore")  # Pillow warns of corrupt tags before it gives up or goes on
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(name=st.sampled_from(sorted(KINDS)), at=st.floats(0, 1), value=st.integers(0, 255), count=st.integers(1, 8))
def test_corrupt_bytes_give_pixels_or_an_error_of_ours(
    tmp_path: Path, name: str, at: float, value: int, count: int
) -> None:
    path = make(tmp_path / name)
    data = bytearray(path.read_bytes())
    place = int(at * (len(data) - count))
    data[place : place + count] = bytes([value]) * count
    path.write_bytes(bytes(data))
    try:
        with open_image(path, max_pixels=1_000_000) as image:
            for frame in image.frames():
                assert frame.whole().ndim == 3
    except SrError:
        pass
    except (OSError, SyntaxError, ValueError, EOFError):
        pass  # what `decoded_frames` turns into DamagedMedia; anything else is a bug


def test_an_empty_file_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DamagedMedia, match="empty"), open_image(tmp_path / "a.png"):
        pass


def test_text_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello, this is text and not an image at all")
    with pytest.raises(BadInput, match="not an image"), open_image(tmp_path / "a.png"):
        pass


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "really.png", "JPEG")
    assert sniff(tmp_path / "really.png").name == "jpeg"
    with open_image(tmp_path / "really.png") as image:
        assert image.header.format == "jpeg"


def test_a_header_that_states_more_than_the_limit_is_refused_before_decoding(tmp_path: Path) -> None:
    """1 KB that says 60000 x 60000: nothing is allocated."""
    ihdr = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", ihdr), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")):
        png += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    (tmp_path / "bomb.png").write_bytes(png)
    with pytest.raises(BadInput, match="3600 megapixels") as caught, open_image(tmp_path / "bomb.png"):
        pass
    assert "max_input_megapixels=3601" in caught.value.hint


def test_an_animation_counts_all_its_frames_against_the_limit(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (100, 100), (index, 0, 0)) for index in range(20)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    with pytest.raises(BadInput, match="20 frames"), open_image(tmp_path / "a.gif", max_pixels=150_000):
        pass


def test_an_inflated_text_bomb_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = noise(4, 4, 3)
    write_image(path, header_of(pixels, "png"), Metadata(), [Frame([pixels])])
    body = b"bomb\0\0" + zlib.compress(bytes(64 << 20), 9)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    data = path.read_bytes()
    path.write_bytes(data[:33] + chunk + data[33:])
    with open_image(path) as image:
        assert image.metadata.text == ()


def test_channels_that_are_no_picture_are_named(tmp_path: Path) -> None:
    import OpenImageIO

    spec = OpenImageIO.ImageSpec(4, 4, 2, "float")
    spec.channelnames = ("N.x", "N.y")
    output = OpenImageIO.ImageOutput.create(str(tmp_path / "a.exr"))
    assert output is not None
    assert output.open(str(tmp_path / "a.exr"), spec)
    output.write_image(np.zeros((4, 4, 2), np.float32))
    output.close()
    with pytest.raises(BadInput, match=r"N\.x"), open_image(tmp_path / "a.exr"):
        pass


def test_heic_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotAvailable, match="pillow-heif") as caught:
        format_named("heic")
    assert caught.value.hint == "pip install 'srvid[images]'"


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(BadInput) as caught:
        format_named("psd")
    assert "png" in caught.value.hint


def test_pixels_that_are_not_finite_are_counted_in_a_note(tmp_path: Path, identity: Upscaler) -> None:
    pixels = np.full((20, 30, 3), 0.5, np.float32)
    pixels[3, 4, 0], pixels[5, 6] = np.nan, np.inf
    write_image(tmp_path / "a.tif", header_of(pixels, "tiff"), FULL, [Frame([pixels])])
    plan = enlarge(tmp_path / "a.tif", tmp_path / "b.tif", identity, EnlargeOptions())
    assert plan.notes[-1] == "2 pixels hold NaN or infinity, written as 0 or 65504"


@pytest.mark.parametrize("damage", ["cut", "flip"])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_what_is_wrong_with_a_damaged_file_is_said_in_one_line(
    damage: str, name: str, tmp_path: Path, identity: Upscaler, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path / name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    with pytest.raises(BadInput) as caught:
        enlarge(path, tmp_path / "out.png", identity, EnlargeOptions())
    assert "\n" not in str(caught.value)
    if damage == "cut":
        assert "libpng" not in capfd.readouterr().err


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it cannot read
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
@pytest.mark.parametrize("exif", [b"", b"garbage-not-tiff", b"II*\0\xff\xff\0\0", bytes(64)])
def test_a_damaged_exif_is_left_out_and_costs_no_picture(
    exif: bytes, name: str, tmp_path: Path, identity: Upscaler
) -> None:
    path = tmp_path / name
    if name == "a.webp":
        Image.fromarray(noise(6, 8, 3)).save(path, exif=b"Exif\0\0" + exif)
    else:
        write_image(path, header_of(noise(6, 8, 3), KINDS[name]), Metadata(), [Frame([noise(6, 8, 3)])])
        body = exif if name == "a.png" else b"Exif\0\0" + exif
        size = struct.pack(">I", len(body))
        chunk = size + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
        segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
        at, piece = (33, chunk) if name == "a.png" else (2, segment)
        data = path.read_bytes()
        path.write_bytes(data[:at] + piece + data[at:])
    plan = enlarge(path, tmp_path / f"out-{name}", identity, EnlargeOptions())
    assert ("EXIF left out: it is damaged" in plan.notes) == bool(exif)


@pytest.mark.parametrize("storage", [{"rowsperstrip": 8}, {"tile": (16, 16)}])
def test_a_tiff_that_lists_too_few_strips_or_tiles_is_damaged_and_not_black(
    storage: dict[str, object], tmp_path: Path, identity: Upscaler
) -> None:
    import tifffile

    path = tmp_path / "in.tif"
    tifffile.imwrite(path, noise(48, 32, 3), photometric="rgb", metadata=None, **storage)  # type: ignore[arg-type]
    enlarge(path, tmp_path / "whole.png", identity, EnlargeOptions())
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(96)  # type: ignore[union-attr]
    with pytest.raises(DamagedMedia, match=r"it lists \d+ of the \d+ (strips|tiles)"):
        enlarge(path, tmp_path / "out.png", identity, EnlargeOptions())
    assert not (tmp_path / "out.png").exists()
