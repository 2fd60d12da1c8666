"""srkit ui: the page in the browser."""

from __future__ import annotations

from pathlib import Path

import click

INSTALL_HINT = "pip install 'srvid[ui]'"


@click.command("ui")
@click.argument("paths", metavar="[FILES…]", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: a free one.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option(
    "--root", "roots", multiple=True, metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Allow this folder too; the home folder, the current one and those of FILES are allowed.",
)  # fmt: skip
@click.option(
    "--idle-minutes", type=click.FloatRange(0), default=30.0, show_default=True,
    help="End after so long without a page or a job; 0: never.",
)  # fmt: skip
def command(paths: tuple[Path, ...], port: int, no_browser: bool, roots: tuple[Path, ...], idle_minutes: float) -> None:
    """Open a page in the browser: look at models on your own frames, choose, queue, run.

    It is served to this machine alone, under an address that holds a secret token; Ctrl-C ends it.
    What runs then goes on with the next srkit ui.
    """
    import_server()
    from sr_ui.server import ServerOptions, serve

    options = ServerOptions(
        paths=paths, roots=roots, port=port, opens_browser=not no_browser, idle_seconds=idle_minutes * 60 or None
    )
    serve(options, say=lambda address: click.echo(f"open {address}"))


def import_server() -> None:
    """Say what to install where the `[ui]` extra is missing.

    Raises:
        NotAvailable: with the command that installs it.
    """
    from importlib.util import find_spec

    from sr_core.errors import NotAvailable

    missing = [name for name in ("starlette", "uvicorn", "jsonschema") if find_spec(name) is None]
    if missing:
        raise NotAvailable(f"the page needs {', '.join(missing)}", hint=INSTALL_HINT)
