"""srkit serve: the worker behind the plug-ins."""

from __future__ import annotations

import click


@click.command("serve")
@click.option(
    "--idle-minutes",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="End after so long without a request; 0 = never.",
)
@click.option("--stop", "wants_stop", is_flag=True, help="End the running worker.")
@click.option("--status", "wants_status", is_flag=True, help="Say whether a worker is running.")
def command(idle_minutes: float, wants_stop: bool, wants_status: bool) -> None:
    """Run the worker that the plug-ins of GIMP, Krita and ComfyUI talk to.

    Plug-ins start it themselves, except where a sandbox (flatpak) forbids it. It listens on this
    machine only, and asks for a token that other users cannot read.
    """
    import logging
    import signal
    import sys
    from pathlib import Path

    import srvid
    from sr_core.errors import NotAvailable
    from sr_plugins import client
    from sr_plugins.worker import Worker
    from srvid_cli.errors import print_error

    if wants_stop or wants_status:
        try:
            answer = client.ask("stop" if wants_stop else "status", start=False)
        except client.WorkerError as error:
            raise NotAvailable(str(error.args[0]), hint=error.hint) from error
        click.echo(f"worker {answer['pid']} {'is ending' if wants_stop else 'is running'}")
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    worker = Worker(
        version=srvid.__version__,
        opener=srvid.open_upscaler,
        path=Path(client.worker_file()),
        idle_seconds=idle_minutes * 60 or None,
    )
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    try:
        worker.serve()
    except NotAvailable as error:
        print_error("srkit", error)
        sys.exit(client.ALREADY_RUNNING)
