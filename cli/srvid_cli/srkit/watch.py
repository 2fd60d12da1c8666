"""srkit watch: upscale what arrives in a folder."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import click

from sr_zoo.models import DEFAULT_MODEL


@click.command("watch")
@click.argument("source", metavar="IN", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(file_okay=False, path_type=Path))
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="As for srvid and srbatch.")
@click.option("--scale", type=click.FloatRange(1, 16), default=None, help="Default: the model's own.")
@click.option("--codec", default=None, help="Of videos, as for srvid.")
@click.option("--crf", type=float, default=None, help="Of videos, as for srvid.")
@click.option(
    "--settle",
    "settle_seconds",
    type=click.FloatRange(0.1),
    default=5.0,
    show_default=True,
    help="A file is whole when it has not changed for so many seconds.",
)
@click.option("--once", is_flag=True, help="End when everything that is there is made.")
def command(source: Path, target: Path, settle_seconds: float, once: bool, **options: Any) -> int:
    """Upscale every video and image that arrives in IN, and has stopped growing, into OUT.

    Folders are kept; videos become .mkv. A file is made once, also after a restart; what is there is never
    replaced, and what failed is tried again only when its file changes. Ctrl-C ends it; a video that had been begun
    goes on with the next srkit watch. `srkit ui` shows it.
    """
    from sr_ui.watch import Watch, WatchOptions

    if options["scale"] is not None:
        options["scale"] = f"{options['scale']:g}"
    watch = Watch(
        WatchOptions(source=source, target=target, options=options, settle_seconds=settle_seconds, once=once),
        say=click.echo,
    )
    signal.signal(signal.SIGINT, lambda *_: watch.stop())
    signal.signal(signal.SIGTERM, lambda *_: watch.stop())
    click.echo(f"watching {source}", err=True)
    failed = watch.run()
    return 1 if failed and once else 0
