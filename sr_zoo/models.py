"""The models that come with srvid, found by name and scale. No torch: one JSON per file is read, nothing
is run.

sr_zoo/weights/clear-x4.onnx        name-xSCALE; its ModelSpec travels inside
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from sr_core.errors import NotAvailable
from sr_core.model_spec import ModelSpec, read_spec

DEFAULT_MODEL = "clear"


@dataclass(frozen=True, kw_only=True)
class ShippedModel:
    """One file of the wheel."""

    path: Path
    spec: ModelSpec

    @property
    def family(self) -> str:
        """The name without its scale: 'clear' of 'clear-x4'."""
        return self.spec.name.rpartition("-x")[0]


def weights_dir() -> Path:
    """Where the shipped models are."""
    with as_file(files("sr_zoo") / "weights") as folder:
        return folder


@cache
def shipped_models() -> tuple[ShippedModel, ...]:
    """Every shipped model, by name."""
    paths = sorted(weights_dir().glob("*.onnx"))
    return tuple(ShippedModel(path=path, spec=read_spec(path)) for path in paths)


def find_model(name: str, *, scale: int | None = None) -> Path:
    """The file of a shipped model: 'clear-x4', or 'clear' with scale=4.

    Raises:
        NotAvailable: no such model; the hint lists what there is.
    """
    names = shipped_names()
    full = name if scale is None or name in names else f"{name}-x{scale}"
    if full in names:
        return weights_dir() / f"{full}.onnx"
    scales = [known for known in names if known.rpartition("-x")[0] == name]
    if scales and scale is None:
        raise NotAvailable(f"model {name!r} needs a scale", hint=f"choose one of: {', '.join(scales)}")
    raise NotAvailable(f"no model {full!r} is shipped", hint=f"choose one of: {', '.join(scales or names)}")


def shipped_names() -> tuple[str, ...]:
    """File names without suffix; no file is opened."""
    return tuple(sorted(path.stem for path in weights_dir().glob("*.onnx")))
