"""What an enlarged image cannot keep is said, scaled or refused; what would mislead is not copied."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from sr_core.errors import BadInput, DamagedMedia
from sr_core.upscaler import Upscaler
from sr_image.enlarge import EnlargeOptions, EnlargePlan, enlarge
from sr_image.formats.reader import open_image
from sr_image.metadata.attached import attached_notes, without_promises
from sr_image.metadata.georeference import KEYS, Georeference
from sr_image.metadata.ifd import Layout
from tests.image.conftest import noise


def picture() -> Image.Image:
    return Image.fromarray(noise(16, 24, 3))


def enlarged(source: Path, target: Path, doubling: Upscaler, **options: object) -> EnlargePlan:
    return enlarge(source, target, doubling, EnlargeOptions(**options))  # type: ignore[arg-type]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(path: Path, *chunks: bytes) -> Path:
    """A PNG with raw chunks behind its header."""
    stream = io.BytesIO()
    picture().save(stream, "PNG")
    data = stream.getvalue()
    path.write_bytes(data[:33] + b"".join(chunks) + data[33:])
    return path


# ---- PNG chunks


@pytest.mark.parametrize(
    "kind", [b"cHRM", b"sRGB", b"gAMA", b"cICP", b"mDCV", b"cLLI"],
)  # fmt: skip
@pytest.mark.parametrize("size", [0, 1, 5, 31, 40])
def test_a_colour_chunk_of_the_wrong_length_is_left_out_and_said(
    kind: bytes, size: int, tmp_path: Path, doubling: Upscaler
) -> None:
    if (kind, size) == (b"sRGB", 1):
        return  # that is its length
    source = png_with(tmp_path / "in.png", chunk(kind, b"\x01" * size))
    plan = enlarged(source, tmp_path / "out.png", doubling)
    assert any(kind.decode() in note and "damaged" in note for note in plan.notes)
    with Image.open(tmp_path / "out.png") as made:
        made.load()
    assert kind not in (tmp_path / "out.png").read_bytes()


def test_a_chunk_whose_checksum_is_wrong_is_not_given_a_right_one(tmp_path: Path, doubling: Upscaler) -> None:
    broken = bytearray(chunk(b"tEXt", b"Title\0something"))
    broken[-6] ^= 1
    source = png_with(tmp_path / "in.png", bytes(broken))
    plan = enlarged(source, tmp_path / "out.png", doubling)
    assert "tEXt chunk left out: it is damaged" in plan.notes
    with Image.open(tmp_path / "out.png") as made:
        assert "Title" not in made.info


def test_chunks_that_are_not_carried_are_said(tmp_path: Path, doubling: Upscaler) -> None:
    source = png_with(tmp_path / "in.png", chunk(b"bKGD", bytes(6)), chunk(b"prVt", b"abc"), chunk(b"tIME", bytes(7)))
    assert "chunks left out: bKGD, prVt" in enlarged(source, tmp_path / "out.png", doubling).notes


@pytest.mark.parametrize(
    ("body", "said"), [(b"\0\0", "pHYs chunk left out: it is damaged"), (bytes([0, 0, 0, 4, 0, 0, 0, 3, 0]), "4:3")]
)
def test_a_shape_of_pixels_that_is_not_carried_is_said(
    body: bytes, said: str, tmp_path: Path, doubling: Upscaler
) -> None:
    source = png_with(tmp_path / "in.png", chunk(b"pHYs", body))
    assert any(said in note for note in enlarged(source, tmp_path / "out.png", doubling).notes)


def test_a_profile_that_does_not_inflate_is_said(tmp_path: Path, doubling: Upscaler) -> None:
    source = png_with(tmp_path / "in.png", chunk(b"iCCP", b"p\0\0nonsense"))
    assert "iCCP chunk left out: it is damaged" in enlarged(source, tmp_path / "out.png", doubling).notes


# ---- HDR


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("ending", ["jpg", "tif", "bmp", "webp"])
def test_hdr_samples_are_not_written_where_nothing_says_so(
    transfer: int, name: str, ending: str, tmp_path: Path, doubling: Upscaler
) -> None:
    source = png_with(tmp_path / "in.png", chunk(b"cICP", bytes([9, transfer, 0, 1])))
    with pytest.raises(BadInput, match=name):
        enlarged(
            source, tmp_path / f"out.{ending}", doubling, format={"jpg": "jpeg", "tif": "tiff"}.get(ending, ending)
        )
    with pytest.raises(BadInput, match=name):
        enlarged(source, tmp_path / "out.png", doubling, profile="srgb")
    enlarged(source, tmp_path / "out.png", doubling)
    assert chunk(b"cICP", bytes([9, transfer, 0, 1])) in (tmp_path / "out.png").read_bytes()


def test_hdr_of_an_avif_goes_into_a_png_and_nowhere_else(tmp_path: Path, doubling: Upscaler) -> None:
    path = tmp_path / "in.avif"
    picture().save(path)
    data = path.read_bytes()
    at = data.index(b"colrnclx") + 8
    path.write_bytes(data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :])
    with pytest.raises(BadInput, match="PQ"):
        enlarged(path, tmp_path / "out.avif", doubling)
    enlarged(path, tmp_path / "out.png", doubling, format="png")
    assert chunk(b"cICP", bytes([9, 16, 0, 1])) in (tmp_path / "out.png").read_bytes()


# ---- animations


def test_the_hidden_still_of_an_apng_is_said(tmp_path: Path, doubling: Upscaler) -> None:
    images = [picture() for _ in range(3)]
    for hidden in (True, False):
        images[0].save(tmp_path / "in.png", save_all=True, append_images=images[1:], default_image=hidden, duration=40)
        notes = enlarged(tmp_path / "in.png", tmp_path / f"out{hidden}.png", doubling).notes
        assert any("still" in note for note in notes) == hidden


def test_a_gif_that_states_too_many_pixels_is_refused_before_a_frame_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Image.new("P", (400, 400), index) for index in range(12)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:], optimize=False, disposal=1)

    def decoded(*_: object) -> None:
        raise AssertionError("a frame was decoded")

    monkeypatch.setattr("PIL.GifImagePlugin.GifImageFile.load", decoded)
    with pytest.raises(BadInput, match="megapixels"), open_image(tmp_path / "in.gif", max_pixels=1_000_000):
        pass


@pytest.mark.parametrize("is_progressive", [True, False])
def test_a_jpeg_that_states_more_than_its_bytes_can_hold_is_refused(tmp_path: Path, is_progressive: bool) -> None:
    stream = io.BytesIO()
    picture().save(stream, "JPEG", progressive=is_progressive)
    data = bytearray(stream.getvalue())
    at = data.index(b"\xff\xc2" if is_progressive else b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 30000, 30000)
    (tmp_path / "in.jpg").write_bytes(data)
    with pytest.raises(DamagedMedia, match="30000x30000"), open_image(tmp_path / "in.jpg"):
        pass


def test_the_emptiest_jpeg_there_is_passes_that_bound(tmp_path: Path) -> None:
    Image.new("L", (4096, 4096)).save(tmp_path / "in.jpg", quality=1, progressive=True, optimize=True)
    with open_image(tmp_path / "in.jpg") as image:
        assert image.header.size == (4096, 4096)


# ---- attached parts

_PROMISES = (
    b'<rdf:Description xmlns:dc="d" dc:title="t" hdrgm:Version="1.0" GCamera:MotionPhoto="1" '
    b'Camera:BandName="red" xmpNote:HasExtendedXMP="A0"><dc:rights>mine</dc:rights><GCamera:MicroVideoOffset>25'
    b"</GCamera:MicroVideoOffset><Container:Directory><rdf:Seq><rdf:li><Container:Item Item:Length='9'/></rdf:li>"
    b"</rdf:Seq></Container:Directory></rdf:Description>"
)


def test_xmp_no_longer_promises_what_was_left_out_and_keeps_the_rest() -> None:
    kept = without_promises(_PROMISES)
    assert kept == (
        b'<rdf:Description xmlns:dc="d" dc:title="t" Camera:BandName="red"><dc:rights>mine</dc:rights>'
        b"</rdf:Description>"
    )
    notes = list(attached_notes(_PROMISES))
    assert len(notes) == 3
    assert not list(attached_notes(kept))


def test_a_video_behind_a_jpeg_is_said_also_where_xmp_does_not(tmp_path: Path, doubling: Upscaler) -> None:
    stream = io.BytesIO()
    picture().save(stream, "JPEG")
    path = tmp_path / "in.jpg"
    path.write_bytes(stream.getvalue() + struct.pack(">I", 24) + b"ftypisom" + bytes(12) + bytes(3 << 20))
    assert "video of the motion photo left out" in enlarged(path, tmp_path / "out.jpg", doubling).notes


# ---- TIFF: raw, photometrics, places


@pytest.mark.parametrize("tag", ["dng", "cfa", "linear"])
def test_a_camera_raw_file_is_refused_and_its_thumbnail_not_enlarged(tag: str, tmp_path: Path) -> None:
    path = tmp_path / "in.tif"
    with tifffile.TiffWriter(path) as out:
        if tag == "dng":
            out.write(noise(12, 16, 3), photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)])
        else:
            out.write(noise(12, 16, 3), photometric="rgb", subifds=1, metadata=None)
            photometric = 32803 if tag == "cfa" else 34892
            out.write(noise(24, 32, 1, "uint16")[..., 0], photometric=photometric, metadata=None)
    with pytest.raises(BadInput, match="camera raw"), open_image(path):
        pass


@pytest.mark.parametrize("suffix", ["nef", "ARW", "cr2"])
def test_a_tiff_with_a_raw_files_name_is_refused(suffix: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / f"in.{suffix}", noise(12, 16, 3), photometric="rgb")
    with pytest.raises(BadInput, match="camera raw"), open_image(tmp_path / f"in.{suffix}"):
        pass


@pytest.mark.parametrize(
    "head", [b"FUJIFILMCCD-RAW ", b"IIU\0\x18\0\0\0", b"IIRO\x08\0\0\0", b"\0\0\0\x18ftypcrx \0\0\0\1", b"FOVb\0\0\1\0"]
)
def test_raw_files_that_are_no_tiff_are_named_too(head: bytes, tmp_path: Path) -> None:
    (tmp_path / "in.bin").write_bytes(head.ljust(64, b"\0"))
    with pytest.raises(BadInput, match="camera raw"), open_image(tmp_path / "in.bin"):
        pass


@pytest.mark.parametrize(("photometric", "words"), [(32845, "LogLuv"), (32844, "LogL"), (9, "ICC Lab"), (777, "777")])
def test_samples_that_are_no_rgb_are_refused_by_name(photometric: int, words: str, tmp_path: Path) -> None:
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, noise(12, 16, 3), photometric="rgb", metadata=None, byteorder="<")
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<HHL", 262, 3, 1))
    data[at + 8 : at + 10] = struct.pack("<H", photometric)
    path.write_bytes(data)
    with pytest.raises(BadInput, match=words), open_image(path):
        pass


_GEO = [
    (33550, 12, 3, (10.0, 20.0, 0.0), True),
    (33922, 12, 6, (4.0, 2.0, 0.0, 500000.0, 4600000.0, 0.0), True),
    (34735, 3, 8, (1, 1, 0, 1, 1025, 0, 1, 1), True),
    (42113, 2, 3, "-1", True),
]


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_georeference_covers_the_same_ground(byteorder: str, tmp_path: Path, doubling: Upscaler) -> None:
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, noise(12, 16, 3), photometric="rgb", extratags=_GEO, metadata=None, byteorder=byteorder)
    plan = enlarged(source, target, doubling)
    assert not plan.notes
    with tifffile.TiffFile(target) as made:
        tags = made.pages[0].tags  # type: ignore[union-attr]
        assert tags[33550].value == (5.0, 10.0, 0.0)
        assert tags[33922].value == (8.0, 4.0, 0.0, 500000.0, 4600000.0, 0.0)
        assert tags[34735].value == (1, 1, 0, 1, 1025, 0, 1, 1)
        assert 42113 in tags
    notes = enlarged(source, tmp_path / "out.png", doubling, format="png").notes
    assert any("georeference left out" in note for note in notes)


@pytest.mark.parametrize("is_point", [True, False])
def test_every_pixel_stays_where_it_was_on_the_ground(is_point: bool) -> None:
    matrix = (10.0, 1.0, 0.0, 500.0, 2.0, -20.0, 0.0, 900.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    before = Georeference(matrix=matrix, tie_points=(3.0, 4.0, 0.0, 7.0, 8.0, 0.0), is_point=is_point)
    after = before.scaled(3, 2)

    def ground(place: Georeference, x: float, y: float) -> tuple[float, ...]:
        """Of a point counted in pixels from the picture's corner."""
        column, row = (x - 0.5, y - 0.5) if place.is_point else (x, y)
        m = place.matrix
        return m[0] * column + m[1] * row + m[3], m[4] * column + m[5] * row + m[7]

    for x, y in ((0.0, 0.0), (5.5, 1.25), (16.0, 12.0)):
        assert ground(before, x, y) == pytest.approx(ground(after, 3 * x, 2 * y))
    middle = 0.5 if is_point else 0.0
    assert after.tie_points[0] + middle == pytest.approx(3 * (3.0 + middle))
    assert after.tie_points[1] + middle == pytest.approx(2 * (4.0 + middle))


