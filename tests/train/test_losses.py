"""Every loss: zero for equals, positive else, with a gradient that leads towards the target."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sr_core.errors import BadInput
from sr_train.config import DiscriminatorConfig
from sr_train.discriminators import Discriminator, PatchJudge
from sr_train.losses import LOSSES, make_loss
from sr_train.vgg import Vgg19, load_vgg, patch_grams

ZERO = dict.fromkeys(LOSSES, 1e-06) | {"charbonnier": 1.1e-3}  # its floor is its epsilon


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_zero_for_equal_images_and_positive_else(name: str) -> None:
    torch.manual_seed(1)
    image = torch.rand(2, 3, 48, 48)
    assert abs(float(LOSSES[name](image, image))) < ZERO[name]
    assert float(LOSSES[name](image, torch.rand(2, 3, 48, 48))) > 0.01


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_down_the_gradient_lowers_the_loss(name: str) -> None:
    torch.manual_seed(2)
    target = torch.rand(1, 3, 32, 32).repeat(2, 1, 1, 1)  # two frames of a still, for the loss of that name
    start = (target + 0.1 * torch.randn_like(target)).requires_grad_()
    before = LOSSES[name](start, target)
    before.backward()
    assert start.grad is not None
    step = 1e-3 * start.grad / start.grad.abs().max()
    assert LOSSES[name]((start - step).detach(), target).item() < before.item()


def test_a_recipe_adds_its_losses_by_weight() -> None:
    a, b = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    total = make_loss({"l1": 2.0, "mse": 3.0})(a, b)
    assert float(total) == pytest.approx(2 * float(LOSSES["l1"](a, b)) + 3 * float(LOSSES["mse"](a, b)))


def test_an_unknown_loss_is_refused_with_the_list() -> None:
    with pytest.raises(BadInput) as refusal:
        make_loss({"beauty": 1.0})
    assert "focal_frequency" in refusal.value.hint


def test_a_perceptual_loss_without_weights_says_what_to_provide() -> None:
    with pytest.raises(BadInput, match="VGG19") as refusal:
        make_loss({"perceptual": 1.0})
    assert "vgg =" in refusal.value.hint


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(Vgg19().state_dict(), path)
    return path


def test_feature_losses_work_with_the_users_weights(vgg_file: Path) -> None:
    loss = make_loss({"perceptual": 1.0, "texture": 1.0}, vgg=str(vgg_file))
    a, b = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    assert float(loss(a, a)) == 0
    assert float(loss(a, b)) > 0


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(BadInput, match="does not hold VGG19"):
        load_vgg(str(tmp_path / "other.pth"))


def test_grams_ignore_where_in_a_patch_a_texture_is() -> None:
    texture = torch.rand(1, 4, 16, 16)
    moved = texture.roll((3, 5), dims=(2, 3))
    assert torch.allclose(patch_grams(texture), patch_grams(moved), atol=1e-5)


@pytest.mark.parametrize("judges", ["pixels", "patches"])
@pytest.mark.parametrize("kind", ["standard", "relativistic"])
def test_a_discriminator_learns_to_tell_noise_from_flat(kind: str, judges: str) -> None:
    torch.manual_seed(4)
    config = DiscriminatorConfig(kind=kind, judges=judges, weight=1.0, rate=1e-3)
    discriminator = Discriminator(config, planes=3, vgg="", device=torch.device("cpu"))
    made, real = torch.full((4, 3, 32, 32), 0.5), torch.rand(4, 3, 32, 32)
    losses = [discriminator.learn(made, real) for _ in range(8)]
    assert losses[-1] < losses[0]
    assert discriminator.generator_loss(made, real).item() > discriminator.generator_loss(real, real).item()


def test_what_the_generator_asks_teaches_the_judge_nothing() -> None:
    config = DiscriminatorConfig(kind="relativistic", judges="patches", weight=1.0)
    discriminator = Discriminator(config, planes=3, vgg="", device=torch.device("cpu"))
    made = torch.full((2, 3, 32, 32), 0.5, requires_grad=True)
    discriminator.generator_loss(made, torch.rand(2, 3, 32, 32)).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in discriminator.judge.parameters())


def test_a_judge_of_patches_sees_38_pixels_around() -> None:
    images = torch.rand(1, 3, 128, 128, requires_grad=True)
    PatchJudge(planes=3)(images)[0, 0, 8, 8].backward()
    assert images.grad is not None
    assert (images.grad.abs().sum(dim=(0, 1, 2)) > 0).sum() == 38


def test_a_discriminator_of_features_needs_vgg_and_works_with_it(vgg_file: Path) -> None:
    config = DiscriminatorConfig(judges="features")
    with pytest.raises(BadInput, match="VGG19"):
        Discriminator(config, planes=3, vgg="", device=torch.device("cpu"))
    discriminator = Discriminator(config, planes=3, vgg=str(vgg_file), device=torch.device("cpu"))
    assert discriminator.learn(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)) > 0


def test_chroma_l1_sees_color_and_gradient_sees_edges_but_no_brightness() -> None:
    truth = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    red = truth + torch.tensor([0.1, 0.0, 0.0]).view(1, 3, 1, 1)
    chroma, gradient = (make_loss({name: 1.0}) for name in ("chroma_l1", "gradient"))
    assert float(chroma(truth + 0.1, truth)) < 1e-6  # brighter, no other color
    assert float(chroma(red, truth)) == pytest.approx((0.0299 / 1.772 + 0.0701 / 1.402) / 2, rel=1e-3)
    assert float(gradient(red, truth)) < 1e-6
    assert float(gradient(truth.flip(-1), truth)) > 0.05
