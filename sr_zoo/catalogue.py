"""OpenModelDB's public list: what others publish, searched here and fetched one by one, when asked for.

    list (JSON, kept for a day) ─ search ─ Entry: author, licence, scale, architecture, files with SHA-256
    Entry ─ download ─ import ─► the library, under its own name, its licence beside it

The list is a dictionary by id, as `openmodeldb.info/api/v1/models.json` serves it. What stands in it was
written by strangers: control characters are removed, and a file's name never comes from it.
"""

from __future__ import annotations

import json
import os
import re
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sr_core.errors import BadInput, NotAvailable
from sr_core.model_spec import MODEL_SUFFIXES, NCNN_SUFFIX
from sr_core.storage import cache_path, find_in_cache, keep_in_cache
from sr_core.wording import closest
from sr_zoo.download import Expected, Told, download, fetch_text

ADDRESS = "https://openmodeldb.info/api/v1/models.json"
ADDRESS_VARIABLE = "SRVID_CATALOGUE"  # another list of the same form
PREFIX = "openmodeldb:"  # of a model's name, where a model is named
KEPT_SECONDS = 24 * 3600.0
_LARGEST_LIST = 64 << 20
_DIRECT_HOSTS = ("objectstorage", "github.com", "githubusercontent.com", "huggingface.co")
_PAGES = ("drive.google.com", "mega.nz", "mega.co.nz", "mediafire.com", "1drv.ms", "onedrive.live.com")
_KINDS = ("safetensors", "pth", "onnx", "pt", "ckpt")  # of files, the safest first


@dataclass(frozen=True, kw_only=True)
class Published:
    """One file of an entry; `urls` the direct ones first."""

    kind: str
    urls: tuple[str, ...]
    expected: Expected


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One published model."""

    name: str
    title: str
    author: str
    licence: str
    scale: int
    architecture: str
    tags: tuple[str, ...]
    description: str
    files: tuple[Published, ...]

    @property
    def purpose(self) -> str:
        """What it is for: its tags."""
        return ", ".join(self.tags[:4])

    def best_file(self) -> Published:
        """The file to get.

        Raises:
            NotAvailable: none is a kind that is read here, or none has an address that gives the file itself.
        """
        ranked = [one for kind in _KINDS for one in self.files if one.kind == kind]
        if not ranked:
            kinds = ", ".join(sorted({one.kind for one in self.files})) or "none"
            raise NotAvailable(f"{self.name} is only published as {kinds}", hint=f"read here: {', '.join(_KINDS)}")
        for one in ranked:
            if any(not _is_page(url) for url in one.urls):
                return one
        raise NotAvailable(
            f"{self.name} lies where only a browser gets it: {ranked[0].urls[0] if ranked[0].urls else 'nowhere'}",
            hint="download it there, then: srkit models import FILE --name NAME",
        )


def catalogue(*, refresh: bool = False) -> tuple[Entry, ...]:
    """Every published model; asks the network where the kept list is older than a day.

    Raises:
        BadInput: what is served is no such list.
        NotAvailable: the network cannot be reached, and no list is kept.
    """
    address = os.environ.get(ADDRESS_VARIABLE) or ADDRESS
    name = re.sub(r"\W+", "_", address)[-80:]
    kept = cache_path("catalogue") / f"{name}.json"
    known = find_in_cache(kept)
    age_seconds = abs(time.time() - kept.stat().st_mtime) if known is not None else KEPT_SECONDS  # clocks are set back
    if known is not None and not refresh and age_seconds < KEPT_SECONDS:
        return _entries(known.decode(), address)
    try:
        text = fetch_text(address, most_bytes=_LARGEST_LIST)
    except NotAvailable:
        if known is None or refresh:
            raise
        return _entries(known.decode(), address)  # an old list finds most models, too
    found = _entries(text, address)
    keep_in_cache(kept, text.encode())
    return found


def search(words: str, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Those that hold every word in their name, tags, architecture, author or licence; '2x' and 'x2' the scale."""
    wanted = words.lower().split()

    def holds(entry: Entry) -> bool:
        text = " ".join((entry.name, entry.title, entry.author, entry.architecture, entry.licence, *entry.tags)).lower()
        scales = (f"{entry.scale}x", f"x{entry.scale}")
        return all(word in text or word in scales for word in wanted)

    return tuple(entry for entry in entries if holds(entry))


