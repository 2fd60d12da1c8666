"""A full disk costs nothing but the file that did not fit: one line, no half file, and the same command goes on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from sr_core.errors import SrError
from srvid_cli.srbatch import srbatch_command

PLAIN = ("--model", "nearest", "--scale", "2")


def run(*words: object) -> tuple[int, str]:
    """(exit code or 1 for an SrError, what was said)."""
    done = CliRunner().invoke(srbatch_command, [str(word) for word in words], standalone_mode=False)
    if isinstance(done.exception, SrError):
        return 1, f"{done.output}{done.exception} {done.exception.hint}"
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return int(done.return_value or 0), done.output


def noisy(path: Path, side: int) -> Path:
    """A picture that no compression makes small."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_a_picture_that_does_not_fit_leaves_nothing(ending: str, tmp_path: Path, small_disk: Path) -> None:
    source = noisy(tmp_path / "in.png", 200)
    words = (source, small_disk / f"out.{ending}", *PLAIN, "--quality", "100")
    code, said = run(*words)
    assert code == 1
    assert "No space left on device" in said
    assert "free some space" in said
    assert "Traceback" not in said
    assert list(small_disk.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert run(*words)[0] == 0
    assert [path.name for path in small_disk.iterdir()] == [f"out.{ending}"]


def test_a_folder_of_pictures_keeps_what_fitted_and_the_same_command_makes_the_rest(
    tmp_path: Path, small_disk: Path
) -> None:
    noisy(tmp_path / "in" / "a.png", 40)
    noisy(tmp_path / "in" / "b.png", 200)
    words = (tmp_path / "in", small_disk / "out", *PLAIN, "--jobs", "1")
    code, said = run(*words)
    assert code == 1
    assert "run the same command again to finish the rest" in said
    assert [path.name for path in (small_disk / "out").glob("*.png")] == ["a.png"]
    assert not list(small_disk.rglob("*.part"))
    made = (small_disk / "out" / "a.png").stat().st_mtime_ns
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert run(*words)[0] == 0
    assert sorted(path.name for path in (small_disk / "out").glob("*.png")) == ["a.png", "b.png"]
    assert (small_disk / "out" / "a.png").stat().st_mtime_ns == made
