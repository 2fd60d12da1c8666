"""From a finished training to a model file: export the averaged weights, measure them, write both into one
ONNX."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from torch import nn

from sr_core.errors import BadInput, message_of
from sr_core.model_spec import ModelSpec, load_model, read_spec, with_spec
from sr_core.storage import write_atomically
from sr_train.checkpoints import read_checkpoint
from sr_train.evaluation import evaluate
from sr_train.recipes import find_warm_start
from sr_zoo.archs.registry import build_network, find_arch
from sr_zoo.export import export_model

LICENCE = "Apache-2.0"
BORDER_PX = 4  # flat colors of 8 bits then change by 1 code at most at the border, by up to 16 without (house)
DEEP_BORDER_PX = {"restore": 8, "vivid": 8}  # twice as deep: 1.4 codes with 4


def load_trained(checkpoint: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a checkpoint with its averaged weights, and the checkpoint's config.

    Raises:
        BadInput: not a checkpoint of `srkit train`.
    """
    saved = read_checkpoint(checkpoint)
    try:
        config: dict[str, Any] = json.loads(saved["config"])
        model = config["model"]
        options = model["options"]
        network = build_network(model["arch"], scale=model["scale"], color_space=model["color_space"], **options)
        network.load_state_dict(saved["average"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise BadInput(f"{checkpoint} does not fit its own recipe: {message_of(error)}") from error
    model["color_space"] = model["color_space"] or find_arch(model["arch"]).color_space
    config["steps_done"], config["seconds"] = saved["step"], saved["seconds"]
    return network, config


def ship_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    data_root: Path,
    sets: Sequence[str] = ("set5", "set14"),
    history: str = "",
) -> ModelSpec:
    """Write the checkpoint's averaged weights as `out`, with measured PSNR and the credits of its training
    images.

    Args:
        history: what came before this run, e.g. 'after 8,000 steps in 13 minutes: '.
    """
    network, config = load_trained(checkpoint)
    model, data = config["model"], config["data"]
    before = _trained_before(config)
    folders = tuple(dict.fromkeys((*data["folders"], *before)))
    spec = ModelSpec(
        name=model["name"],
        scale=model["scale"],
        color_space=model["color_space"],
        border_px=DEEP_BORDER_PX.get(model["arch"], BORDER_PX),
        keeps_gray=model["color_space"] == "rgb",
        licence=LICENCE,
        training=f"{history}{_training_sentence(config)}",
        trained_on=folders,
        attributions=attributions(data_root, folders, () if before else data.get("held_back", ())),
    )
    written = export_model(network, spec, out)
    measured = evaluate(out, sets=sets, data_root=data_root)
    final = replace(written, psnr_y={Path(one.test_set).name.lower(): round(one.mean("psnr_y"), 2) for one in measured})
    write_atomically(out, with_spec(load_model(out), final).SerializeToString())
    return final


def _trained_before(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The folders that the model was trained on which this run started from; none of a checkpoint or from scratch."""
    source = find_warm_start(config["optim"]["warm_start"]) if config["optim"]["warm_start"] else None
    return read_spec(source).trained_on if source is not None and source.suffix == ".onnx" else ()


def _training_sentence(config: Mapping[str, Any]) -> str:
    model, data, optim = config["model"], config["data"], config["optim"]
    options = ", ".join(f"{key} {value}" for key, value in model["options"].items())
    crops = f"{config['steps_done']:,} steps of {data['batch']} crops of {data['patch_px']} px"
    parts = (options, crops, optim["optimiser"], _source(data), f"{config['seconds'] / 60:.0f} minutes")
    return ", ".join(part for part in parts if part)


def _source(data: Mapping[str, Any]) -> str:
    if not data.get("clips"):
        return str(data["degradation"])
    scenes = f" ({data['scenes']:.0%} of drawn scenes)" if data.get("scenes") else ""
    return f"{data['clips']:,} coded clips{scenes}"


def attributions(data_root: Path, folders: Sequence[str], held_back: Sequence[str] = ()) -> tuple[str, ...]:
    """'N images: licence' for each licence among the training images, from the data's manifest."""
    manifest = data_root / "manifest.csv"
    if not manifest.exists():
        return ()
    counts: dict[str, int] = {}
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            is_held_back = any(fnmatch(Path(row["file"]).name, pattern) for pattern in held_back)
            if not is_held_back and any(row["file"].startswith(f"{folder}/") for folder in folders):
                counts[row["licence"]] = counts.get(row["licence"], 0) + 1
    ordered = sorted(counts.items(), key=lambda entry: -entry[1])
    return tuple(f"{count} images: {licence}" for licence, count in ordered)
