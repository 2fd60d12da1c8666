"""One file from the network, in full or not at all: resumed, counted, and known by its SHA-256.

    URL ─ redirects (http and https only) ─► NAME.part ─ size and SHA-256 right ─► NAME

A transfer that breaks off leaves NAME.part, and the next call goes on behind it. Nothing here is called
unless the user asked for this very file.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from sr_core.errors import BadInput, NotAvailable
from sr_core.storage import storage_error

Told = Callable[[int, int | None], None]  # bytes there, bytes of the whole where the server says
BLOCK = 1 << 18
TIMEOUT_SECONDS = 30.0  # without a byte
LARGEST = 8 << 30  # bytes; no model for pictures is larger, and a disk is filled before anyone looks
_AGENT = "srvid (https://openmodeldb.info client)"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the file must be, as far as somebody said; None: nobody did."""

    size: int | None = None
    sha256: str | None = None


def download(url: str, target: Path, *, expected: Expected, told: Told | None = None) -> Path:
    """Fetch `url` into `target`, going on with what an earlier call left.

    Raises:
        BadInput: not a URL of http(s), or the file is not the expected one.
        NotAvailable: no network, no such file, or the transfer broke off.
        StorageError: disk full, folder not writable.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        there = part.stat().st_size if part.exists() else 0
        if expected.size is not None and there > expected.size:
            there = 0
        _transfer(url, part, there, expected, told)
        _check(part, expected, url)
        part.replace(target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _network_error(url, error) from error
    except OSError as error:
        raise storage_error(error, target, "cannot write") from error
    return target


def fetch_text(url: str, *, most_bytes: int) -> str:
    """A small document, whole.

    Raises:
        BadInput, NotAvailable: as `download`; or it is larger than `most_bytes`.
    """
    try:
        with _open(url, 0) as answer:
            contents: bytes = answer.read(most_bytes + 1)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _network_error(url, error) from error
    if len(contents) > most_bytes:
        raise BadInput(f"{url} is larger than {most_bytes >> 20} MB: not the list that was expected")
    return contents.decode("utf-8", errors="replace")


def _transfer(url: str, part: Path, there: int, expected: Expected, told: Told | None) -> None:
    if there and there == expected.size:
        return  # complete; only its name is missing
    with _open(url, there) as answer:
        goes_on = answer.status == http.client.PARTIAL_CONTENT and _starts_at(answer.headers) == there
        if not goes_on:
            there = 0
        length = answer.headers.get("Content-Length", "")
        whole = there + int(length) if length.isdecimal() else expected.size
        if whole is not None and whole > (expected.size or LARGEST):
            raise BadInput(f"{url} has {whole} bytes, {expected.size or LARGEST} were expected")
        with part.open("ab" if goes_on else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
                there += len(block)
                if there > (expected.size or LARGEST):
                    raise BadInput(f"{url} has more than the {expected.size or LARGEST} bytes that were expected")
                if told is not None:
                    told(there, whole)
    if whole is not None and there < whole:
        raise http.client.IncompleteRead(b"", whole - there)


def _check(part: Path, expected: Expected, url: str) -> None:
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if expected.sha256 is not None and digest.hexdigest() != expected.sha256.lower():
        part.unlink()
        raise BadInput(
            f"{url} is not the file that the catalogue describes: its SHA-256 is {digest.hexdigest()[:16]}…, "
            f"expected {expected.sha256[:16].lower()}…",
            hint="it was deleted; try once more, and if that does not help, tell the catalogue",
        )


class _OnlyWeb(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never to a file of this machine or to another kind of server."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        _demand_web(newurl)
        fresh = super().redirect_request(req, fp, code, msg, headers, newurl)
        if fresh is not None and (begin := req.get_header("Range")):
            fresh.add_header("Range", begin)
        return fresh


def _open(url: str, there: int) -> http.client.HTTPResponse:
    _demand_web(url)
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT})
    if there:
        request.add_header("Range", f"bytes={there}-")
    opener = urllib.request.build_opener(_OnlyWeb)
    try:
        answer: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and there:
            return _open(url, 0)
        raise
    return answer


def _demand_web(url: str) -> None:
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise BadInput(f"{url!r} is not an address of the web", hint="give one that begins with https://")


def _starts_at(headers: Message) -> int | None:
    """The first byte of a partial answer: 'bytes 100-199/200'."""
    words = (headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    return int(words) if words.isdecimal() else None


def _network_error(url: str, error: Exception) -> NotAvailable:
    host = urlsplit(url).hostname
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return NotAvailable(f"{host} answers {error.code} {error.reason} for {url}", hint="is the address still right?")
    if isinstance(error, http.client.IncompleteRead):
        return NotAvailable(
            f"the transfer from {host} broke off, {error.expected} bytes before the end",
            hint="the same command goes on where it was",
        )
    reason = getattr(error, "reason", None) or error
    return NotAvailable(f"{host} cannot be reached: {reason}", hint="check the connection; the same command goes on")
