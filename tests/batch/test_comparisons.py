"""Before and after: the sheet and the folder of `--compare`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.batch.conftest import Run, picture, tree


def test_a_comparison_sheet_shows_every_image(srbatch: Run, tmp_path: Path) -> None:
    for index in range(3):
        picture(tmp_path / f"in/{index}.png", seed=index)
    assert srbatch("in", "out", "--compare", "sheet.png").code == 0
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.height > 3 * 320


def test_comparisons_lie_as_the_outputs_do(srbatch: Run, tmp_path: Path) -> None:
    for year in (2020, 2021):
        picture(tmp_path / f"in/{year}/img/1.png", seed=year)
    assert srbatch("in", "out", "--compare", "pairs").code == 0
    assert tree(tmp_path / "pairs") == ["2020/img/1.png.png", "2021/img/1.png.png"]


def test_a_comparison_shows_the_same_part_of_an_image_made_smaller(srbatch: Run, tmp_path: Path) -> None:
    x = np.linspace(0, 255, 2000).astype(np.uint8)
    Image.fromarray(np.broadcast_to(x, (1500, 2000)).copy()).save(tmp_path / "a.png")
    assert srbatch("a.png", "out/b.png", "--max-size", "400", "--compare", "pairs").code == 0
    with Image.open(tmp_path / "pairs/b.png.png") as sheet:
        shown = np.asarray(sheet.convert("L")).astype(int)[100]
    before, after = shown[:300], shown[-320:-20]
    assert np.abs(before - after).max() <= 4


def test_a_comparison_that_cannot_be_written_leaves_the_summary(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    (tmp_path / "file").write_bytes(b"")
    ended = srbatch("in", "out", "--compare", "file/sheet.png")
    assert ended.code == 1
    assert "no comparison: " in ended.err
    assert "1 done" in ended.err