def test_keys_change_their_byte_order_with_the_file() -> None:
    keys = Georeference(kept=((KEYS, (3, 2, b"\x01\x00\x02\x00")),), order="<")
    assert keys.entries(Layout(order=">"))[KEYS][2] == b"\x00\x01\x00\x02"


def test_ome_xml_states_the_new_sizes(tmp_path: Path, doubling: Upscaler) -> None:
    source, target = tmp_path / "in.ome.tif", tmp_path / "out.ome.tif"
    stack = noise(12, 16, 2, "uint16").transpose(2, 0, 1)
    tifffile.imwrite(source, stack, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}, ome=True)
    enlarged(source, target, doubling)
    with tifffile.TiffFile(target) as made:
        assert made.series[0].shape == (2, 24, 32)
        assert made.ome_metadata is not None
        assert 'PhysicalSizeX="0.25"' in made.ome_metadata
        assert 'PhysicalSizeY="0.125"' in made.ome_metadata


def test_tags_that_nobody_carries_are_named(tmp_path: Path, doubling: Upscaler) -> None:
    source = tmp_path / "in.tif"
    extra = [(269, 2, 5, "name", True), (50844, 12, 2, (1.0, 2.0), True), (65000, 3, 1, 7, True)]
    tifffile.imwrite(source, noise(12, 16, 3), photometric="rgb", extratags=extra, metadata=None)
    notes = enlarged(source, tmp_path / "out.tif", doubling).notes
    assert "TIFF tags left out: DocumentName, RPC coefficients, 65000" in notes


