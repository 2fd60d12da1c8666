"""What lies behind the end of a picture is said to be left out."""

from __future__ import annotations

import io
import mmap
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from sr_core.upscaler import Upscaler
from sr_image.enlarge import EnlargeOptions, enlarge
from sr_image.formats.reader import decode_frames, open_image
from sr_image.metadata.behind import note_behind
from tests.image.conftest import noise

FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "AVIF"]
VARIANTS: dict[str, dict[str, object]] = {
    "JPEG progressive": {"progressive": True},
    "JPEG restarts": {"restart_marker_blocks": 2},
    "GIF animated": {"save_all": True},
    "WEBP lossless": {"lossless": True},
    "PNG animated": {"save_all": True},
}


def saved(kind: str) -> bytes:
    stream, pictures = io.BytesIO(), [Image.fromarray(noise(48, 72, 3, seed=seed)) for seed in (1, 2)]
    more = {"append_images": pictures[1:]} if "animated" in kind else {}
    pictures[0].save(stream, kind.split()[0], **VARIANTS.get(kind, {}), **more)
    return stream.getvalue()


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("letter.txt", "nobody would know" * 200)
    return stream.getvalue()


@pytest.mark.parametrize("kind", [*FORMATS, *VARIANTS])
def test_an_archive_behind_a_picture_is_said_and_nothing_where_there_is_none(kind: str, tmp_path: Path) -> None:
    plain, name = tmp_path / "plain", kind.split()[0].lower()
    plain.write_bytes(saved(kind))
    assert note_behind(plain, name) == ""
    both = tmp_path / "both"
    both.write_bytes(saved(kind) + archive())
    assert note_behind(both, name) == "3.5 kB behind the end of the picture left out"


@pytest.mark.parametrize("name", ["jpg", "png", "gif", "webp", "bmp"])
def test_no_picture_is_mapped_as_cutting_it_short_meanwhile_would_end_the_process(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mapped = tmp_path / f"picture.{name}", []
    Image.fromarray(noise(48, 72, 3)).convert("L").save(path)
    monkeypatch.setattr(mmap, "mmap", lambda *_, **__: mapped.append(name))
    with open_image(path) as image:
        assert sum(len(strip) for frame in decode_frames(image) for strip in frame.strips) == 48
    assert not mapped


@pytest.mark.parametrize("size", range(2, 6))
@pytest.mark.parametrize("kind", FORMATS)
def test_pieces_of_any_size_give_the_same(
    kind: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_image.metadata.behind._PIECE_BYTES", size)
    path = tmp_path / "both"
    path.write_bytes(saved(kind) + b"\0" * 7 + archive())
    assert note_behind(path, kind.lower()) == "3.5 kB behind the end of the picture left out"
    assert note_behind(path, kind.lower(), skips_pictures=True) != ""


@pytest.mark.parametrize("kind", FORMATS)
def test_padding_is_nothing_to_speak_of(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "padded"
    path.write_bytes(saved(kind) + b"\0" * 500 + b"\r\n")
    assert note_behind(path, kind.lower()) == ""


@pytest.mark.parametrize("kind", [*FORMATS, *VARIANTS])
def test_no_cut_of_a_picture_is_taken_for_something_behind_it(kind: str, tmp_path: Path) -> None:
    whole, path = saved(kind), tmp_path / "cut"
    for size in [*range(1, 60), *range(60, len(whole), 97)]:
        path.write_bytes(whole[:size])
        said = note_behind(path, kind.split()[0].lower())
        assert not said or kind == "AVIF", (size, said)  # whose last box is then none, and which does not decode


def test_pictures_that_were_spoken_of_are_passed_and_what_follows_them_is_said(tmp_path: Path) -> None:
    path = tmp_path / "two.jpg"
    path.write_bytes(saved("JPEG") + b"\0\0" + saved("JPEG"))
    assert note_behind(path, "jpeg", skips_pictures=True) == ""
    assert "behind the end" in note_behind(path, "jpeg")
    path.write_bytes(path.read_bytes() + archive())
    assert note_behind(path, "jpeg", skips_pictures=True) == "3.5 kB behind the end of the picture left out"


def test_it_is_among_the_notes_of_an_enlarged_picture(tmp_path: Path, doubling: Upscaler) -> None:
    source = tmp_path / "in.jpg"
    source.write_bytes(saved("JPEG") + archive())
    plan = enlarge(source, tmp_path / "out.jpg", doubling, EnlargeOptions())
    assert [note for note in plan.notes if "behind the end" in note] == [
        "3.5 kB behind the end of the picture left out"
    ]
