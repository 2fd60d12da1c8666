"""Every network is the one its paper describes: its size says so."""

from __future__ import annotations

import pytest
import torch

from sr_core.errors import BadInput
from sr_zoo.archs.registry import ARCHS, build_network
from sr_zoo.archs.srgan import SrganDiscriminator

# (network, scale) -> count, what is counted ('kernels': convolution weights only), source
COUNTS = {
    ("srcnn-915", 3): (8_032, "kernels", "Dong 2016 TPAMI, section 4.3.2"),
    ("srcnn-935", 3): (24_416, "kernels", "Dong 2016 TPAMI, section 4.3.2"),
    ("srcnn", 3): (57_184, "kernels", "Dong 2016 TPAMI, section 4.3.2"),
    ("fsrcnn", 3): (12_464, "kernels", "Dong 2016 ECCV, Table 1"),
    ("fsrcnn-s", 3): (3_937, "kernels", "Dong 2016 ECCV, section 4.3"),
    ("espcn", 3): (22_624, "kernels", "the layers of Shi 2016, section 3.1"),
    ("vdsr", 2): (665_921, "all", "the layers of Kim 2016; 665 K in Tai 2017, Table 2"),
    ("drcn", 2): (1_774_080, "kernels", "1,774 K in Tai 2017, Table 2"),
    ("drrn-b1u9", 2): (297_216, "kernels", "297 K in Tai 2017, Table 2"),
    ("drrn-b1u25", 2): (297_216, "kernels", "297 K in Tai 2017, Table 2"),
    ("srresnet", 4): (1_542_528, "kernels", "1,543 K in Ahn 2018, Table 1"),
    ("srgan", 4): (1_542_528, "kernels", "its generator is SRResNet"),
    ("edsr-baseline", 2): (1_369_859, "all", "Lim 2017, authors' code"),
    ("edsr-baseline", 3): (1_554_499, "all", "Lim 2017, authors' code"),
    ("edsr-baseline", 4): (1_517_571, "all", "Lim 2017, authors' code"),
    ("edsr", 4): (43_089_923, "all", "43 M in Lim 2017, Table 1"),
    ("mdsr", 4): (7_953_987, "all", "8.0 M in Lim 2017, Table 1"),
    ("rdn", 2): (22_123_395, "all", "22,123 K in Li 2019, Table 3"),
    ("memnet", 2): (676_992, "kernels", "677 K in Tai 2017 ICCV, section 5"),
    ("enhancenet", 4): (852_867, "all", "the layers of Sajjadi 2017, Table 1"),
    ("esrgan", 4): (16_697_987, "all", "Wang 2018, authors' code"),
    ("rcan", 4): (15_592_355, "all", "Zhang 2018, authors' code, which counts 24 fixed colour offsets more"),
    ("swift", 4): (21_440, "all", "house, 16 features and 8 convolutions"),
    ("clear", 4): (88_752, "all", "house, 32 features and 8 convolutions"),
    ("fine", 4): (620_336, "all", "house, 64 features and 16 convolutions"),
    ("vivid", 4): (321_808, "all", "restore with 32 convolutions, and 9,232 weights for color around"),
}


@pytest.mark.parametrize(("name", "scale"), COUNTS)
def test_a_network_has_as_many_parameters_as_its_source_says(name: str, scale: int) -> None:
    expected, counted, source = COUNTS[name, scale]
    with torch.device("meta") if name in ("edsr", "rdn", "mdsr") else torch.device("cpu"):
        parameters = list(build_network(name, scale=scale).parameters())
    chosen = [one for one in parameters if counted == "all" or one.ndim == 4]
    assert sum(one.numel() for one in chosen) == expected, source


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_an_interpolation_has_nothing_to_train(name: str) -> None:
    assert not list(build_network(name, scale=3).parameters())


def test_every_network_of_the_table_says_where_it_comes_from() -> None:
    assert all(arch.figure for arch in ARCHS.values())


def test_an_unknown_network_is_refused_with_the_list() -> None:
    with pytest.raises(BadInput) as refusal:
        build_network("resnet-5000", scale=2)
    assert "edsr-baseline" in refusal.value.hint


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="color_of_the_sky"):
        build_network("vdsr", scale=2, color_of_the_sky="blue")


def test_the_discriminator_judges_any_patch_size() -> None:
    judge = SrganDiscriminator(features=8).eval()
    for side in (32, 96):
        assert judge(torch.rand(2, 3, side, side)).shape == (2, 1)
