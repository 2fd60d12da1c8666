"""Weights to start a training from: another run's checkpoint, or a model file of ours, a shipped one by its name.

"runs/restore-x4/restore-x4.pt"    averaged weights of a run
"restore-x4", "mine.onnx"          the same weights, read back out of the exported graph
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from sr_core.errors import BadInput
from sr_core.model_spec import load_model
from sr_train.checkpoints import read_checkpoint
from sr_zoo.archs.restore import Restore


def warm_start(network: nn.Module, path: Path) -> int:
    """Take every weight that fits by name and shape; return how many did.

    Raises:
        BadInput: not readable, or none fits; an exported network with slopes (PReLU: swift).
    """
    saved = _exported_weights(path) if path.suffix == ".onnx" else read_checkpoint(path)["average"]
    own = network.state_dict()
    fitting = {name for name in own if name in saved and saved[name].shape == own[name].shape}
    if not fitting:
        raise BadInput(f"no weight of {path.name} fits this network", hint="check optim.warm_start")
    network.load_state_dict({name: saved[name] if name in fitting else own[name] for name in own})
    return len(fitting)


def _exported_weights(path: Path) -> dict[str, Tensor]:
    """The initializers by the names that the network gave them; of restore, unfolded."""
    from onnx import numpy_helper

    graph = load_model(path).graph
    if any(node.op_type == "PRelu" for node in graph.node):
        raise BadInput(
            f"the slopes in {path.name} have lost their names in the export", hint="start from the .pt of its training"
        )
    constants = {entry.name: numpy_helper.to_array(entry).copy() for entry in graph.initializer}
    weights = {name: torch.from_numpy(value) for name, value in constants.items() if value.dtype == "float32"}
    is_restore = {"direct", "mixed", "color.weight", "tail.weight"} <= weights.keys()
    return Restore.unfolded(weights) if is_restore else weights
