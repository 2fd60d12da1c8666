"""srkit engines: what compiled engines are here, why one is not used, and deleting them."""

from __future__ import annotations

from pathlib import Path

import click

from sr_core.wording import count_of


@click.group("engines")
@click.option("--dir", "folder", type=click.Path(file_okay=False), help="Folder to look in; default: the cache.")
@click.pass_context
def command(ctx: click.Context, folder: str | None) -> None:
    """The TensorRT engines in the cache."""
    ctx.obj = Path(folder) if folder is not None else None


@command.command("list")
@click.pass_obj
def list_engines(folder: Path | None) -> None:
    """What is there and what each engine is tied to."""
    from trt_build.store import EngineStore

    store = EngineStore(folder)
    entries = store.entries()
    for entry in entries:
        if entry.facts is None:
            click.echo(f"{entry.stem}\n  unusable: {entry.problem}")
            continue
        facts, key = entry.facts, entry.facts.key
        quality = "FP32" if facts.psnr_db is None else f"{min(facts.psnr_db, 99.9):.1f} dB from FP32"
        machine = f", {key.gpu_name or key.gpu_compute_capability}, {key.system}" if key.system else ""
        click.echo(
            f"{entry.stem}\n"
            f"  {facts.label}, tile {facts.width}x{facts.height}, {key.precision}, {quality}\n"
            f"  {key.library} {key.library_version}, {key.target}{machine}\n"
            f"  {entry.bytes_on_disk / 1e6:.1f} MB, {facts.activation_bytes >> 20} MiB to run"
        )
        if facts.form:
            passed_over = f"; not {'; not '.join(facts.passed_over)}" if facts.passed_over else ""
            click.echo(f"  typed {facts.form}{passed_over}")
        if facts.fp32_layers:
            click.echo(f"  kept FP32 by the check: {', '.join(facts.fp32_layers)}")
    total = sum(entry.bytes_on_disk for entry in entries)
    click.echo(f"{count_of(len(entries), 'engine')}, {total / 1e6:.1f} MB in {store.folder}")


@command.command("why")
@click.argument("name", default="")
@click.pass_obj
def why(folder: Path | None, name: str) -> None:
    """Say for each engine whose name begins with NAME whether it is used here, and if not, why.

    An engine is found by a hash of everything it depends on, so one that fits this machine is
    still not used for another tile size, pixel format, colour matrix or version of the model.
    """
    from sr_core.errors import BadInput
    from trt_build.explain import Machine, unused_because
    from trt_build.store import EngineStore

    store = EngineStore(folder)
    machine = Machine.here()
    click.echo(
        f"this machine: {machine.gpu.name} ({machine.gpu.target})" if machine.gpu else f"no GPU: {machine.why_no_gpu}"
    )
    for library, version in machine.library_versions.items():
        click.echo(f"installed: {library} {version}")
    entries = [entry for entry in store.entries() if entry.stem.startswith(name)]
    if not entries:
        raise BadInput(f"no engine begins with {name!r} in {store.folder}", hint="srkit engines list")
    for entry in entries:
        reasons = unused_because(entry, machine)
        click.echo(f"{entry.stem}: {'runs here' if not reasons else 'not used'}")
        for reason in reasons:
            click.echo(f"  {reason}")
        if entry.facts is not None:
            facts = entry.facts
            click.echo(f"  serves {facts.label} in tiles of {facts.width}x{facts.height}, {facts.key.precision}")


@command.command("prune")
@click.option("--all", "everything", is_flag=True, help="Delete every engine, not only the useless ones.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.pass_obj
def prune(folder: Path | None, everything: bool, dry_run: bool) -> None:
    """Delete engines that are damaged, unfinished, or built by a version that is gone."""
    from trt_build.explain import Machine, stale_because
    from trt_build.store import EngineStore

    store = EngineStore(folder)
    machine = Machine.here()
    freed = count = 0
    for entry in store.entries():
        reasons = ["--all"] if everything else stale_because(entry, machine)
        if not reasons:
            continue
        click.echo(f"{entry.stem}: {'; '.join(reasons)}")
        freed += entry.bytes_on_disk if dry_run else store.remove(entry.stem)
        count += 1
    click.echo(f"{count_of(count, 'engine')}, {freed / 1e6:.1f} MB {'would be freed' if dry_run else 'freed'}")
