"""Recipes by name, and on whatever pictures somebody has.

    find_recipe("clear-x4")        the one that comes with srvid, or a file
    adapt(config, root, out)       the same recipe, where its folders, test set, warm start or compiler are not here

Set5 and the others that the papers measure on are not srvid's to pass on; docs/training.md says where they are.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from sr_core.errors import BadInput
from sr_core.wording import closest
from sr_train.compiler import has_compiler
from sr_train.config import TrainConfig
from sr_train.images import SUFFIXES
from sr_zoo.models import find_model, shipped_names

_HELD_OUT_SHARE = 10  # one picture of so many is measured on
_MOST_HELD_OUT = 12  # measuring must stay short beside training
_TRAIN, _VALIDATE = "train", "validate"


def recipe_folder() -> Path:
    """Where the recipes are: inside the package once installed, in configs/ of a checkout."""
    packaged = Path(__file__).parent / "recipes"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "configs"


def recipe_names() -> tuple[str, ...]:
    """Every recipe that comes with srvid."""
    return tuple(sorted(path.stem for path in recipe_folder().glob("*.toml")))


def find_recipe(name: str) -> Path:
    """A file, or a recipe of ours by name: 'clear-x4'.

    Raises:
        BadInput: neither.
    """
    if Path(name).is_file():
        return Path(name)
    if name in recipe_names():
        return recipe_folder() / f"{name}.toml"
    guess = closest(name, recipe_names())
    raise BadInput(f"no recipe {name!r}", hint=f"{guess}give a .toml file, or one of: {', '.join(recipe_names())}")


def find_warm_start(source: str) -> Path | None:
    """The file that `optim.warm_start` means; None where it is not here."""
    if source in shipped_names():
        return find_model(source)
    return Path(source) if Path(source).exists() else None


def adapt(config: TrainConfig, root: Path, out: Path) -> tuple[TrainConfig, Path, list[str]]:
    """What of `config` can be done here: (config, data root, what was changed, in words).

    Where `root` holds the recipe's folders and its test set, these are taken. Otherwise `root` is a plain
    folder of pictures: one in ten is held out to measure on, and `out`/data holds links to both parts.

    Raises:
        BadInput: no pictures, or too few to hold one out.
    """
    notes = []
    if config.optim.warm_start and find_warm_start(config.optim.warm_start) is None:
        notes.append(f"trains from scratch: {config.optim.warm_start} is not here")
        config = replace(config, optim=replace(config.optim, warm_start=""))
    if config.optim.compiled and not has_compiler():
        notes.append("not compiled, a third slower: no C++ compiler is here")
        config = replace(config, optim=replace(config.optim, compiled=False))
    data = config.data
    has_folders = any((root / folder).is_dir() for folder in data.folders)
    if has_folders and (root / data.validate).is_dir():
        return config, root, notes
    folders = [root / folder for folder in data.folders if (root / folder).is_dir()] or [root]
    trained, held_out = _split(folders)
    place = out / "data"
    _link(trained, place / _TRAIN)
    _link(held_out, place / _VALIDATE)
    notes.append(f"{len(trained)} pictures to learn from, {len(held_out)} to measure on: see {place}")
    return replace(config, data=replace(data, folders=(_TRAIN,), validate=_VALIDATE)), place, notes


def _split(folders: list[Path]) -> tuple[list[Path], list[Path]]:
    found = {path.resolve() for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES}
    pictures = sorted(found)
    if len(pictures) < 2:
        raise BadInput(
            f"{len(pictures)} pictures under {', '.join(map(str, folders))} are too few",
            hint="give a folder of .png or .jpg files: a hundred sharp photographs make a start",
        )
    count = min(_MOST_HELD_OUT, max(1, len(pictures) // _HELD_OUT_SHARE))
    held_out = pictures[:: len(pictures) // count][:count]
    return [path for path in pictures if path not in set(held_out)], held_out


def _link(pictures: list[Path], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        name = folder / f"{number:05d}-{picture.name}"  # two folders may hold the same name
        try:
            name.symlink_to(picture)
        except OSError:  # Windows without the right to make links
            shutil.copyfile(picture, name)
