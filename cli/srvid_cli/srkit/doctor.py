"""srkit doctor: what works on this machine."""

from __future__ import annotations

import click


@click.command("doctor")
def command() -> None:
    """Try every backend and part, and say what to do about those that do not work here."""
    import os
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from sr_core.backend import BACKENDS, usable_cpus
    from sr_core.backends.cuda import find_gpus
    from sr_core.errors import SrError
    from sr_core.storage import CACHE_VARIABLE, cache_dir, cache_path
    from srvid import __version__
    from srvid.backend_choice import choose, open_named

    click.echo(f"srvid {__version__}, Python {platform.python_version()}, {platform.platform()}")
    click.echo(f"CPUs usable: {usable_cpus()}; cache: {cache_path()}")
    try:
        is_writable = os.access(cache_dir(), os.W_OK)
    except SrError:
        is_writable = False
    if not is_writable:
        click.echo(f"  the cache cannot be written, nothing is kept there: set {CACHE_VARIABLE} to a writable folder")
    click.echo("\npackages")
    for name in (
        "av",
        "numpy",
        "onnx",
        "openvino",
        "onnxruntime",
        "tensorrt",
        "tensorrt-rtx",
        "torch",
        "vapoursynth",
    ):
        try:
            click.echo(f"  {name:14} {version(name)}")
        except PackageNotFoundError:
            click.echo(f"  {name:14} -")
    click.echo("\nNVIDIA GPUs, as --device numbers them")
    try:
        for gpu in find_gpus():
            click.echo(f"  {gpu.index:<14} {gpu.name}, {gpu.target}, {gpu.memory_bytes >> 30} GiB, {gpu.driver}")
    except SrError as error:
        click.echo(f"  none: {error}" + (f" ({error.hint})" if error.hint else ""))
    click.echo("\nbackends")
    for name in BACKENDS:
        try:
            backend = open_named(name)
        except SrError as error:
            click.echo(f"  {name:14} no: {error}" + (f" ({error.hint})" if error.hint else ""))
        else:
            click.echo(f"  {name:14} yes: {backend.device}")
    click.echo("\n--backend auto, in order of preference")
    choice = choose()
    for name, reason in choice.passed_over:
        click.echo(f"  {name:14} passed over: {reason}")
    click.echo(f"  {choice.backend.name:14} chosen: {choice.backend.device}")
