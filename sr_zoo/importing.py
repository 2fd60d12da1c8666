"""The door for every model file that does not come with srvid: checked or converted once, then remembered.

    FILE.onnx, our spec inside ─ run once: does it make a picture? ─────────────────────► used as it is
    FILE.onnx · FILE.param + FILE.bin · FILE.pth, .safetensors ─ `sr_zoo.convert` ─► cache/imported/NAME-HASH.onnx

A foreign file is only ever run in a process of its own, with limits of memory and time: a graph can make a
runtime crash, take all memory or never end, and a front end must survive that.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import zipfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sr_core.children import child_environment, python_command
from sr_core.errors import BadInput, BadModel, NotAvailable, StorageError
from sr_core.model_spec import MODEL_SUFFIXES, NCNN_SUFFIX, TORCH_SUFFIXES, load_model, spec_of
from sr_core.storage import cache_path, file_lock, find_in_cache, keep_in_cache, say_not_kept
from sr_zoo.first_bytes import refuse_what_is_no_model
from sr_zoo.models import weights_dir
from sr_zoo.other_formats import other_format_of

FORMAT = 6  # raise when a conversion would come out differently, or be refused
NEEDED = ("torch", "torchvision", "spandrel", "safetensors", "onnxscript")  # the extra [import]
WAYS = ("traced", "traced fixed", "exported")  # of torch_export, which only its own process imports
MOST_SECONDS = 1800.0  # that a conversion may take; the largest networks of spandrel took 60
_SHIPPED_HINT = "srkit models list shows the models that are here"


def imported_model(path: Path) -> Path:
    """The ONNX file, with a ModelSpec inside, that stands for the user's file `path`.

    Raises:
        BadInput: no such file, or a kind of file we cannot read.
        BadModel: unsafe, unknown to spandrel, not an image enlarger, or what it computes here differs.
        NotAvailable: a torch file, and the extra [import] is not installed.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder, not a model file", hint=_SHIPPED_HINT)
    if path.suffix.lower() == ".bin" and path.with_suffix(NCNN_SUFFIX).is_file():
        path = path.with_suffix(NCNN_SUFFIX)
    if path.exists() and not path.is_file():  # a pipe would be waited on for ever
        raise BadInput(f"{path} is not a regular file", hint="copy it to a file first")
    if not path.is_file():
        raise BadInput(f"no model file {path}", hint=_SHIPPED_HINT)
    suffix = path.suffix.lower()
    if suffix not in MODEL_SUFFIXES and (other := other_format_of(path)) is not None:
        raise other
    if suffix in MODEL_SUFFIXES or zipfile.is_zipfile(path):
        refuse_what_is_no_model(path)
    if suffix == ".onnx":
        model = load_model(path)
        contents = model.SerializeToString(deterministic=True)  # with weights that lie in files beside it
        if spec_of(model) is not None:
            if path.resolve().parent != weights_dir().resolve():
                _check_once(path, contents)
            return path
        return _converted(path, contents)
    if suffix == NCNN_SUFFIX:
        return _converted(path, _ncnn_contents(path))
    if suffix in TORCH_SUFFIXES:
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            raise NotAvailable(
                f"{path.name} needs the packages {', '.join(missing)} to be read",
                hint="pip install 'srvid[import]', or export the model to ONNX elsewhere",
            )
        return _converted(path, path.read_bytes())
    raise BadInput(f"{path.name} is not a model file", hint=f"expected {', '.join(MODEL_SUFFIXES)}")


def _ncnn_contents(path: Path) -> bytes:
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise BadModel(f"{path.name} keeps its weights in {weights.name}, which is not there", hint="put it beside it")
    return path.read_bytes() + b"\0" + weights.read_bytes()


