"""The small subcommands, run as a user does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from sr_core.errors import SrError
from sr_core.testing import picture
from srvid_cli.srkit import COMMANDS, group

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flower.mp4"


def srkit(*arguments: object) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray((picture(150, 110) * 255).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_loads_and_has_help(name: str) -> None:
    done = srkit(name, "--help")
    assert done.exit_code == 0, done.output
    assert "Usage" in done.output


def test_check_seams_finds_none_in_a_finite_network(photo: Path) -> None:
    done = srkit("check-seams", photo, "--scale", 2, "--tile", 48, "--tile", 64, "--precision", "exact")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "exact tiles" in lines[1]
    worst = [float(line.split("max ")[1].split(" ")[0]) for line in lines[2:]]
    assert len(worst) == 2
    assert max(worst) <= 1  # rounding ties between two summation orders


def test_doctor_names_the_default_backend() -> None:
    done = srkit("doctor")
    assert done.exit_code == 0, done.output
    assert "openvino       yes" in done.output
    assert "chosen" in done.output.split("--backend auto")[1]


def test_compare_writes_a_picture_of_two_videos(tmp_path: Path) -> None:
    out = tmp_path / "look.png"
    done = srkit("compare", EXAMPLE, EXAMPLE, out, "--at", 0.5)
    assert done.exit_code == 0, done.output
    with Image.open(out) as image:
        assert image.width == 480
        assert np.asarray(image).std() > 10


def test_compare_shows_a_photograph_the_right_way_up_and_all_of_16_bits(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(np.full((120, 80), 32768, np.uint16)).save(tmp_path / "grey.png")
    assert srkit("compare", tmp_path / "turned.jpg", tmp_path / "grey.png", tmp_path / "look.png").exit_code == 0
    with Image.open(tmp_path / "look.png") as sheet:
        assert sheet.width == 2 * 80
        assert sheet.getpixel((120, 100)) == (128, 128, 128)


def test_compare_refuses_a_text_file(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a picture")
    done = srkit("compare", text, EXAMPLE, tmp_path / "look.png")
    assert isinstance(done.exception, SrError)
    assert "neither an image nor a video: Invalid data" in str(done.exception)
    assert done.exception.hint
    assert not (tmp_path / "look.png").exists()


@pytest.mark.parametrize("name", ["doctor", "jobs"])
def test_a_cache_that_cannot_be_written_stops_no_command_that_only_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path / "file" / "cache"))
    done = srkit(name)
    assert done.exit_code == 0, done.output
    assert "set SRVID_CACHE" in done.output or "no unfinished jobs" in done.output


def test_compare_refuses_an_image_beside_a_video(photo: Path, tmp_path: Path) -> None:
    done = srkit("compare", photo, EXAMPLE, tmp_path / "look.png")
    assert isinstance(done.exception, SrError)
    assert "photo.png is an image, flower.mp4 a video" in str(done.exception)
    assert not (tmp_path / "look.png").exists()


def test_compare_refuses_a_moment_after_the_end(tmp_path: Path) -> None:
    done = srkit("compare", EXAMPLE, EXAMPLE, tmp_path / "look.png", "--at", 99)
    assert isinstance(done.exception, SrError)
    assert "flower.mp4 ends at" in str(done.exception)


def test_compare_refuses_a_moment_of_images(photo: Path, tmp_path: Path) -> None:
    done = srkit("compare", photo, photo, tmp_path / "look.png", "--at", 1)
    assert "these are images" in str(done.exception)


def test_compare_makes_no_folders(photo: Path, tmp_path: Path) -> None:
    done = srkit("compare", photo, photo, tmp_path / "new folder" / "look.png")
    assert isinstance(done.exception, SrError)
    assert not (tmp_path / "new folder").exists()


def test_check_seams_refuses_a_video(tmp_path: Path) -> None:
    done = srkit("check-seams", EXAMPLE)
    assert isinstance(done.exception, SrError)
    assert "is not an image" in str(done.exception)


def test_check_seams_says_that_the_picture_is_too_small(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    done = srkit("check-seams", tmp_path / "dot.png")
    assert isinstance(done.exception, SrError)
    assert "1x1" in str(done.exception)
    assert "larger picture" in done.exception.hint


@pytest.mark.parametrize("size", ["0x0", "-5x5", "5x", "wide"])
def test_bench_refuses_what_is_no_size(size: str) -> None:
    ended = srkit("bench", "--size", size)
    assert isinstance(ended.exception, SrError)
    assert "is not a size" in str(ended.exception)
