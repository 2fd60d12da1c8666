"""No command writes over an input, nor over another file unless told to; the ending decides the format."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from sr_core.errors import BadInput, OutputExists, SrError
from sr_core.testing import nearest_model
from srvid_cli.outputs import check_output
from srvid_cli.srbatch import srbatch_command
from srvid_cli.srkit import group as srkit_command

PLAIN = ("--scale", "2", "--model", "nearest")


def picture(path: Path, side: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(side * side * 3, dtype=np.uint8).reshape(side, side, 3)).save(path)
    return path


def run(command: object, *arguments: object) -> tuple[int, str]:
    """(exit code or 1 for an SrError, what was said)."""
    done = CliRunner().invoke(command, [str(entry) for entry in arguments], standalone_mode=False)  # type: ignore[arg-type]
    if isinstance(done.exception, SrError):
        return 1, f"{done.output}{done.exception} {done.exception.hint}"
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return int(done.return_value or 0), done.output


def test_an_input_is_never_an_output_under_any_name(tmp_path: Path) -> None:
    given = picture(tmp_path / "a.png")
    os.link(given, tmp_path / "hard.png")
    (tmp_path / "soft.png").symlink_to(given)
    for name in ("a.png", "hard.png", "soft.png", "x/../a.png"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(BadInput, match="is an input"):
            check_output(tmp_path / name, inputs=(given,), overwrite=True)


def test_another_file_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    there = picture(tmp_path / "a.png")
    with pytest.raises(OutputExists):
        check_output(there)
    check_output(there, overwrite=True)
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    with pytest.raises(OutputExists):
        check_output(tmp_path / "broken")
    with pytest.raises(BadInput, match="is a folder"):
        check_output(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "b.png", "other.txt"])
def test_compare_writes_over_no_input_and_no_other_file(tmp_path: Path, name: str) -> None:
    before, after = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", 32)
    (tmp_path / "other.txt").write_text("precious")
    held = (tmp_path / name).read_bytes()
    code, said = run(srkit_command, "compare", before, after, tmp_path / name)
    assert code == 1, said
    assert (tmp_path / name).read_bytes() == held


def test_the_ending_decides_the_format_of_a_comparison(tmp_path: Path) -> None:
    before, after = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", 32)
    for ending, kind in ((".jpg", "JPEG"), (".webp", "WEBP"), (".png", "PNG")):
        assert run(srkit_command, "compare", before, after, tmp_path / f"c{ending}")[0] == 0
        with Image.open(tmp_path / f"c{ending}") as made:
            assert made.format == kind
    code, said = run(srkit_command, "compare", before, after, tmp_path / "c.mp4")
    assert code == 1
    assert "cannot write .mp4" in said
    assert run(srkit_command, "compare", before, after, tmp_path / "c.png")[0] == 1
    assert run(srkit_command, "compare", before, after, tmp_path / "c.png", "--overwrite")[0] == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such pipes here")
@pytest.mark.parametrize("out", ["out.png", "folder"])
def test_a_pipe_in_the_place_of_an_output_is_refused_also_with_overwrite(out: str, tmp_path: Path) -> None:
    given = picture(tmp_path / "a.png")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "out.png", tmp_path / "folder" / "a.png"):
        os.mkfifo(place)
    code, said = run(srbatch_command, given, tmp_path / out, *PLAIN, "--overwrite")
    assert code == 1
    assert "is not a regular file" in said
    code, said = run(srkit_command, "compare", given, given, tmp_path / "out.png", "--overwrite")
    assert code == 1
    assert "is not a regular file" in said
    assert all(stat.S_ISFIFO(path.lstat().st_mode) for path in (tmp_path / "out.png", tmp_path / "folder" / "a.png"))


def test_an_imported_model_is_written_over_nothing(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(nearest_model(2).SerializeToString())
    (tmp_path / "there.onnx").write_text("precious")
    for name in ("m.onnx", "there.onnx", "x.txt"):
        code, said = run(srkit_command, "models", "import", model, "-o", tmp_path / name)
        assert code == 1, said
    assert (tmp_path / "there.onnx").read_text() == "precious"
    assert run(srkit_command, "models", "import", model, "-o", tmp_path / "m.onnx", "--overwrite")[0] == 1
    assert model.read_bytes() == nearest_model(2).SerializeToString()


def test_comparisons_of_a_batch_replace_only_comparisons(tmp_path: Path) -> None:
    given = picture(tmp_path / "in" / "a.png")
    sheet = tmp_path / "sheet.png"
    batch = (tmp_path / "in", tmp_path / "out", *PLAIN, "--compare")
    assert run(srbatch_command, *batch, sheet)[0] == 0
    assert run(srbatch_command, *batch, sheet)[0] == 0  # the same command goes on
    picture(sheet)
    code, said = run(srbatch_command, *batch, sheet)
    assert code == 1
    assert "already there" in said
    held = given.read_bytes()
    for taken in (given, tmp_path / "out" / "a.png"):
        assert run(srbatch_command, *batch, taken, "--overwrite")[0] == 1
    assert given.read_bytes() == held


@pytest.mark.parametrize("name", ["out.tga", "out.mp4", "out.psd", "x.Tga", "out.txt"])
def test_an_out_whose_ending_is_no_format_is_refused(tmp_path: Path, name: str) -> None:
    code, said = run(srbatch_command, picture(tmp_path / "a.png"), tmp_path / name, *PLAIN)
    assert code == 1
    assert "cannot write" in said
    assert not (tmp_path / name).exists()


def test_a_folder_with_a_dot_is_still_a_folder(tmp_path: Path) -> None:
    given = picture(tmp_path / "a.png")
    (tmp_path / "out.tga").mkdir()
    for name in ("out.tga", "2024.11", "v1.2.3"):
        assert run(srbatch_command, given, tmp_path / name, *PLAIN)[0] == 0
        assert (tmp_path / name / "a.png").is_file()


def test_a_forgotten_out_is_told(tmp_path: Path) -> None:
    pictures = [picture(tmp_path / f"{name}.png") for name in "abc"]
    held = [path.read_bytes() for path in pictures]
    code, said = run(srbatch_command, *pictures, *PLAIN, "--overwrite")
    assert code == 1
    assert "OUT" in said
    assert [path.read_bytes() for path in pictures] == held
    with pytest.raises(click.UsageError, match="OUT is missing"):
        srbatch_command.main([str(pictures[0])], standalone_mode=False)
    code, said = run(srbatch_command, pictures[0], pictures[1], *PLAIN)
    assert code == 1
    assert "was OUT forgotten" in said
    code, said = run(srbatch_command, pictures[0], pictures[1], tmp_path / "new.png", *PLAIN)
    assert code == 1
    assert "several inputs" in said


def test_scale_beside_a_size_is_said(tmp_path: Path) -> None:
    given = picture(tmp_path / "a.png")
    code, said = run(srbatch_command, given, tmp_path / "out", *PLAIN, "--height", 24)
    assert code == 0
    assert "--height decides the size" in said


def test_a_name_that_is_too_long_is_refused_in_one_line(tmp_path: Path) -> None:
    code, said = run(srbatch_command, tmp_path / ("p" * 300 + ".png"), tmp_path / "out", *PLAIN)
    assert code == 1
    assert "File name too long" in said


@pytest.mark.skipif(os.name != "posix", reason="permissions as on POSIX")
def test_a_folder_that_cannot_be_looked_into_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "locked" / "b.png")
    real = os.scandir

    def scandir(path: object) -> object:  # tests run as root here, whom no permission stops
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)
    code, said = run(srbatch_command, tmp_path / "in", tmp_path / "out", *PLAIN)
    assert code == 1
    assert "locked" in said
    assert "Permission denied" in said
    assert (tmp_path / "out" / "a.png").is_file()


def test_a_manual_page_replaces_only_a_manual_page(tmp_path: Path) -> None:
    assert run(srkit_command, "man", "--out", tmp_path)[0] == 0
    assert run(srkit_command, "man", "--out", tmp_path)[0] == 0
    (tmp_path / "srvid.1").write_text("precious")
    code, said = run(srkit_command, "man", "--out", tmp_path)
    assert code == 1
    assert "already there" in said
    assert (tmp_path / "srvid.1").read_text() == "precious"


@pytest.mark.parametrize("left", ["clear-x2.pt", "clear-x2.onnx"])
def test_training_begins_anew_over_an_earlier_run_only_when_told_to(tmp_path: Path, left: str) -> None:
    (tmp_path / "train").mkdir()
    for index in range(12):
        picture(tmp_path / "train" / f"{index}.png", 96)
    run_folder = tmp_path / "runs" / "clear-x2"
    run_folder.mkdir(parents=True)
    (run_folder / left).write_text("hours of work")
    code, said = run(srkit_command, "train", "clear-x2", "--data", tmp_path / "train", "--out", tmp_path / "runs")
    assert code == 1
    assert "from an earlier run" in said
    assert (run_folder / left).read_text() == "hours of work"
