"""How this front end spells the options that the core names, --tile 64, and shows names from files."""

from __future__ import annotations

from sr_core.errors import SrError
from sr_core.wording import as_flag, printable, spell


def tell(text: str) -> str:
    """`text` as a shell's user reads it: nothing in it steers the terminal."""
    return printable(spell(text, as_flag), keep="\n")


def tell_error(error: SrError) -> tuple[str, str]:
    """(message, hint) as a shell's user reads them."""
    return error.as_told(as_flag)


def tell_in_line(error: SrError, *, before: str = "; ") -> str:
    """Message and hint on one line."""
    message, hint = tell_error(error)
    return f"{message}{before}{hint}" if hint else message