def find_entry(name: str, entries: tuple[Entry, ...]) -> Entry:
    """The entry called `name`, in any case.

    Raises:
        NotAvailable: none is; the hint names what is most like it.
    """
    by_name = {entry.name.lower(): entry for entry in entries}
    if (found := by_name.get(name.lower())) is not None:
        return found
    raise NotAvailable(f"the catalogue has no model {name!r}", hint=f"{closest(name, by_name)}srkit models search WORD")


def get_file(published: Published, name: str, *, told: Told | None = None) -> Path:
    """Download into the cache, under a name of ours.

    Raises:
        SrError: see `download`.
    """
    urls = sorted((url for url in published.urls if not _is_page(url)), key=_rank)
    target = cache_path("downloads") / f"{name}.{published.kind}"
    return download(urls[0], target, expected=published.expected, told=told)


def find_at(url: str) -> tuple[str, Published]:
    """(name, file) of an address that the user gave; nobody says what it must be.

    Raises:
        BadInput: it does not end like a model's file.
    """
    stem, _, kind = unquote(urlsplit(url).path.rpartition("/")[2]).rpartition(".")
    if f".{kind.lower()}" not in MODEL_SUFFIXES or f".{kind.lower()}" == NCNN_SUFFIX:
        raise BadInput(f"{url} does not end like a model's file", hint=f"read here: {', '.join(_KINDS)}")
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", stem).strip("-.")[:64] or "model"
    return name, Published(kind=kind.lower(), urls=(url,), expected=Expected())


def _entries(text: str, address: str) -> tuple[Entry, ...]:
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{address} serves no list of models: {error}", hint="is a login page in between?") from error
    if not isinstance(data, dict):
        raise BadInput(f"{address} serves no list of models")
    found = [_entry(name, facts) for name, facts in data.items() if isinstance(facts, dict)]
    return tuple(sorted((entry for entry in found if entry is not None), key=lambda entry: entry.name.lower()))


def _entry(name: str, facts: dict[str, Any]) -> Entry | None:
    """None for what is no enlarger of pictures, or lacks what one has."""
    scale, files = facts.get("scale"), facts.get("resources")
    if not isinstance(scale, int) or not 1 <= scale <= 16 or not isinstance(files, list):
        return None
    author = facts.get("author", "")
    tags = facts.get("tags")
    return Entry(
        name=_printable(name),
        title=_printable(facts.get("name") or name),
        author=_printable(", ".join(map(str, author)) if isinstance(author, list) else author),
        licence=_printable(facts.get("license") or "not stated"),
        scale=scale,
        architecture=_printable(facts.get("architecture") or ""),
        tags=tuple(_printable(tag) for tag in tags) if isinstance(tags, list) else (),
        description=_printable(facts.get("description") or ""),
        files=tuple(filter(None, (_read_entry(one) for one in files))),
    )


def _read_entry(facts: Any) -> Published | None:
    if not isinstance(facts, dict) or not isinstance(facts.get("urls"), list):
        return None
    sha256, size = facts.get("sha256"), facts.get("size")
    is_hash = isinstance(sha256, str) and re.fullmatch(r"[0-9a-fA-F]{64}", sha256)
    return Published(
        kind=_printable(facts.get("type") or "").lower(),
        urls=tuple(sorted((_printable(url) for url in facts["urls"]), key=_rank)),
        expected=Expected(
            size=size if isinstance(size, int) and size > 0 else None, sha256=sha256 if is_hash else None
        ),
    )


def _rank(url: str) -> int:
    host = (urlsplit(url).hostname or "").lower()
    return next((place for place, direct in enumerate(_DIRECT_HOSTS) if direct in host), len(_DIRECT_HOSTS))


def _is_page(url: str) -> bool:
    host = (urlsplit(url).hostname or "").lower()
    return any(host == page or host.endswith(f".{page}") for page in _PAGES)


def _printable(text: object) -> str:
    """Without what moves a cursor or clears a screen."""
    return "".join(sign if unicodedata.category(sign)[0] != "C" else " " for sign in str(text)).strip()
