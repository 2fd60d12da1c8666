"""The models that have names: those that come with srvid, and those that were imported under one. No torch.

sr_zoo/weights/clear-x4.onnx        shipped: name-xSCALE; its ModelSpec travels inside
$SRVID_MODELS/my-anime.onnx         imported: `srkit models import FILE --name my-anime`
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from sr_core.errors import BadInput, NotAvailable
from sr_core.model_spec import ModelSpec, read_spec
from sr_core.wording import closest

DEFAULT_MODEL = "clear"
LIBRARY_VARIABLE = "SRVID_MODELS"  # overrides the folder of imported models
PURPOSES = {  # of the shipped families, in the order in which people choose
    "clear": "photos and video, clean",
    "restore": "video, compressed",
    "anime": "drawings, compressed",
    "vivid": "blocky video, as if painted",
    "clear-restore": "photos and video, compressed",
    "swift": "fast previews, live video",
    "subpixel-rgb": "reference, Shi 2016",
    "espcn": "reference, Shi 2016 (luma)",
    "fsrcnn": "reference, Dong 2016 (luma)",
    "srcnn": "reference, Dong 2014 (luma)",
}


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """One file that has a name."""

    path: Path
    spec: ModelSpec
    is_shipped: bool

    @property
    def family(self) -> str:
        """The name without its scale: 'clear' of 'clear-x4'."""
        return family_of(self.spec.name)

    @property
    def purpose(self) -> str:
        """What it is for; '' where nobody said."""
        return self.spec.purpose or PURPOSES.get(self.family, "")


def family_of(name: str) -> str:
    """'clear' of 'clear-x4'; a name that states no scale is its own family."""
    return re.sub(r"-x\d+$", "", name)


def weights_dir() -> Path:
    """Where the shipped models are."""
    with as_file(files("sr_zoo") / "weights") as folder:
        return folder


def library_dir() -> Path:
    """Where imported models are kept: not in the cache, which anyone may empty."""
    if override := os.environ.get(LIBRARY_VARIABLE):
        return Path(override)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "srvid" / "models"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "srvid" / "models"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "srvid" / "models"


@cache
def shipped_models() -> tuple[NamedModel, ...]:
    """Every shipped model, by name."""
    paths = sorted(weights_dir().glob("*.onnx"))
    return tuple(NamedModel(path=path, spec=read_spec(path), is_shipped=True) for path in paths)


def named_models() -> tuple[NamedModel, ...]:
    """Every model that has a name, by purpose: shipped families as people choose them, then the imported ones."""
    imported = [
        NamedModel(path=path, spec=read_spec(path), is_shipped=False) for path in sorted(library_dir().glob("*.onnx"))
    ]
    order = list(PURPOSES)

    def place(model: NamedModel) -> tuple[int, str, int]:
        known = order.index(model.family) if model.is_shipped and model.family in order else len(order)
        return known, model.purpose if not model.is_shipped else model.family, model.spec.scale

    return tuple(sorted((*shipped_models(), *imported), key=place))


def find_model(name: str, *, scale: int | None = None) -> Path:
    """The file of a named model: 'clear-x4', or 'clear' with scale=4.

    Raises:
        NotAvailable: no such model; the hint lists what there is.
    """
    names = known_names()
    if (own := name.removeprefix("openmodeldb:")) in names:
        name = own
    full = name if scale is None or name in names else f"{name}-x{scale}"
    if full in names:
        shipped = weights_dir() / f"{full}.onnx"
        return shipped if shipped.exists() else library_dir() / f"{full}.onnx"
    if name.startswith("openmodeldb:"):
        raise NotAvailable(
            f"{name} is not here, and nothing is downloaded unasked", hint=f"srkit models get {name.partition(':')[2]}"
        )
    scales = [known for known in names if family_of(known) == name]
    if scales and scale is None:
        raise NotAvailable(f"model {name!r} needs a scale", hint=f"choose one of: {', '.join(scales)}")
    raise NotAvailable(
        f"no model is called {full!r}", hint=f"{closest(full, names)}choose one of: {', '.join(scales or names)}"
    )


def scales_of_family(family: str) -> tuple[int, ...]:
    """The scales in which 'clear' is here, as 'clear-xN'."""
    found = [re.fullmatch(re.escape(family) + r"-x(\d+)", name) for name in known_names()]
    return tuple(sorted(int(match[1]) for match in found if match))


def shipped_names() -> tuple[str, ...]:
    """File names without suffix; no file is opened."""
    return tuple(sorted(path.stem for path in weights_dir().glob("*.onnx")))


def known_names() -> tuple[str, ...]:
    """The same with the imported ones."""
    return (*shipped_names(), *sorted(path.stem for path in library_dir().glob("*.onnx")))


def families() -> tuple[str, ...]:
    """Names without their scales, for lists to choose from: ours as people choose them, then the imported ones."""
    known = list(dict.fromkeys(family_of(name) for name in known_names()))
    order = list(PURPOSES)
    return tuple(sorted(known, key=lambda name: (order.index(name) if name in order else len(order), name)))


def check_name(name: str) -> str:
    """`name`, if a model may be called so.

    Raises:
        BadInput: it could be taken for a file, a list, or a shipped model.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", name) or name.lower().endswith((".onnx", ".pth")):
        raise BadInput(
            f"a model cannot be called {name!r}", hint="letters, digits, '.', '_', '+' and '-', such as my-anime-x2"
        )
    if name in shipped_names() or family_of(name) in {family_of(shipped) for shipped in shipped_names()}:
        raise BadInput(f"{name!r} is a model that comes with srvid", hint="choose another name")
    return name