# ---- damage


def test_what_decoders_raise_becomes_one_printable_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture().save(tmp_path / "in.bmp")
    for failure in (RuntimeError("\x1b[2J"), TypeError("NoneType"), OSError(22, "Invalid argument"), OverflowError()):

        def broken(*_: object, failure: Exception = failure) -> None:
            raise failure

        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", broken)
        monkeypatch.setattr("PIL.BmpImagePlugin.BmpImageFile._open", broken)
        with pytest.raises(DamagedMedia) as refusal, open_image(tmp_path / "in.bmp"):
            pass
        assert str(refusal.value).isprintable()
        assert "Errno" not in str(refusal.value)
        assert "NoneType" not in str(refusal.value)


def test_attributes_that_no_writer_takes_are_left_out_and_said(tmp_path: Path, doubling: Upscaler) -> None:
    import OpenImageIO

    spec = OpenImageIO.ImageSpec(16, 12, 3, "half")
    spec.attribute("Copyright", "me")
    spec.attribute("bad\x1bname", 3)
    output = OpenImageIO.ImageOutput.create("openexr")
    assert output.open(str(tmp_path / "in.exr"), spec)
    assert output.write_image(np.zeros((12, 16, 3), np.float16))
    output.close()
    notes = enlarged(tmp_path / "in.exr", tmp_path / "out.exr", doubling).notes
    assert any("OpenEXR attributes left out" in note for note in notes)
    with open_image(tmp_path / "out.exr") as made:
        assert ("Copyright", "me") in [(name, value) for name, _, value in made.metadata.attributes]
