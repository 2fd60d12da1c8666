"""`--version`: ours, and that of every backend that is installed; nothing of them is loaded."""

from __future__ import annotations

from collections.abc import Callable

import click

_DISTRIBUTIONS = ("openvino", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "av")


def version_text() -> str:
    """'srvid 0.1.0 (openvino 2026.3, av 19.0)'."""
    from importlib.metadata import PackageNotFoundError, version

    from srvid import __version__

    found = []
    for name in _DISTRIBUTIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"srvid {__version__} ({', '.join(found)})"


def version_option[Command: Callable[..., object]](command: Command) -> Command:
    """Decorate `command` with --version."""

    def show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(version_text())
            ctx.exit()

    return click.option(
        "--version", is_flag=True, expose_value=False, is_eager=True, callback=show,
        help="Show the versions of srvid and its backends, and stop.",
    )(command)  # fmt: skip
