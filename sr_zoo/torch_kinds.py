"""What torch weights are that enlarge no picture: told from the tensors' names, before spandrel is loaded.

    ….lora_down.weight        a change to a diffusion model        spynet.…, 5-D kernels   several frames at once
    model.diffusion_model.…   a diffusion model                    stylegan_decoder.…      faces of 512x512
    optimizers, param_groups  what a training goes on with

spandrel calls all of them unknown; people who have one of these can be told what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sr_core.errors import BadModel

_PICTURES = "give a network that enlarges pictures: srkit models list, srkit models search WORD"
_KINDS: tuple[tuple[re.Pattern[str], str, str], ...] = (  # a name that only this kind has, what it is, what to do
    (
        re.compile(r"lora_(?:down|up|unet|te\d?|A|B)\b|lora_(?:unet|te\d?)_|\.lora\.(?:down|up)\."),
        "it is a LoRA, a change to a diffusion model, and no network by itself",
        _PICTURES,
    ),
    (
        re.compile(
            r"diffusion_model\.|time_embed(?:ding)?\.|\.transformer_blocks\.\d+\.attn\d\.to_q|double_blocks\.\d"
        ),
        "it is a diffusion model, which wants noise, steps and often text, not one picture",
        _PICTURES,
    ),
    (
        re.compile(r"stylegan_decoder\.|idx_pred_layer\.|quantize\.embedding\."),
        "it restores faces that were cut out at 512x512 (such as GFPGAN or CodeFormer), not whole pictures",
        _PICTURES,
    ),
    (
        re.compile(r"first_stage_model\.|(?:encoder|decoder)\.(?:up|down)_blocks\.|quant_conv\."),
        "it is the autoencoder of a diffusion model, which enlarges nothing",
        _PICTURES,
    ),
    (
        re.compile(r"\bspynet\.|(?:back|for)ward_(?:trunk|resblocks)\.|pcd_align|deform_align\.|\brecurrent_cell\."),
        "it is a video network (such as BasicVSR, EDVR or AnimeSR) that wants several frames at once",
        "srvid gives a network one frame at a time: give one for single pictures",
    ),
)
_TRAINING = {"optimizer", "optimizers", "optimizer_state_dict", "optimizer_states", "param_groups"}


def refuse_other_kinds(names: Iterable[str]) -> None:
    """Judge by the names alone: a file of gigabytes need not be read for that.

    Raises:
        BadModel: they are of a kind that enlarges no pictures.
    """
    names = tuple(names)
    for pattern, what, hint in _KINDS:
        if any(pattern.search(name) for name in names):
            raise BadModel(what, hint=hint)


def refuse_other_contents(loaded: Mapping[str, Any]) -> None:
    """The same for what `torch.load` gave: weights, or dictionaries of them beside other things.

    Raises:
        BadModel: it is no enlarger of pictures, or holds no weights.
    """
    held = {str(name): value for name, value in loaded.items()}
    for value in loaded.values():
        if isinstance(value, Mapping):
            held |= {str(name): inner for name, inner in value.items()}
    dims = {name: value.ndim for name, value in held.items() if hasattr(value, "ndim")}
    if _TRAINING & set(loaded) and not any(dims.values()):
        raise BadModel(
            "it is the state of an optimizer, which a training goes on with, and holds no network",
            hint="give the weights that were saved beside it, such as net_g_latest.pth",
        )
    refuse_other_kinds(held)
    if any(count == 5 and name.endswith("weight") for name, count in dims.items()):  # FFTformer has a `fft` of 5 axes
        raise BadModel(
            "its kernels reach over time: it wants several frames at once",
            hint="srvid gives a network one frame at a time: give one for single pictures",
        )
