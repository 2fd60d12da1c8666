"""Which files are read, and under which names the enlarged ones lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.batch.conftest import Run, picture, tree


def test_inputs_that_would_share_an_output_are_refused_before_any_work(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    picture(tmp_path / "in/a.jpg")
    ended = srbatch("in", "out", "--format", "png")
    assert ended.code == 1
    assert "same output" in ended.err
    assert "hint: leave out --format" in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("one", "other"), [("a.png", "A.png"), ("\u00e9.png", "e\u0301.png")])
def test_names_that_some_file_systems_take_for_one_are_refused(
    one: str, other: str, srbatch: Run, tmp_path: Path
) -> None:
    picture(tmp_path / "x" / one)
    picture(tmp_path / "y" / other)
    ended = srbatch("x", "y", "out")
    assert ended.code == 1
    assert "same output" in ended.err
    assert "hint: give the folder they are in" in ended.err


def test_an_input_is_never_replaced(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    for inputs in ("a.png", "."):
        ended = srbatch(inputs, ".", "--overwrite")
        assert ended.code == 1
        assert "is an input" in ended.err
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (24, 16)


def test_nothing_is_written_outside_out_through_a_link(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/sub/a.png")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sub").symlink_to(tmp_path / "elsewhere")
    ended = srbatch("in", "out")
    assert ended.code == 1
    assert "outside" in ended.err
    assert tree(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("template", ["../{stem}", "../../{stem}", "{nonsense}"])
def test_a_template_cannot_leave_out_or_name_unknown_fields(template: str, srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    ended = srbatch("in", "out", "--name", template)
    assert ended.code == 1
    assert "hint:" in ended.err
    assert tree(tmp_path) == ["in/a.png"]


def test_a_link_to_an_output_is_replaced_and_not_followed(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    (tmp_path / "precious.png").write_bytes(b"precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").symlink_to(tmp_path / "precious.png")
    assert srbatch("in", "out", "--overwrite").code == 0
    assert (tmp_path / "precious.png").read_bytes() == b"precious"
    assert not (tmp_path / "out/a.png").is_symlink()


def test_one_file_to_one_file_takes_the_format_of_its_name(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    assert srbatch("a.jpg", "b.png").code == 0
    with Image.open(tmp_path / "b.png") as image:
        assert (image.format, image.size) == ("PNG", (48, 32))
    assert tree(tmp_path) == ["a.jpg", "b.png"]
    assert srbatch("a.jpg", "b.png").code == 1
    assert srbatch("a.jpg", "b.png", "--overwrite").code == 0


def test_a_format_that_the_output_s_name_denies_is_refused(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    ended = srbatch("a.png", "b.png", "--format", "webp")
    assert ended.code == 1
    assert "b.png would not be webp" in ended.err
    assert not (tmp_path / "b.png").exists()
    assert srbatch("a.png", "b.jpeg", "--format", "jpeg").code == 0


def test_a_list_on_stdin_and_a_glob_name_inputs(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "x/a.png")
    picture(tmp_path / "y/z/b.png")
    assert srbatch("-", "out1", stdin="x/a.png\ny/z/b.png\n").code == 0
    assert tree(tmp_path / "out1") == ["a.png", "b.png"]
    assert srbatch("y/**/*.png", "out2").code == 0
    assert tree(tmp_path / "out2") == ["z/b.png"]


def test_out_inside_in_is_not_read_again(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert srbatch(".", "out").code == 0
    ended = srbatch(".", "out")
    assert "0 done, 1 up to date" in ended.err
    assert tree(tmp_path / "out") == ["a.png"]


def test_outputs_of_another_run_into_the_same_folder_are_not_read(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/sub/a.png")
    assert srbatch("in", "in/small").code == 0
    assert srbatch("in", "in/large", "--overwrite").code == 0
    assert tree(tmp_path / "in") == ["large/sub/a.png", "small/sub/a.png", "sub/a.png"]


def test_outputs_beside_their_inputs_are_not_read_again(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    for done in ("1 done", "1 up to date"):
        assert done in srbatch("in", "in", "--suffix", "_large").err
    assert tree(tmp_path / "in") == ["a.png", "a_large.png"]
