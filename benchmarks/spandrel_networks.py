# ruff: noqa: C408  # the keywords of constructors
"""One small network of each of spandrel's architectures, with random weights, as files people would have.

python benchmarks/spandrel_networks.py FOLDER       writes FOLDER/ARCHITECTURE.pth

Sizes are the least that spandrel recognizes and a CPU runs at once: what is tested is every operator of an
architecture, not its quality. Left out: LaMa (fills holes, needs a mask), GFPGAN, RestoreFormer (faces of
512x512), AuraSR (needs noise), IPT (several heads, one of which has to be chosen).
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

SMALL: dict[str, dict[str, Any]] = {
    "ATD": dict(
        embed_dim=24, depths=(2,), num_heads=(2,), window_size=8, category_size=32, num_tokens=8, reducted_dim=4,
        upscale=2, upsampler="pixelshuffledirect",
    ),
    "CRAFT": dict(embed_dim=48, depths=[2], num_heads=[2], upscale=2),
    "Compact": dict(num_feat=16, num_conv=4, upscale=2),
    "DAT": dict(
        embed_dim=60, split_size=[8, 16], depth=[2], num_heads=[2], expansion_factor=2.0, upscale=2,
        upsampler="pixelshuffledirect",
    ),
    "DCTLSA": dict(nf=20, num_modules=6, upscale=2),
    "DITN": dict(dim=24, ITL_blocks=1, SAL_blocks=1, UFONE_blocks=1, upscale=2),
    "DRCT": dict(
        embed_dim=24, depths=(6,), num_heads=(2,), img_size=48, window_size=12, upscale=2,
        upsampler="pixelshuffle", gc=8,
    ),
    "DRUNet": dict(in_nc=4, out_nc=3, nc=[16, 16, 16, 16], nb=2),
    "DnCNN": dict(in_nc=3, out_nc=3, nc=16, nb=10, act_mode="R"),
    "ESRGAN": dict(num_filters=16, num_blocks=1, scale=4),
    "ESRGAN x2plus": dict(in_nc=12, out_nc=3, num_filters=16, num_blocks=1, scale=4, shuffle_factor=2),
    "FBCNN": dict(nb=2),
    "FDAT": dict(
        scale=2, embed_dim=24, num_groups=1, depth_per_group=2, num_heads=2, mid_dim=16, upsampler_type="pixelshuffle"
    ),
    "FFTformer": dict(dim=16, num_blocks=[1, 1, 1], num_refinement_blocks=1),
    "GRL": dict(
        embed_dim=32, upscale=2, upsampler="pixelshuffledirect", depths=[2], num_heads_window=[2],
        num_heads_stripe=[2], mlp_ratio=2.0,
    ),
    "HAT": dict(
        compress_ratio=2, squeeze_factor=4, embed_dim=60, depths=(2,), num_heads=(2,), window_size=16, upscale=2
    ),
    "HVICIDNet": dict(channels=[12, 12, 24, 48]),
    "KBNet_s": dict(width=16, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
    "MMRealSR": dict(num_in_ch=3, num_out_ch=3, scale=4, num_feat=16, num_block=1, num_grow_ch=8),
    "MixDehazeNet": dict(embed_dims=[16, 32, 48, 32, 16]),
    "MoESR": dict(scale=2, dim=16, n_blocks=1, n_block=1),
    "MoSR": dict(upscale=2, n_block=2, dim=16),
    "NAFNet": dict(width=16, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
    "OmniSR": dict(num_feat=32, block_num=1, res_num=1, up_scale=2),
    "PLKSR": dict(dim=16, n_blocks=2, upscaling_factor=2),
    "RealPLKSR": dict(dim=16, n_blocks=2, upscaling_factor=2),
    "RCAN": dict(scale=2, n_resgroups=1, n_resblocks=2, n_feats=16),
    "RGT": dict(embed_dim=60, depth=[2], num_heads=[2], mlp_ratio=2.0, upscale=2, split_size=[8, 32]),
    "UpCunet2x": {},
    "RetinexFormer": dict(n_feat=16, stage=1),
    "SAFMN": dict(dim=16, n_blocks=2, upscaling_factor=2),
    "SAFMNBCIE": dict(dim=16, n_blocks=2, num_layers=2, upscaling_factor=2),
    "SCUNet": dict(config=[1] * 7, dim=64),
    "SPAN": dict(num_in_ch=3, num_out_ch=3, feature_channels=16, upscale=2),
    "SeemoRe": dict(scale=2, num_layers=2, embedding_dim=24, num_experts=3),
    "SwiftSRGAN": dict(num_channels=16, num_blocks=2, upscale_factor=2),
    "Swin2SR": dict(
        embed_dim=24, depths=[2], num_heads=[2], window_size=8, mlp_ratio=2.0, upscale=2,
        upsampler="pixelshuffledirect",
    ),
    "SwinIR": dict(
        embed_dim=24, depths=[2], num_heads=[2], img_size=56, window_size=7, mlp_ratio=2.0, upscale=2,
        upsampler="pixelshuffledirect",
    ),
    "Uformer": dict(embed_dim=16, depths=[1] * 9, win_size=8),
}  # fmt: skip


def network_named(name: str) -> nn.Module:
    """A small one with random weights, the same every time; `name` begins with its class's."""
    import spandrel.architectures

    for module in pkgutil.iter_modules(spandrel.architectures.__path__):
        if module.name.startswith("_"):
            continue
        found = getattr(importlib.import_module(f"spandrel.architectures.{module.name}"), name.split()[0], None)
        if inspect.isclass(found) and issubclass(found, nn.Module):
            torch.manual_seed(1)
            network: nn.Module = found(**SMALL[name]).eval()
            with torch.no_grad():
                for weight in network.parameters():
                    if weight.ndim == 1 and weight.numel() and not weight.abs().max():
                        weight.normal_(0, 0.02)  # a bias of nothing hides what a bias does
            return network
    raise KeyError(name)


def write_files(folder: Path, names: tuple[str, ...] = tuple(SMALL)) -> list[Path]:
    """FOLDER/NAME.pth for each."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in names:
        paths.append(folder / f"{name}.pth")
        torch.save(network_named(name).state_dict(), paths[-1])
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=list(SMALL), metavar="ARCHITECTURE")
    asked = parser.parse_args()
    write_files(asked.folder, tuple(asked.names))
