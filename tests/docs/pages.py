"""The documents, and the commands they show."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    """Its path in the project."""
    return str(page.relative_to(PROJECT))


def documented_commands() -> list[tuple[str, str]]:
    """(page, command line) of each srvid, srbatch and srkit that a page shows in a block."""
    found = []
    for page in PAGES:
        text = page.read_text()
        blocks = [body for language, body in FENCE.findall(text) if language in ("", "sh", "bash")]
        blocks += re.findall(r"(?:^    .+\n)+", text, re.MULTILINE)
        for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if re.match(r"(srvid|srbatch|srkit) ", line):
                found.append((name_of(page), line))
    return sorted(set(found))
