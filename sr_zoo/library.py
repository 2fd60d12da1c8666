"""The user's own models under names: kept as our ONNX, so they open at once, and wherever a name does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sr_core.errors import NotAvailable, OutputExists
from sr_core.model_spec import load_model, spec_of, with_spec
from sr_core.storage import write_atomically
from sr_core.wording import closest, option
from sr_zoo.models import check_name, library_dir


def keep_model(
    converted: Path, name: str, *, purpose: str = "", licence: str = "", credit: str = "", overwrite: bool = False
) -> Path:
    """Put a converted model (`importing.imported_model`) into the library as `name`.

    Args:
        purpose, licence, credit: written into its spec; '' keeps what it has.

    Raises:
        BadInput: not a name for a model.
        OutputExists: the name is taken.
        StorageError: the folder cannot be written.
    """
    target = library_dir() / f"{check_name(name)}.onnx"
    if target.exists() and not overwrite:
        raise OutputExists(
            f"a model is already called {name!r}", hint=f"choose another name, or give {option('overwrite', True)}"
        )
    model = load_model(converted)
    spec = spec_of(model)
    assert spec is not None, f"{converted} has no spec"
    spec = replace(
        spec,
        name=name,
        purpose=purpose or spec.purpose,
        licence=licence or spec.licence,
        attributions=(credit,) if credit else spec.attributions,
    )
    write_atomically(target, with_spec(model, spec).SerializeToString())
    return target


def forget_model(name: str) -> Path:
    """Delete the imported model `name`; returns where it was.

    Raises:
        NotAvailable: no imported model is called so.
    """
    target = library_dir() / f"{name}.onnx"
    names = sorted(path.stem for path in library_dir().glob("*.onnx"))
    if name not in names:
        raise NotAvailable(
            f"no imported model is called {name!r}",
            hint=f"{closest(name, names)}imported: {', '.join(names) or 'none'}",
        )
    target.unlink()
    target.with_suffix(".txt").unlink(missing_ok=True)  # its licence
    return target
