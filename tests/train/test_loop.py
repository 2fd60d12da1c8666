"""Training for real: it improves, resumes exactly, teaches every kind of recipe, and refuses what it cannot use."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sr_core.errors import BadInput
from sr_core.model_spec import read_spec
from sr_train.checkpoints import read_checkpoint
from sr_train.config import read_config
from sr_train.curves import draw_curves
from sr_train.images import open_bank
from sr_train.loop import Progress, run_training
from sr_train.shipping import load_trained, ship_checkpoint
from sr_train.warm_starts import warm_start
from sr_zoo.archs.registry import build_network

RECIPE = """
[model]
name = "tiny-x2"
arch = "{arch}"
scale = 2
{model}
[data]
folders = ["train"]
patch_px = 16
batch = 4
validate = "val"
{data}
[optim]
{optim}
[loss]
{loss}
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random discs and stripes: edges that a network sharpens better than an interpolation."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(9)
    for folder, count in (("train", 6), ("val", 2)):
        (root / folder).mkdir()
        for index in range(count):
            y, x = np.mgrid[0:120, 0:144]
            image = np.full((120, 144, 3), rng.integers(0, 256, 3), np.float64)
            for _ in range(25):
                inside = (y - rng.integers(0, 120)) ** 2 + (x - rng.integers(0, 144)) ** 2 < rng.integers(5, 40) ** 2
                image[inside] = rng.integers(0, 256, 3)
            Image.fromarray(image.astype(np.uint8)).save(root / folder / f"{index}.png")
    return root


def write_recipe(folder: Path, **parts: str) -> Path:
    defaults = {"arch": "house", "model": "options = { channels = 8, convs = 2 }", "data": "", "loss": "l1 = 1.0"}
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(**(defaults | {"optim": "steps = 6"} | parts)))
    return path


def train(recipe: Path, pictures: Path, out: Path, **options: object) -> tuple[Path, list[Progress]]:
    seen: list[Progress] = []
    made = run_training(
        read_config(recipe), out=out, cache=pictures / "cache", data_root=pictures, report=seen.append, **options
    )  # type: ignore[arg-type]
    return made, seen


