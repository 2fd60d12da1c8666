"""What a file is that only has a model's name: told from its first bytes, before a runtime or a process is started.

A link that was saved instead of the file behind it, a page that says "not found", a clone without Git LFS and
an archive are what people have most; a runtime calls all of them damaged, and torch takes half a minute to.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from sr_core.errors import BadModel
from sr_core.model_spec import MODEL_SUFFIXES, NCNN_SUFFIX, TORCH_SUFFIXES
from sr_zoo.other_formats import FIRST_BYTES, refuse_other_contents_of

_PAGE = (b"<!doctype html", b"<html", b"<?xml")
_POINTER = b"version https://git-lfs.github.com/spec/"  # Git LFS's own format, docs/spec.md
_ZIP = b"PK\x03\x04"
_NCNN = 7767517  # ncnn's magic number, as text or as four bytes (param-and-model-file-structure)


def refuse_what_is_no_model(path: Path) -> None:
    """Name what was downloaded in a model's place.

    Raises:
        BadModel: empty, not allowed to be read, a web page, a Git LFS pointer, an archive of other files, or a .param
            that is not ncnn's; or what it is does not match its ending (`other_formats`).
    """
    try:
        with path.open("rb") as file:
            head = file.read(FIRST_BYTES)
    except OSError as error:
        raise BadModel(f"{path.name} cannot be read: {error.strerror or error}") from error
    if not head:
        raise BadModel(f"{path.name} is empty", hint="is the download complete?")
    if head.lstrip().lower().startswith(_PAGE) and b"<net" not in head:
        raise BadModel(f"{path.name} is a web page, not a model", hint="download the file itself, not its page")
    if head.startswith(_POINTER):
        raise BadModel(
            f"{path.name} is a pointer of Git LFS, not the model itself",
            hint="run `git lfs pull` in that repository, or download the file by itself",
        )
    if path.suffix.lower() in MODEL_SUFFIXES:
        refuse_other_contents_of(path, head)
    if head.startswith(_ZIP) and not (path.suffix.lower() in TORCH_SUFFIXES and _is_torchs(path)):
        raise BadModel(f"{path.name} is a zip archive", hint="unpack it, and give the model file that is inside")
    if path.suffix.lower() == NCNN_SUFFIX and not head.lstrip().startswith(str(_NCNN).encode()):
        is_binary = head.startswith(_NCNN.to_bytes(4, "little"))
        hint = "it is ncnn's binary form: give the text file" if is_binary else f"that begins with the line {_NCNN}"
        raise BadModel(f"{path.name} is not ncnn's .param text format", hint=hint)


def _is_torchs(path: Path) -> bool:
    """torch.save writes a zip, too: its pickle is data.pkl. A damaged one is for torch to judge."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return True
