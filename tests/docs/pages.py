"""The documents, and the commands they show."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    """Its path in the project."""
    return str(page.relative_to(PROJECT))


PROGRAMS = "srvid|srbatch|srkit"


def shell_lines() -> list[tuple[str, str]]:
    """(page, line) of each line that a page shows to be typed, continued lines joined.

    They stand in fences named sh, or not named, and in indented blocks; in one named console after a `$`. Drawings and
    answers stand in fences named text.
    """
    found = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        fences = FENCE.findall(text)
        blocks = [body for language, body in fences if language in ("", "sh", "bash")]
        if page.parent.name != "reference":  # whose indented lines are settings of mkdocstrings
            blocks += re.findall(r"(?:^    .+\n)+", FENCE.sub("", text), re.MULTILINE)
        for language, body in fences:
            if language == "console":
                blocks += re.findall(r"^\$ (.*)$", body, re.MULTILINE)
        lines = "\n".join(blocks).splitlines()
        found += [(name_of(page), line.strip()) for line in lines if line.strip()]
    return sorted(set(found))


def documented_commands() -> list[tuple[str, str]]:
    """(page, command line) of each srvid, srbatch and srkit that a page shows in a block."""
    return [(page, line) for page, line in shell_lines() if re.match(rf"({PROGRAMS}) ", line)]


def inline_commands() -> list[tuple[str, str]]:
    """(page, command line) of each `srvid …`, `srbatch …` and `srkit …` inside a sentence."""
    found = []
    for page in PAGES:
        text = FENCE.sub("", page.read_text())
        found += [(name_of(page), line) for line in re.findall(rf"`((?:{PROGRAMS}) [^`]+)`", text)]
    return sorted(set(found))
