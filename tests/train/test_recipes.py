"""The committed recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sr_train.config import read_config
from sr_train.losses import LOSSES
from sr_train.optimisers import make_optimisers, orthogonalise
from sr_zoo.archs.miniature import miniature
from sr_zoo.archs.registry import ARCHS, find_arch
from sr_zoo.models import shipped_names

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))
OPEN_SET = {"train/cid22", "train/photo640", "train/comic640", "train/vector"}
BASELINES = {"nearest", "bilinear", "bicubic", "lanczos"}
OVERFIT_DB = 45.0


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_recipe_reads_and_names_a_network_and_losses_that_exist(path: Path) -> None:
    config = read_config(path)
    find_arch(config.model.arch)
    assert set(config.loss) <= {*LOSSES, "perceptual", "texture"}
    assert config.model.name.endswith(f"-x{config.model.scale}")


def test_every_network_has_a_recipe() -> None:
    taught = {read_config(path).model.arch for path in CONFIGS}
    assert set(ARCHS) - taught - BASELINES - {"house"} == set()


def test_what_is_shipped_has_a_recipe_on_the_open_set() -> None:
    recipes = {config.model.name: config for config in map(read_config, CONFIGS)}
    for name in shipped_names():
        assert set(recipes[name].data.folders) <= OPEN_SET, name


def test_muons_step_has_singular_values_near_one() -> None:
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(32, 288)))
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3


@pytest.mark.parametrize("arch", ["swift", "espcn", "vdsr"])
def test_a_network_learns_one_batch_by_heart(arch: str) -> None:
    """`benchmarks/zoo_overfit.py` does this for every network at its own size."""
    torch.manual_seed(2)
    planes = 1 if ARCHS[arch].color_space == "y" else 3
    network = miniature(arch)
    smooth = torch.nn.functional.interpolate(torch.rand(1, planes, 5, 5), size=(16, 16), mode="bicubic")
    lr = torch.nn.functional.avg_pool2d(smooth, 2)
    config = read_config(CONFIGS[0]).optim
    optimisers = make_optimisers(network, config)
    error = torch.tensor(1.0)
    for step in range(600):
        error = (network(lr) - smooth).square().mean()
        for optimiser in optimisers:
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = group.setdefault("peak", group["lr"]) * (1 - step / 600)
        error.backward()
        for optimiser in optimisers:
            optimiser.step()
        if -10 * torch.log10(error.detach()) > OVERFIT_DB:
            return
    pytest.fail(f"{-10 * torch.log10(error.detach()):.1f} dB after 600 steps")
