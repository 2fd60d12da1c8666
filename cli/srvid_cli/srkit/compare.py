"""srkit compare: a before/after picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from PIL.Image import Image

LABEL_HEIGHT = 28


@click.command("compare")
@click.argument("before", type=click.Path(exists=True, dir_okay=False))
@click.argument("after", type=click.Path(exists=True, dir_okay=False))
@click.argument("picture", type=click.Path(dir_okay=False))
@click.option("--at", "at_seconds", type=float, default=0.0, help="Which moment of the two videos.")
@click.option("--zoom", type=click.FloatRange(1), default=3.0, show_default=True, help="Of the detail below.")
def command(before: str, after: str, picture: str, at_seconds: float, zoom: float) -> None:
    """Write PICTURE (PNG): BEFORE enlarged by bicubic beside AFTER, whole and as a detail.

    BEFORE and AFTER are two images, or two videos.

    \b
    srkit compare in.mp4 out.mp4 compare.png --at 12.5
    """
    from PIL import Image, ImageDraw

    from sr_core.errors import BadInput

    small, large = picture_at(Path(before), at_seconds), picture_at(Path(after), at_seconds)
    if large.width < small.width:
        raise BadInput(f"{after} ({large.width} wide) is smaller than {before} ({small.width} wide)")
    enlarged = small.resize(large.size, Image.Resampling.BICUBIC)
    width, height = (max(round(side / zoom), 1) for side in large.size)
    left, top = (large.width - width) // 2, (large.height - height) // 2
    detail = (left, top, left + width, top + height)
    titles = (f"bicubic x{large.width / small.width:g}", "srvid")
    sheet = Image.new("RGB", (2 * large.width, 2 * (large.height + LABEL_HEIGHT)), "black")
    draw = ImageDraw.Draw(sheet)
    for column, (label, whole) in enumerate(zip(titles, (enlarged, large), strict=True)):
        left = column * large.width
        part = whole.crop(detail).resize(large.size, Image.Resampling.NEAREST)
        draw.text((left + 8, 6), label, fill="white", font_size=16)
        sheet.paste(whole, (left, LABEL_HEIGHT))
        draw.text((left + 8, large.height + LABEL_HEIGHT + 6), f"{label}, detail", fill="white", font_size=16)
        sheet.paste(part, (left, large.height + 2 * LABEL_HEIGHT))
    Path(picture).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(picture, format="PNG")
    click.echo(f"wrote {picture}")


def picture_at(path: Path, seconds: float) -> Image:
    """The frame of a video that is shown at `seconds` after its start, or the image itself.

    Raises:
        BadInput: neither an image nor a video.
    """
    import av
    from PIL import Image, UnidentifiedImageError

    from sr_core.errors import BadInput

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except UnidentifiedImageError:
        pass  # not an image: a video, then
    try:
        with av.open(str(path.absolute())) as container:
            start, shown = None, None
            for frame in container.decode(video=0):
                start = frame.time if start is None else start
                if shown is not None and frame.time - start > seconds:
                    break
                shown = frame
            if shown is None:
                raise BadInput(f"{path.name} has no picture")
            return Image.fromarray(shown.to_ndarray(format="rgb24"))
    except (av.FFmpegError, IndexError) as error:
        raise BadInput(f"{path.name} is neither an image nor a video: {error}") from error