def _check_once(path: Path, contents: bytes) -> None:
    """Refuse a model of our own format that computes nothing sensible; good ones are remembered."""
    mark = cache_path("imported") / f"{path.stem}-{_digest(contents)}.finite"
    if find_in_cache(mark) is not None:
        return
    try:
        _apart(path, "check", str(path))
    except _CrashedError as crash:
        raise BadModel(f"{path.name}: {crash}") from crash
    keep_in_cache(mark, b"")


def _digest(contents: bytes) -> str:
    return hashlib.sha256(f"{FORMAT}:".encode() + contents).hexdigest()[:16]


def _converted(path: Path, contents: bytes) -> Path:
    """The cached conversion of `path`, made now if its contents are new."""
    target = cache_path("imported") / f"{path.stem}-{_digest(contents)}.onnx"
    if os.path.exists(target):
        return target
    try:
        with file_lock(target.with_suffix(".lock")):
            if not target.exists():
                _convert(path, target)
            return target
    except StorageError as error:
        say_not_kept(error)
    target = _own_folder() / target.name
    if not target.exists():
        _convert(path, target)
    return target


def _convert(path: Path, target: Path) -> None:
    """Torch files have several ways to ONNX; behind one that crashed its process, the next begins."""
    way: tuple[str, ...] = ()
    try:
        while True:
            try:
                _apart(path, "convert", str(path), str(target), _name_of(path), *way)
                break
            except _CrashedError as crash:
                if not (following := _way_after(crash.last_way)):
                    raise BadModel(f"{path.name}: {crash}", hint="export the model to ONNX elsewhere") from crash
                way = (following,)
        if not target.exists():
            raise BadModel(f"{path.name}: the conversion wrote nothing", hint="please report it, with the file")
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _name_of(path: Path) -> str:
    """What the model is called: the file's name, without what is no letter to print."""
    printed = "".join(sign if sign.isprintable() else "_" for sign in path.stem)
    return printed or "model"


def _way_after(way: str) -> str:
    """The way to try when `way` has crashed; '' where there is none (ONNX and ncnn files name none)."""
    position = WAYS.index(way) + 1 if way in WAYS else len(WAYS)
    return WAYS[position] if position < len(WAYS) else ""


class _CrashedError(BadModel):
    """The process ended by a signal. Never leaves this module."""

    last_way = ""


@cache
def _own_folder() -> Path:
    """Where conversions lie until this process ends, if the cache cannot hold them."""
    folder = tempfile.mkdtemp(prefix="srvid-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _apart(path: Path, *arguments: str) -> None:
    """Run `python -m sr_zoo.convert` and turn its failure into ours.

    Raises:
        BadModel: what it says, or how it ended.
    """
    try:
        done = subprocess.run(
            python_command("-m", "sr_zoo.convert", *arguments),
            env=child_environment() | {"PYTHONIOENCODING": "utf-8:backslashreplace"},
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            check=False,
            timeout=MOST_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BadModel(f"{path.name}: opening it took more than {MOST_SECONDS / 60:.0f} minutes") from error
    if done.returncode == 0:
        return
    lines = done.stderr.splitlines()
    if done.returncode < 0:
        crash = _CrashedError(_how_it_ended(done.returncode))
        crash.last_way = next((line.removeprefix("way: ") for line in reversed(lines) if line.startswith("way: ")), "")
        raise crash
    message, hint = _how_it_ended(done.returncode), ""
    for line in lines:
        if line.startswith("error: "):
            message, hint = line.removeprefix("error: "), ""
        elif line.startswith("hint: "):
            hint = line.removeprefix("hint: ")
    named = message if message.startswith(path.stem) or path.name in message else f"{path.name}: {message}"
    raise BadModel(named, hint=hint)


def _how_it_ended(code: int) -> str:
    """In words, of a process that said nothing itself."""
    if code >= 0:
        return f"the process that opens it failed with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    what = {"SIGKILL": "took too much memory", "SIGXCPU": "took too long"}.get(name, "crashed")
    return f"the process that opens it {what} ({name})"
