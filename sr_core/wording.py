"""Words that several front ends say: counts, sizes, options as each front end spells them, names from files.

The core does not know whether it was asked by a shell, a VapourSynth script or Python, so it names
an option and leaves the spelling open:

    option("tile", 64)       shell: --tile 64      script, Python: tile=64
    option("overwrite", True)       --overwrite            overwrite=True
    option("tile")                  --tile                 tile

An option travels inside a text between two private-use characters, which `spell` replaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Literal

_OPEN, _CLOSE = "\ue0a1", "\ue0a2"  # private use: no message holds them by chance
_MARKED = re.compile(f"{_OPEN}([a-z_]+)(?:=([^{_CLOSE}]*))?{_CLOSE}")
# what moves a terminal's cursor, changes its state or the order of what is read: C0, DEL and C1 (also as
# undecodable bytes of a file's name), line and paragraph separators, bidirectional controls
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\udc80-\udc9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
Spelling = Callable[[str, str | None], str]
"""(name of the option, its value or None) → as a front end writes it; the value of a flag is 'True'."""


def count_of(number: int, noun: str, *, verb: str = "") -> str:
    """`number` and `noun`, in the plural where it is one.

    Args:
        verb: 'one/many', such as 'is/are': which of the two follows.
    """
    one, _, many = verb.partition("/")
    chosen = one if number == 1 else many
    return f"{number} {noun}{'' if number == 1 else 's'}" + (f" {chosen}" if verb else "")


def text_from_bytes(count: int) -> str:
    """A size as people say it: 830 kB, 4.2 MB, 51 GB; thousands, not 1024s."""
    if count < 1_000:
        return count_of(count, "byte")
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"


def printable(text: str, *, keep: str = "") -> str:
    r"""`text` as it may be shown: a title or a name from a file cannot steer the terminal.

        "red\x1b[31m"  →  r"red\x1b[31m"

    Args:
        keep: control characters that are ours, such as the line ends of a message.
    """
    return _CONTROL.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def _escape(char: str) -> str:
    code = ord(char)
    code = code - 0xDC00 if 0xDC80 <= code <= 0xDC9F else code  # a byte of a file's name, as Python keeps it
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def option(name: str, value: object | Literal[True] | None = None) -> str:
    """Name an option in a message; `name` is that of the Python parameter, such as 'pix_fmt'."""
    return f"{_OPEN}{name}{'' if value is None else f'={value}'}{_CLOSE}"


def spell(text: str, spelling: Spelling) -> str:
    """`text` with every option in it written by `spelling`."""
    return _MARKED.sub(lambda match: spelling(match[1], match[2]), text)


def as_argument(name: str, value: str | None) -> str:
    """The spelling of Python and of VapourSynth scripts: tile=64."""
    return name if value is None else f"{name}={value}"


def as_flag(name: str, value: str | None) -> str:
    """The spelling of a shell: --tile 64, --overwrite, -o g=3."""
    flag = "-o" if name == "options" else f"--{name.replace('_', '-')}"
    return flag if value is None or value == "True" else f"{flag} {value}"


def closest(wanted: str, names: Iterable[str]) -> str:
    """'did you mean clear-x4? ' for the name most like `wanted`, or ''; put before a list of all."""
    near = get_close_matches(wanted.lower(), names, n=1, cutoff=0.6)
    return f"did you mean {near[0]}? " if near else ""