def test_a_short_training_beats_its_interpolated_base(pictures: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, optim='optimiser = "muon"\nrate = 1e-2\nsteps = 150\nema = 0.9')
    checkpoint, seen = train(recipe, pictures, tmp_path, save_every_seconds=0.5)
    untrained, _ = train(write_recipe(tmp_path, optim="rate = 1e-9\nsteps = 1"), pictures, tmp_path / "none")
    start = read_checkpoint(untrained)["curve"][-1][3]
    assert seen[-1].psnr_y > start + 1.0
    draw_curves(checkpoint, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (960, 600)


@pytest.mark.parametrize("discriminator", ["", "\n[discriminator]\nweight = 0.1"])
def test_a_resumed_run_ends_with_the_same_weights_as_an_uninterrupted_one(
    discriminator: str, pictures: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, optim='optimiser = "muon"\nsteps = 6', loss=f"l1 = 1.0{discriminator}")
    whole, _ = train(recipe, pictures, tmp_path / "whole")

    class Stopped(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.step == 4 and progress.measured:
            raise Stopped

    with pytest.raises(Stopped):
        run_training(
            read_config(recipe),
            out=tmp_path / "cut",
            cache=pictures / "cache",
            data_root=pictures,
            save_every_seconds=-1,
            report=stop,
        )
    assert read_checkpoint(tmp_path / "cut/tiny-x2.pt")["step"] == 3
    resumed, _ = train(recipe, pictures, tmp_path / "cut", resume=True)
    for entry in ("network", "average"):
        expected, actual = (read_checkpoint(path)[entry] for path in (whole, resumed))
        assert all(torch.equal(expected[name], actual[name]) for name in expected), entry


def test_a_discriminator_waits_for_its_share_of_the_run(pictures: Path, tmp_path: Path) -> None:
    weights = []
    for number, judge in enumerate(("", "start = 0.9", "start = 0.0")):
        table = f'\n[discriminator]\njudges = "patches"\nweight = 1.0\n{judge}' if judge else ""
        (tmp_path / str(number)).mkdir()
        recipe = write_recipe(tmp_path / str(number), optim="steps = 3", loss=f"l1 = 1.0{table}")
        weights.append(read_checkpoint(train(recipe, pictures, tmp_path / str(number))[0])["network"])
    without, late, early = weights
    assert all(torch.equal(without[name], late[name]) for name in without)
    assert not all(torch.equal(without[name], early[name]) for name in without)


RECIPES = {
    "luma, SGD, adjustable clipping, several scales (VDSR)": {
        "arch": "vdsr",
        "model": "scales = [2, 3]\noptions = { features = 8, layers = 4 }",
        "optim": 'optimiser = "sgd"\nrate = 0.1\nclip_theta = 0.01\nschedule = "steps"\nsteps = 6',
        "loss": "mse = 1.0",
    },
    "recursive supervision (DRCN)": {"arch": "drcn", "model": "options = { features = 8, recursions = 3 }"},
    "gradient accumulation, norm clipping, bf16": {
        "optim": 'accumulate = 2\nclip = 1.0\nprecision = "bf16"\nsteps = 4'
    },
    "batch norm (SRResNet)": {"arch": "srresnet", "model": "options = { features = 8, blocks = 1 }"},
    "adversarial (SRGAN)": {
        "arch": "srgan",
        "model": "options = { features = 8, blocks = 1 }",
        "loss": 'l1 = 1.0\nfocal_frequency = 1.0\n[discriminator]\nkind = "relativistic"',
        "optim": "steps = 2",
    },
    "degraded inputs": {"data": 'degradation = "photo"\nvariants = 2', "loss": "mix = 1.0"},
}


@pytest.mark.parametrize("kind", RECIPES)
def test_every_kind_of_recipe_trains(kind: str, pictures: Path, tmp_path: Path) -> None:
    checkpoint, seen = train(write_recipe(tmp_path, **RECIPES[kind]), pictures, tmp_path)
    assert np.isfinite(seen[-1].loss)
    assert seen[-1].psnr_y > 5
    load_trained(checkpoint)


def test_the_same_seed_gives_the_same_batch_and_another_step_another(pictures: Path) -> None:
    bank = open_bank([pictures / "train"], scale=2, cache=pictures / "cache")
    first, again, later = (bank.batch(seed=1, step=step, count=3, patch_px=16)[0] for step in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)


def test_low_and_high_crops_show_the_same_place(pictures: Path) -> None:
    from sr_train.imresize import imresize

    bank = open_bank([pictures / "train"], scale=2, cache=pictures / "cache")
    low, high = bank.batch(seed=2, step=0, count=8, patch_px=24)
    for small, large in zip(low, high, strict=True):
        inner = (slice(4, -4), slice(4, -4))
        off = np.abs(imresize(large, 1 / 2)[inner].astype(int) - small[inner])
        assert off.mean() < 0.5  # a quarter turn swaps the two rounded passes of imresize


def test_a_warm_start_takes_the_body_and_leaves_the_tail(pictures: Path, tmp_path: Path) -> None:
    checkpoint, _ = train(write_recipe(tmp_path), pictures, tmp_path)
    at_x4 = build_network("house", scale=4, channels=8, convs=2)
    tail = at_x4.tail[0].weight.clone()  # type: ignore[index, union-attr]
    taken = warm_start(at_x4, checkpoint)
    assert taken == len(at_x4.state_dict()) - 2
    assert torch.equal(at_x4.tail[0].weight, tail)  # type: ignore[index, union-attr]
    with pytest.raises(BadInput, match="fits"):
        warm_start(build_network("espcn", scale=2), checkpoint)


def test_a_finished_training_ships_as_a_model_file(pictures: Path, tmp_path: Path) -> None:
    checkpoint, seen = train(write_recipe(tmp_path), pictures, tmp_path)
    spec = ship_checkpoint(checkpoint, tmp_path / "tiny.onnx", data_root=pictures, sets=[str(pictures / "val")])
    assert spec == read_spec(tmp_path / "tiny.onnx")
    assert (spec.name, spec.scale, spec.color_space, spec.halo_px) == ("tiny-x2", 2, "rgb", 4)
    assert spec.psnr_y["val"] == pytest.approx(seen[-1].psnr_y, abs=0.02)
    assert "6 steps" in spec.training


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"data": 'degradation = "vhs"'}, "vhs"),
        ({"data": "copies = [0.01]"}, "small"),
        ({"optim": "steps = 0"}, "steps"),
        ({"optim": "steps = 3\nspeed = 9"}, "speed"),
        ({"optim": 'optimiser = "magic"\nsteps = 1'}, "magic"),
        ({"loss": "beauty = 1.0"}, "beauty"),
        ({"arch": "resnet-5000"}, "resnet-5000"),
        ({"optim": "rate = 1e30\nwarm_up_steps = 1\nsteps = 30"}, "loss is"),
        ({"optim": 'warm_start = "nowhere.pt"\nsteps = 1'}, "nowhere.pt"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_its_reason(
    parts: dict[str, str], words: str, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=words):
        train(write_recipe(tmp_path, **parts), pictures, tmp_path)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(BadInput, match="no training images"):
        train(write_recipe(tmp_path), tmp_path, tmp_path)


def test_missing_validation_images_are_refused_before_training_and_lose_nothing_later(
    pictures: Path, tmp_path: Path
) -> None:
    shutil.copytree(pictures / "train", tmp_path / "train")
    recipe = write_recipe(tmp_path, optim="steps = 2")
    with pytest.raises(BadInput, match="no images in"):
        train(recipe, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()

    shutil.copytree(pictures / "val", tmp_path / "val")
    with pytest.raises(BadInput, match="no images in"):
        run_training(
            read_config(recipe),
            out=tmp_path / "out",
            cache=tmp_path / "cache",
            data_root=tmp_path,
            save_every_seconds=-1,
            report=lambda progress: shutil.rmtree(tmp_path / "val"),
        )
    assert read_checkpoint(tmp_path / "out/tiny-x2.pt")["step"] == 2


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(BadInput, match=r"junk\.pt"):
        read_checkpoint(tmp_path / "junk.pt")
