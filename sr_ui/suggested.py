"""What the page is told of a file, and where its output would go."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sr_core.storage import storage_error
from sr_core.wording import text_from_bytes
from sr_image.formats.capabilities import ALL_SUFFIXES
from sr_ui.library import Opened
from srvid.advice import advise_video

_IMAGE_SCALE = 2  # where the page begins


def facts_of(opened: Opened, *, sheet: int) -> dict[str, Any]:
    """Facts in words, and a suggestion.

    Args:
        sheet: at most so many images of a folder are named.

    Raises:
        SrError: it cannot be upscaled.
    """
    if opened.kind == "video":
        advice = asdict(advise_video(opened.path))
        advice["words"] = [*advice["words"], text_from_bytes(advice["bytes"])]
        options = {"model": advice["suggestion"]["model"], "scale": advice["suggestion"]["scale"]}
        return {"advice": advice, "target": str(suggest_target(opened.path, options))}
    if opened.kind == "image":
        return _image_facts(opened)
    return _folder_facts(opened, sheet)


def suggest_target(source: Path, options: dict[str, Any]) -> Path:
    """A name beside the input that is not taken: film-2x.mkv, film-2x-2.mkv, …; for a folder, another folder."""
    ending = "" if source.is_dir() or source.suffix.lower() in ALL_SUFFIXES else ".mkv"
    stem = source.name if source.is_dir() else source.stem
    number = 1
    while True:
        more = "" if number == 1 else f"-{number}"
        target = source.with_name(f"{stem}-{options['scale']:g}x{more}{ending}")
        if not os.path.lexists(target):
            return target
        number += 1


def models_here() -> list[dict[str, Any]]:
    """Every model that has a name, by family, as people choose them, with the scales it gives; 1 cleans only."""
    from sr_zoo.models import DEFAULT_MODEL, named_models
    from srvid.model_choice import scales_of

    families: dict[str, dict[str, Any]] = {}
    for model in named_models():
        name = model.family if model.is_shipped else model.path.stem
        if name not in families:
            families[name] = {
                "name": name,
                "about": model.purpose,
                "is_shipped": model.is_shipped,
                "scales": scales_of(name) if model.is_shipped else (model.spec.scale,),
            }
    return sorted(families.values(), key=lambda family: family["name"] != DEFAULT_MODEL)


def images_of(folder: Path) -> list[Path]:
    """Every image in a folder and its folders, hidden ones left out.

    Raises:
        StorageError: it cannot be read.
    """

    def refuse(error: OSError) -> None:
        if Path(error.filename) == folder:  # srbatch says it of the others
            raise storage_error(error, Path(error.filename), "cannot read") from error

    images = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        images += [
            Path(place, name)
            for name in sorted(files)
            if Path(name).suffix.lower() in ALL_SUFFIXES and not name.startswith(".")
        ]
    return images


def _image_facts(opened: Opened) -> dict[str, Any]:
    from sr_image.formats.reader import open_image

    size = opened.path.stat().st_size
    with open_image(opened.path) as image:
        header = image.header
        width, height = header.size
        words = [f"{width} × {height}", f"{header.frames} pages" if header.frames > 1 else "one picture"]
    advice = {"words": [*words, text_from_bytes(size)], "width": width, "height": height, "sample_aspect": 1.0}
    return {"advice": advice, "target": str(suggest_target(opened.path, {"scale": _IMAGE_SCALE}))}


def _folder_facts(opened: Opened, sheet: int) -> dict[str, Any]:
    images = images_of(opened.path)
    size = sum(path.stat().st_size for path in images if path.is_file())
    advice = {"words": [f"{len(images)} images", text_from_bytes(size)]}
    return {
        "advice": advice,
        "target": str(suggest_target(opened.path, {"scale": _IMAGE_SCALE})),
        "images": [str(path) for path in images[:sheet]],
    }
