"""Can the measures of benchmarks/picture.py tell what they claim?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import steady
from picture import updated
from picture_blind import answers_counted, blind_rows
from picture_clips import CODINGS, Coding, spoilt
from picture_measures import blocks
from picture_ways import label_of, licences

Floats = NDArray[np.float64]


def stepped(*, grid: int, height: float, scale: int, kernel: Image.Resampling) -> Floats:
    """Faint noise with steps of `height` codes every `grid` pixels, enlarged by `kernel`."""
    random = np.random.default_rng(0)
    low = 128 + random.normal(0, 0.5, (48, 96))
    low += np.kron(random.normal(0, height, (48 // grid, 96 // grid)), np.ones((grid, grid)))
    picture = Image.fromarray(low.astype(np.float32))
    return np.asarray(picture.resize((96 * scale, 48 * scale), kernel), np.float64)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_blocks_on_the_input_s_grid_are_counted_and_a_sharp_staircase_counts_more(scale: int) -> None:
    def of(height: float, kernel: Image.Resampling, *, grid: int = 8) -> float:
        truth = stepped(grid=8, height=0, scale=scale, kernel=Image.Resampling.LANCZOS)
        return blocks([stepped(grid=grid, height=height, scale=scale, kernel=kernel)], [truth], scale=scale)

    sharp, soft = of(3, Image.Resampling.NEAREST), of(3, Image.Resampling.BILINEAR)
    assert sharp > 1.5 * soft > 1.5
    assert abs(of(0, Image.Resampling.LANCZOS)) < 0.2, "noise alone has no grid"
    assert abs(of(3, Image.Resampling.LANCZOS, grid=1)) < 0.4 * 36, "nor has strong noise, of 36 times the energy"


def test_every_coding_keeps_frames_and_size_and_gives_the_same_every_time() -> None:
    frames = [np.full((64, 96, 3), 90 + 10 * index, np.uint8) for index in range(3)]
    for name in ("x264 crf 30, then 26", "noise 4, x264 crf 23", "mpeg2 q 8", "resized, x264 crf 28"):
        once, again = spoilt(frames, CODINGS[name]), spoilt(frames, CODINGS[name])
        assert [image.shape for image in once] == [image.shape for image in frames], name
        assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True)), name
    assert 3.5 < spoilt(frames, Coding(noise=4.0, encodes=()))[0].std() < 4.5


def test_ways_are_called_by_their_names_and_peers_have_licences() -> None:
    spelled = ["clear", "new=a/restore-x4.onnx", "b/realesr-animevideov3-x4.param", "pyanime4k:acnet-hdn0"]
    labels = [label_of(name) for name in spelled]
    assert labels == ["clear", "new", "realesr-animevideov3-x4", "acnet-hdn0"]
    assert sorted(licences(labels)) == ["acnet-hdn0", "realesr-animevideov3-x4"]


def test_an_update_keeps_the_other_rows_and_refuses_unknown_ones(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"command": "again", "rows": [["a", "one", 1.0], ["a", "two", 2.0]]}))
    assert updated(kept, [["a", "two", 3.0]]) == ("again", [["a", "one", 1.0], ["a", "two", 3.0]])
    with pytest.raises(SystemExit, match="three"):
        updated(kept, [["a", "three", 3.0]])


def test_a_blind_reader_s_answers_are_counted_by_the_key_alone() -> None:
    ways = {name: np.full((300, 400, 3), value, np.uint8) for value, name in enumerate(("plain", "ours", "theirs"))}
    rows, key = blind_rows([("clip", ways)] * 24, side=96, seed=7)
    shown = {index: [int(crop[0, 0, 0]) for crop in crops] for index, crops in rows.items()}
    names = list(ways)
    assert all([names[value] for value in shown[index]] == key[index] for index in key)
    assert len({tuple(order) for order in key.values()}) > 3, "shuffled"
    best = {index: "ABC"[order.index("ours")] for index, order in key.items()}
    assert answers_counted(key, best) == {"plain": 0, "ours": 24, "theirs": 0}


def test_the_table_of_steady_is_printed_from_a_clip_and_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        picture = np.random.default_rng(number).integers(0, 256, (288, 456, 3), np.uint8)
        Image.fromarray(picture).resize((64, 40)).resize((456, 288)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(steady, "CLIPS", {"flower.mp4": 0})
    monkeypatch.setattr(steady, "PANS", ((0, 5),))
    examples = Path(__file__).parents[2] / "examples"
    steady.main(argparse.Namespace(clips=examples, models=["swift"], frames=3, pictures=tmp_path))
    rows = [[cell.strip() for cell in line.split("|")[2:-1]] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [name for name, *_ in rows] == ["flower", "mean", "pan 0, 5"]
    assert all(0 < float(flicker) < 0.9 for _, flicker, *_ in rows), "steadied over not"
