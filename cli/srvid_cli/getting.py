"""A published model into the library: shown, agreed to, downloaded, imported, kept with its licence."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from srvid_cli.progress import percent

if TYPE_CHECKING:
    from pathlib import Path

    from sr_zoo.catalogue import Entry, Published


def get_and_keep(wanted: str, *, name: str | None = None, is_agreed: bool = False) -> Path:
    """Get `wanted`, a name of the catalogue or an address; returns the model's file in the library.

    Raises:
        SrError: not found, not agreed to, not downloaded, or no model.
    """
    from sr_core.errors import Cancelled
    from sr_zoo.catalogue import catalogue, find_at, find_entry, get_file
    from sr_zoo.importing import imported_model
    from sr_zoo.library import keep_model
    from sr_zoo.models import check_name, known_names, library_dir

    entry: Entry | None = None
    if "://" in wanted:
        found, published = find_at(wanted)
    else:
        entry = find_entry(wanted, catalogue())
        found, published = entry.name, entry.best_file()
    called = check_name(name or _as_name(found))
    if called in known_names():
        click.echo(f"{called} is here already: {library_dir() / called}.onnx", err=True)
        return library_dir() / f"{called}.onnx"
    _show(entry, published, wanted)
    if not is_agreed and not _agrees():
        raise Cancelled(f"{called} was not downloaded", hint="--yes agrees beforehand")
    try:
        file = get_file(published, called, told=_tell)
    finally:
        click.echo("", err=True)
    converted = imported_model(file)
    kept = keep_model(
        converted,
        called,
        purpose=entry.purpose if entry else "",
        licence=entry.licence if entry else "",
        credit=f"{entry.title} by {entry.author}" if entry else wanted,
    )
    kept.with_suffix(".txt").write_text(_terms(entry, published, wanted), encoding="utf-8")
    file.unlink(missing_ok=True)
    click.echo(f"{called} is here: srvid in.mp4 out.mp4 --model {called}")
    return kept


def offer(model: str) -> str:
    """`model` with every 'openmodeldb:NAME' in it as NAME; what is not here yet is asked for, on a terminal.

    Raises:
        NotAvailable: it is not here, and nobody can be asked.
        Cancelled: the user does not want it.
    """
    from sr_core.errors import NotAvailable
    from sr_zoo.catalogue import PREFIX
    from sr_zoo.models import known_names

    if PREFIX not in model:
        return model
    parts = []
    for part in model.split(","):
        name = part.strip()
        if name.startswith(PREFIX):
            name = _as_name(name.removeprefix(PREFIX))
            if name not in known_names():
                if not sys.stdin.isatty():
                    raise NotAvailable(
                        f"model {name!r} is not here, and nothing is downloaded unasked",
                        hint=f"srkit models get {name}",
                    )
                name = get_and_keep(part.strip().removeprefix(PREFIX)).stem
        parts.append(name)
    return ",".join(parts)


def _as_name(text: str) -> str:
    import re

    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.")[:64] or "model"


def _show(entry: Entry | None, published: Published, wanted: str) -> None:
    click.echo(_terms(entry, published, wanted).rstrip(), err=True)


def _terms(entry: Entry | None, published: Published, wanted: str) -> str:
    """What is shown before, and kept beside."""
    size = "not stated" if published.expected.size is None else f"{published.expected.size / 1e6:.1f} MB"
    rows = {"model": wanted}
    if entry is not None:
        rows = {
            "model": entry.title, "author": entry.author or "not stated", "licence": entry.licence,
            "for": entry.purpose, "scale": f"x{entry.scale}", "network": entry.architecture,
        }  # fmt: skip
    rows |= {
        "from": published.urls[0],
        "size": size,
        "SHA-256": published.expected.sha256 or "not stated: nobody says what the file must be",
    }
    return "".join(f"{label:8} {text}\n" for label, text in rows.items() if text)


def _agrees() -> bool:
    return sys.stdin.isatty() and click.confirm("download it under this licence?", err=True)


def _tell(there: int, whole: int | None) -> None:
    share = f"{percent(there / whole)}  " if whole else ""
    if sys.stderr.isatty():
        click.echo(f"\r{share}{there / 1e6:.1f} MB", nl=False, err=True)
