"""srkit train, eval and models, as a user types them."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from sr_train.loop import Progress
from srvid_cli.progress import ProgressLine
from srvid_cli.srkit import group
from srvid_cli.srkit.train import _Report

PROJECT = Path(__file__).resolve().parents[2]
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
    assert "steps of training" in done.output
    made = {path.name for path in (tmp_path / "runs/tiny").iterdir()}
    assert made == {"tiny-x2.pt", "tiny-x2.onnx", "curves.png", "curves-loss.png"}
    assert "tiny-x2" in srkit("models", "info", str(tmp_path / "runs/tiny/tiny-x2.onnx")).output
    again = srkit(
        "train", str(recipe), "--data", str(tmp_path), "--out", str(tmp_path / "runs"), "--resume", "--no-export"
    )
    assert again.exit_code == 0


def test_before_anything_is_measured_no_figure_is_made_up() -> None:
    """The first step waits for a compiler: '22453:43:46 left, PSNR nan dB' stood there."""
    stream = io.StringIO()
    first = Progress(step=1, share_done=0.0, seconds=90.0, loss=0.07, psnr_y=math.nan, measured=True)
    _Report(ProgressLine(stream=stream))(first)
    assert stream.getvalue().split() == ["0%", "step", "1", "loss", "0.07000"]


def test_models_import_refuses_to_overwrite(tmp_path: Path) -> None:
    from sr_core.errors import OutputExists
    from sr_zoo.models import find_model

    shipped = str(find_model("clear-x2"))
    assert "x2" in srkit("models", "import", shipped, "--out", str(tmp_path / "mine.onnx")).output
    with pytest.raises(OutputExists):
        srkit("models", "import", shipped, "--out", str(tmp_path / "mine.onnx"))


def _pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    for index in range(count):
        Image.fromarray(rng.integers(0, 256, (120, 120, 3)).astype(np.uint8)).save(folder / f"{index}.png")


def test_a_plain_folder_trains_a_recipe_of_other_folders_and_holds_some_out(tmp_path: Path) -> None:
    _pictures(tmp_path / "Pictures" / "holiday", 4)
    _pictures(tmp_path / "Pictures" / "garden", 7)  # the same names
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.replace('"train"', '"train/cid22"') + 'warm_start = "runs/gone/gone.pt"\n')
    only_train = ("--out", str(tmp_path / "runs"), "--no-export")
    done = srkit("train", str(recipe), "--data", str(tmp_path / "Pictures"), *only_train)
    assert done.exit_code == 0, done.output
    assert "trains from scratch" in done.output
    data = tmp_path / "runs" / "tiny" / "data"
    trained, held_out = ([path.resolve() for path in (data / part).iterdir()] for part in ("train", "validate"))
    assert (len(trained), len(held_out)) == (10, 1)
    assert not set(trained) & set(held_out)
    assert (tmp_path / "runs/tiny/tiny-x2.pt").exists()


def test_too_few_pictures_are_refused_before_any_work(tmp_path: Path) -> None:
    from sr_core.errors import BadInput

    _pictures(tmp_path / "Pictures", 1)
    with pytest.raises(BadInput, match="too few"):
        srkit("train", "swift-x2", "--data", str(tmp_path / "Pictures"), "--out", str(tmp_path / "runs"))


def test_recipes_are_known_by_name_and_misspelt_ones_are_guessed(tmp_path: Path) -> None:
    from sr_core.errors import BadInput

    assert "clear-x4" in srkit("train", "--list").output.splitlines()
    assert tomllib.loads(srkit("train", "clear-x4", "--show").output)["model"]["name"] == "clear-x4"
    with pytest.raises(BadInput) as caught:
        srkit("train", "claer-x4", "--data", str(tmp_path))
    assert caught.value.hint.startswith("did you mean clear-x4?")


def test_eval_measures_on_a_plain_folder(tmp_path: Path) -> None:
    _pictures(tmp_path / "sharp", 2)
    printed = srkit("eval", "bicubic", "--scale", "2", "--set", str(tmp_path / "sharp")).output
    assert "| bicubic x2 | " in printed


def test_without_torch_models_are_measured_and_all_says_what_to_install(tmp_path: Path) -> None:
    _pictures(tmp_path / "sharp", 1)
    code = "import sys; sys.modules['torch'] = None; from srvid_cli.srkit import main; main()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])}
    told = []
    for words in (("bicubic", "--scale", "2"), ("fsrcnn-x2",), ("all",)):
        command = [sys.executable, "-c", code, "eval", *words, "--set", str(tmp_path / "sharp")]
        told.append(subprocess.run(command, capture_output=True, text=True, env=environment, check=False))
    assert "| bicubic x2 | " in told[0].stdout, told[0].stderr
    assert "| fsrcnn-x2 | " in told[1].stdout, told[1].stderr
    assert told[2].stderr.splitlines()[-1] == "hint: pip install 'srvid[train]'"


def test_without_torch_recipes_are_listed_and_shown_and_training_says_what_to_install(tmp_path: Path) -> None:
    """In a process of its own, as a plain `pip install srvid` leaves it."""
    code = "import sys; sys.modules['torch'] = None; from srvid_cli.srkit import main; main()"
    told = {}
    for words in (("--list",), ("swift-x2", "--show"), ("swift-x2", "--data", str(tmp_path))):
        command = [sys.executable, "-c", code, "train", *words]
        paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])
        environment = os.environ | {"PYTHONPATH": paths}
        told[words[-1]] = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "swift-x2" in told["--list"].stdout, told["--list"].stderr
    assert "[model]" in told["--show"].stdout, told["--show"].stderr
    assert told[str(tmp_path)].stderr == "srkit: training needs torch\nhint: pip install 'srvid[train]'\n"
