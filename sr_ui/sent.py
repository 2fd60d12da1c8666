"""A comparison as one HTML file: no server, no network, the page's own viewer.

pictures ─► WebP or PNG, lossless ─► data: addresses ┐
viewer.js, style.css, strings.js, sent.js ───────────┴─► one file
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_WEBP_SIDE = 16383  # the format's limit (RFC 9649, section 2.7)
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_SCRIPTS = ("strings.js", "viewer.js", "sent.js")
_STYLES = ("style.css", "viewer.css", "sent.css")


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One frame by everything that is compared.

    Attributes:
        seconds: when it is shown; None for an image.
        pictures: all of one size.
    """

    seconds: float | None
    pictures: tuple[Image, ...]


def page_of(
    *, title: str, names: Sequence[str], facts: Sequence[tuple[str, Sequence[str]]], moments: Sequence[Moment]
) -> bytes:
    """The file's content.

    Args:
        names: of the pictures of every moment, in their order.
        facts: (name of a file, what it is) for the table.
    """
    found = {
        "title": title,
        "names": list(names),
        "facts": [[name, list(words)] for name, words in facts],
        "moments": [
            {
                "seconds": moment.seconds,
                "size": moment.pictures[0].size,
                "pictures": [_address(picture) for picture in moment.pictures],
            }
            for moment in moments
        ],
    }
    data = json.dumps(found, ensure_ascii=True).replace("<", "\\u003c")  # no name ends the element
    scripts = "\n".join(_text(name) for name in _SCRIPTS)
    styles = "\n".join(_text(name) for name in _STYLES)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{html.escape(_show(title))}</title>
<style>
{styles}
</style>
</head>
<body>
<main id="main"></main>
<noscript>This page needs JavaScript; all it needs is in this file.</noscript>
<script type="application/json" id="found">{data}</script>
<script type="module">
{scripts}
</script>
</body>
</html>
""".encode()


def _text(name: str) -> str:
    return (files("sr_ui") / "page" / name).read_text("utf-8")


def _show(name: str) -> str:
    """Bytes of a file's name that are no text, as �."""
    return name.encode("utf-8", "replace").decode()


def _address(picture: Image) -> str:
    kind = "WEBP" if max(picture.size) <= _WEBP_SIDE else "PNG"
    content = io.BytesIO()
    options = {"lossless": True, "method": 2} if kind == "WEBP" else {"compress_level": 6}
    picture.save(content, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
