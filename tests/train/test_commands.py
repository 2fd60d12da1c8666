"""srkit train, eval and models, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from srvid_cli.srkit import group

RECIPE = """
[model]
name = "tiny-x2"
arch = "house"
scale = 2
options = { channels = 8, convs = 2 }
[data]
folders = ["train"]
patch_px = 16
batch = 2
validate = "train"
[optim]
steps = 3
"""


def srkit(*words: str) -> Result:
    return CliRunner().invoke(group, words, catch_exceptions=False)


def test_models_list_names_the_default_at_every_scale() -> None:
    listed = srkit("models", "list").output
    assert all(f"clear-x{scale}" in listed for scale in (2, 3, 4))


def test_models_info_prints_a_spec_that_json_can_read() -> None:
    spec = json.loads(srkit("models", "info", "clear-x4", "--json").output)
    assert (spec["name"], spec["scale"], spec["halo_px"]) == ("clear-x4", 4, 10)
    assert "Set5" not in spec["trained_on"]
    assert "halo_px" in srkit("models", "info", "clear-x4").output


def test_eval_prints_ours_beside_the_published_and_writes_a_report(shared_data: Path, tmp_path: Path) -> None:
    words = ("eval", "bicubic", "clear-x4", "--scale", "4", "--data", str(shared_data))
    printed = srkit(*words, "--report", str(tmp_path), "--crops").output
    assert "| bicubic x4 | set5 | 28.42 | 28.42 |" in printed
    assert (tmp_path / "table.md").read_text().count("set5") == 2
    assert len((tmp_path / "images.csv").read_text().splitlines()) == 1 + 2 * 5
    assert {one["model"] for one in json.loads((tmp_path / "results.json").read_text())} == {"bicubic", "clear-x4"}
    with Image.open(tmp_path / "crops" / "set5-x4-baby.png") as sheet:
        assert sheet.size == (3 * 96 * 2, 96 * 2)  # truth, bicubic, one model; kept once each
    assert (tmp_path / "cost-set5-x4.png").exists()


def test_train_leaves_a_checkpoint_curves_and_a_model_that_runs(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    rng = np.random.default_rng(1)
    for index in range(2):
        Image.fromarray(rng.integers(0, 256, (120, 120, 3)).astype(np.uint8)).save(tmp_path / f"train/{index}.png")
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    done = srkit("train", str(recipe), "--data", str(tmp_path), "--out", str(tmp_path / "runs"))
    assert done.exit_code == 0
    made = {path.name for path in (tmp_path / "runs/tiny").iterdir()}
    assert made == {"tiny-x2.pt", "tiny-x2.onnx", "curves.png", "curves-loss.png"}
    assert "tiny-x2" in srkit("models", "info", str(tmp_path / "runs/tiny/tiny-x2.onnx")).output
    again = srkit(
        "train", str(recipe), "--data", str(tmp_path), "--out", str(tmp_path / "runs"), "--resume", "--no-export"
    )
    assert again.exit_code == 0


def test_models_import_refuses_to_overwrite(tmp_path: Path) -> None:
    from sr_core.errors import OutputExists
    from sr_zoo.models import find_model

    shipped = str(find_model("clear-x2"))
    assert "x2" in srkit("models", "import", shipped, "--out", str(tmp_path / "mine.onnx")).output
    with pytest.raises(OutputExists):
        srkit("models", "import", shipped, "--out", str(tmp_path / "mine.onnx"))
