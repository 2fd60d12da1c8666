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
    out = tmp_path / "new folder" / "look.png"
    done = srkit("compare", EXAMPLE, EXAMPLE, out, "--at", 0.5)
    assert done.exit_code == 0, done.output
    with Image.open(out) as image:
        assert image.width == 480
        assert np.asarray(image).std() > 10


def test_compare_refuses_a_text_file(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a picture")
    done = srkit("compare", text, EXAMPLE, tmp_path / "look.png")
    assert isinstance(done.exception, SrError)
    assert "neither an image nor a video" in str(done.exception)
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
