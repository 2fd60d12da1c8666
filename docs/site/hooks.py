"""MkDocs' hooks: the page of commands is made from click, that of benchmarks from committed results.

Neither can differ from what it tells of: --help, and benchmarks/results/*.json.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
from results import circumstances_of, table_of  # noqa: E402

RESULTS = BENCHMARKS / "results"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Append what a page is made from; separate tables and lists as this site's Markdown wants it."""
    make = MADE.get(page.file.src_uri)
    return with_blocks_apart(markdown if make is None else f"{markdown}\n{make()}")


def with_blocks_apart(markdown: str) -> str:
    """A blank line before each table, list and indented block that follows a line of text.

    GitHub's Markdown, for which the pages are written, needs none; Python-Markdown would run them into the text.
    """
    lines: list[str] = []
    in_fence, before = False, ""
    for line in markdown.splitlines():
        kind = _kind_of(line)
        if not in_fence and before.strip() and kind in ("table", "list", "code") and _kind_of(before) == "text":
            lines.append("")
        lines.append(line)
        in_fence ^= line.lstrip().startswith("```")
        before = "" if in_fence else line
    return "\n".join(lines) + "\n"


def _kind_of(line: str) -> str:
    if line.startswith("|"):
        return "table"
    if re.match(r"[-*] |\d+\. ", line):
        return "list"
    return "code" if line.startswith("    ") else "more" if line.startswith(" ") else "text"


def commands_as_markdown() -> str:
    """A section a command: what `--help` prints, 100 columns wide."""
    from srvid_cli.commands import walk_commands

    sections = []
    for name, command, context in walk_commands():
        context.terminal_width = 100
        depth = min(4, 2 + name.count(" "))
        sections.append(f"{'#' * depth} {name}\n```\n{_help(command, context)}\n```")
    return "\n\n".join(sections)


def results_as_markdown() -> str:
    """A section a result: its table, and beside it all that it depends on."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    return "\n\n".join(map(_result, found))


def _result(result: Mapping[str, Any]) -> str:
    return f"## {result['title']}\n{result['about']}\n\n{table_of(result)}\n\n{circumstances_of(result)}"


def _help(command: click.Command, context: click.Context) -> str:
    return command.get_help(context).replace("```", "'''")


MADE: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands_as_markdown,
    "benchmarks.md": results_as_markdown,
}
