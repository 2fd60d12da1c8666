"""From a finished training to a model file: export the averaged weights, measure them, write both into one ONNX."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from sr_core.errors import BadInput
from sr_core.model_spec import ModelSpec, load_model, with_spec
from sr_core.storage import write_atomically
from sr_train.evaluation import evaluate
from sr_zoo.archs.registry import build_network
from sr_zoo.export import export_model

LICENCE = "Apache-2.0"


def load_trained(checkpoint: Path) -> tuple[nn.Module, dict[str, object]]:
    """The network of a checkpoint with its averaged weights, and the checkpoint's config.

    Raises:
        BadInput: not a checkpoint of `srkit train`.
    """
    try:
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        config = json.loads(saved["config"])
        model = config["model"]
        network = build_network(model["arch"], scale=model["scale"], colour=model["colour"], **model["options"])
        network.load_state_dict(saved["average"])
    except (OSError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise BadInput(f"{checkpoint} is not a checkpoint of srkit train: {error}") from error
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
    """Write the checkpoint's averaged weights as `out`, with measured PSNR and the credits of its training images.

    Args:
        history: what came before this run, e.g. 'started from clear-x2; '.
    """
    network, config = load_trained(checkpoint)
    model, data, optim = config["model"], config["data"], config["optim"]
    assert isinstance(model, dict)
    assert isinstance(data, dict)
    assert isinstance(optim, dict)
    seconds, steps = config["seconds"], config["steps_done"]
    assert isinstance(seconds, float | int)
    spec = ModelSpec(
        name=model["name"],
        scale=model["scale"],
        colour=model["colour"],
        licence=LICENCE,
        training=(
            f"{history}{model['arch']} {json.dumps(model['options'])}, {steps} steps of {data['batch']} crops of "
            f"{data['patch_px']} px, {optim['optimiser']}, {data['degradation']} degradation, "
            f"{seconds / 60:.0f} min on {'a GPU' if optim.get('device') == 'cuda' else '2 shared CPU cores'}"
        ),
        trained_on=tuple(data["folders"]),
        attributions=attributions(data_root, data["folders"]),
    )
    written = export_model(network, spec, out)
    measured = evaluate(out, sets=sets, data_root=data_root)
    final = replace(written, psnr_y={one.test_set: round(one.mean("psnr_y"), 2) for one in measured})
    write_atomically(out, with_spec(load_model(out), final).SerializeToString())
    return final


def attributions(data_root: Path, folders: Sequence[str]) -> tuple[str, ...]:
    """'N images: licence' for each licence among the training images, from the data's manifest."""
    manifest = data_root / "manifest.csv"
    if not manifest.exists():
        return ()
    counts: dict[str, int] = {}
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if any(row["file"].startswith(f"{folder}/") for folder in folders):
                counts[row["licence"]] = counts.get(row["licence"], 0) + 1
    ordered = sorted(counts.items(), key=lambda entry: -entry[1])
    return tuple(f"{count} images: {licence}" for licence, count in ordered)
