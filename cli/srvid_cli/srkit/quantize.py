"""srkit quantize: make a model ready for INT8."""

from __future__ import annotations

import click


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False),
    required=True,
    help="The folder that holds the training pictures and eval/B100.",
)
@click.option("--b100", "b100_images", type=click.IntRange(1, 100), default=40, show_default=True, help="Images used.")
@click.option(
    "--floats-at-end",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Keep the last N convolutions in FP32: still scenes of video flicker less.",
)
@click.option("--measure", "is_measured", is_flag=True, help="Keep the quantizers, and only measure what they cost.")
def command(models: tuple[str, ...], data: str, b100_images: int, floats_at_end: int, is_measured: bool) -> None:
    """Write quantizers for INT8 into MODELS, beside their float weights, and what they cost into their specs.

    MODELS are names of shipped models, whose files are replaced, or files of this project.

    \b
    srkit quantize clear-x4 swift-x4 --data sets
    srkit quantize --floats-at-end 4 restore-x4 --data sets
    srkit quantize --measure --b100 100 clear-x4 --data sets
    """
    from pathlib import Path

    from sr_train.quantization import measure_file, quantize_file
    from sr_zoo.models import find_model

    for name in models:
        path = Path(name) if name.lower().endswith(".onnx") else find_model(name)
        if is_measured:
            spec = measure_file(path, data_root=Path(data), b100_images=b100_images)
        else:
            spec = quantize_file(
                path, data_root=Path(data), b100_images=b100_images, floats_at_end=floats_at_end, say=click.echo
            )
        losses = ", ".join(f"{loss:.4f} dB on {where}" for where, loss in spec.int8_loss.items())
        click.echo(f"{path.name}: INT8 costs {losses}")
