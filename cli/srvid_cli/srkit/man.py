"""srkit man: manual pages, made from what --help says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path


@click.command("man")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False),
    help="Folder for the .1 files, such as ~/.local/share/man/man1.",
)
def command(out: str) -> None:
    """Write a manual page of every command, for `man srvid`.

    \b
    srkit man --out ~/.local/share/man/man1
    """
    from pathlib import Path

    for path in write_pages(Path(out)):
        click.echo(f"wrote {path}")


def write_pages(folder: Path) -> list[Path]:
    """Write NAME.1 of every program and subcommand into `folder`."""
    from sr_core.storage import write_atomically
    from srvid_cli.commands import walk_commands
    from srvid_cli.outputs import check_output

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, program, context in walk_commands():
        path = folder / f"{name.replace(' ', '-')}.1"
        check_output(path, overwrite=_is_manual(path))
        write_atomically(path, ("\n".join(_page(name, program, context)) + "\n").encode())
        written.append(path)
    return written


def _is_manual(path: Path) -> bool:
    """Whether an earlier version of us has written it."""
    try:
        with path.open("rb") as file:
            return b"srvid manual" in file.readline()
    except OSError:
        return False


def _page(name: str, program: click.Command, context: click.Context) -> Iterator[str]:
    from srvid import __version__

    dashed = name.replace(" ", "-")
    text = program.help or ""
    first, _, rest = text.partition("\n\n")
    yield f'.TH "{dashed.upper()}" 1 "" "srvid {__version__}" "srvid manual"'
    yield ".SH NAME"
    yield f"{dashed} \\- {_plain(' '.join(first.split()).rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {_plain(name)}"
    yield _plain(" ".join(program.collect_usage_pieces(context)))
    yield ".SH DESCRIPTION"
    yield from _paragraphs(f"{first}\n\n{rest}")
    if program.epilog:
        yield ".SH EXAMPLES"
        yield from _paragraphs(program.epilog.replace("Examples:\n", ""))
    if isinstance(program, click.Group):
        yield ".SH COMMANDS"
        for sub in program.list_commands(context):
            yield from (".TP", f"\\fB{_plain(sub)}\\fR", f"See {_plain(f'{dashed}-{sub}')}(1).")
    yield ".SH OPTIONS"
    for heading, rows in _rows(program, context):
        if heading:
            yield f".SS {_plain(heading)}"
        for option, help_text in rows:
            yield from (".TP", f"\\fB{_plain(option)}\\fR", _plain(help_text) or "\\&")


def _rows(program: click.Command, context: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    from srvid_cli.command import GroupedCommand

    if isinstance(program, GroupedCommand):
        for heading, rows in program.rows_by_group(context).items():
            yield heading, list(rows)
    else:
        records = [p.get_help_record(context) for p in program.get_params(context) if isinstance(p, click.Option)]
        yield "", [record for record in records if record is not None]


def _paragraphs(text: str) -> Iterator[str]:
    """Click's text as roff: a paragraph after \\b keeps its lines."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == "\b":
            yield from (".PP", ".nf", *map(_plain, lines[1:]), ".fi")
        elif paragraph.strip():
            yield from (".PP", _plain(" ".join(paragraph.split())))


def _plain(text: str) -> str:
    """Text in which roff finds no commands: dashes that can be copied, no leading dot or quote."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("\b", "")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
