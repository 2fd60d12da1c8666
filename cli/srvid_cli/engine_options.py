"""The options that say which network runs, and on what: the same for video and images."""

from __future__ import annotations

from collections.abc import Callable

import click

from srvid_cli.device import device_option

_OPTIONS = (
    click.option("--model", default="clear", show_default=True, help="Name of a model, or a model file."),
    click.option(
        "--backend",
        default="auto",
        show_default=True,
        help="auto, openvino, onnxruntime, tensorrt or tensorrt_rtx.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "exact", "fast"]),
        default="auto",
        show_default=True,
        help="auto is checked against FP32; exact is FP32 throughout.",
    ),
    click.option("--tile", type=click.IntRange(16), help="Side of a tile in input pixels. Default: measured."),
    click.option("--threads", type=click.IntRange(1), help="CPU threads for the network. Default: all."),
    click.option(
        "--self-ensemble", is_flag=True, help="Average eight flips and turns: a little better, 8 times slower."
    ),
    device_option,
)


def engine_options[Command: Callable[..., object]](command: Command) -> Command:
    """Decorate `command` with --model, --backend, --precision, --tile, --threads, --self-ensemble and --device."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
