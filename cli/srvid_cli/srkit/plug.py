"""srkit plug: install, uninstall, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sr_plugins.places import HOSTS
from srvid_cli.spelling import tell_in_line

if TYPE_CHECKING:
    from sr_plugins.places import Place

MEANS = {
    "gimp": "start GIMP 3 once, so that it makes its folder, or name that folder: --into",
    "krita": "start Krita once, so that it makes its folder, or name that folder: --into",
    "comfyui": "name your ComfyUI folder: --into PATH, or set COMFYUI_DIR",
}
NEXT = {
    "gimp": "restart GIMP: Filters > Enhance > Upscale (srvid)...",
    "krita": "restart Krita: Tools > Scripts > Upscale (srvid)...",
    "comfyui": "restart ComfyUI: the node is in image/upscaling, 'Upscale (srvid)'",
}


@click.group("plug")
def command() -> None:
    """Put srvid into GIMP 3, Krita or ComfyUI, or take it out. (napari finds srvid by itself.)"""


def _into(function: click.decorators.FC) -> click.decorators.FC:
    kind = click.Path(exists=True, file_okay=False, path_type=Path)
    return click.option("--into", type=kind, help="The host's folder, where it is not the usual one.")(function)


@command.command("install")
@click.argument("host", type=click.Choice(HOSTS))
@_into
def install_command(host: str, into: Path | None) -> None:
    """Install into every copy of HOST found; again after an update of srvid."""
    from sr_plugins.install import install

    for place in _places(host, into):
        install(place, _models())
        click.echo(f"installed in {place.ours}")
        if place.is_flatpak:
            click.echo("  this is a flatpak, which cannot start the worker: run `srkit serve` first")
    click.echo(NEXT[host])


@command.command("uninstall")
@click.argument("host", type=click.Choice(HOSTS))
@_into
def uninstall_command(host: str, into: Path | None) -> None:
    """Remove exactly what install wrote."""
    from sr_plugins.install import uninstall

    for place in _places(host, into):
        removed = uninstall(place)
        click.echo(f"removed {len(removed)} files from {place.root}" if removed else f"nothing in {place.root}")


@command.command("doctor")
@click.argument("host", type=click.Choice(HOSTS), required=False)
@_into
def doctor_command(host: str | None, into: Path | None) -> None:
    """Say why the plug-in is not in a host's menu, or does not work there."""
    from sr_core.errors import NotAvailable
    from sr_plugins import client
    from sr_plugins.install import examine

    faults = 0
    for name in [host] if host else HOSTS:
        click.echo(name)
        try:
            found = _places(name, into)
        except NotAvailable as error:
            click.echo(f"  - {tell_in_line(error)}")
            continue
        for place in found:
            for finding in examine(place):
                click.echo(f"  {'+' if finding.is_fine else '!'} {finding.text}")
                if finding.hint:
                    click.echo(f"    {finding.hint}")
                faults += not finding.is_fine
    try:
        answer = client.ask("status", start=False)
        click.echo(f"worker: running, process {answer['pid']}, {answer['jobs_done']} jobs done")
    except client.WorkerError as error:
        click.echo(f"worker: {error.args[0]} ({client.worker_file()})")
    if faults and host:
        raise click.exceptions.Exit(1)


def _places(host: str, into: Path | None) -> list[Place]:
    from sr_core.errors import NotAvailable
    from sr_plugins.places import System, places_of

    found = places_of(host, System(home=Path.home()), into=into)
    if not found:
        raise NotAvailable(f"{host} was not found on this machine", hint=MEANS[host])
    return found


def _models() -> tuple[str, ...]:
    """Names for the dialogs, without their scales."""
    from sr_zoo.models import families

    return families()
