"""The picture of a training run: loss and validation PSNR over its minutes."""

from pathlib import Path

from sr_train.checkpoints import read_checkpoint
from sr_train.plot import Axis, Series, draw_chart


def draw_curves(checkpoint: Path, target: Path) -> None:
    """Write PSNR over minutes to `target`, and the loss beside it as NAME-loss.png."""
    curve = [tuple(point) for point in read_checkpoint(checkpoint).get("curve", [])]
    minutes = Axis(title="minutes of training")
    psnr = tuple((seconds / 60, value) for _, seconds, _, value in curve)
    loss = tuple((seconds / 60, value) for _, seconds, value, _ in curve)
    draw_chart(target, [Series(name="validation", points=psnr)], x=minutes, y=Axis(title="Y PSNR, dB"))
    beside = target.with_name(f"{target.stem}-loss.png")
    draw_chart(beside, [Series(name="training", points=loss)], x=minutes, y=Axis(title="loss", logarithmic=True))
