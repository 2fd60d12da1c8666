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
@click.option(
    "--at", "at_seconds", type=click.FloatRange(0), help="Which moment of the two videos. Default: the first."
)
@click.option("--zoom", type=click.FloatRange(1), default=3.0, show_default=True, help="Of the detail below.")
def command(before: str, after: str, picture: str, at_seconds: float | None, zoom: float) -> None:
    """Write PICTURE (PNG): BEFORE enlarged by bicubic beside AFTER, whole and as a detail.

    BEFORE and AFTER are two images, or two videos.

    \b
    srkit compare in.mp4 out.mp4 compare.png --at 12.5
    """
    import io

    from PIL import Image, ImageDraw

    from sr_core.errors import BadInput
    from sr_core.storage import write_atomically

    folder = Path(picture).absolute().parent
    if not folder.is_dir():
        raise BadInput(f"no folder {folder}", hint="create it, or choose another PICTURE")
    small, large = pictures_at(Path(before), Path(after), at_seconds)
    if large.width < small.width:
        raise BadInput(
            f"{after} ({large.width} wide) is smaller than {before} ({small.width} wide)", hint="give BEFORE first"
        )
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
    content = io.BytesIO()
    sheet.save(content, format="PNG")
    write_atomically(Path(picture), content.getvalue())
    click.echo(f"wrote {picture}")


def pictures_at(before: Path, after: Path, seconds: float | None) -> tuple[Image, Image]:
    """Both images, or the frames of both videos at `seconds` after their starts.

    Raises:
        BadInput: one is neither, or only one is a video, or one ends before that moment.
    """
    from sr_core.errors import BadInput

    images = image_in(before), image_in(after)
    if images[0] is not None and images[1] is not None:
        if seconds is not None:
            raise BadInput(f"--at {seconds:g} is a moment of videos; these are images", hint="leave --at out")
        return images[0], images[1]
    frames = [
        None if image else frame_at(path, seconds or 0.0) for path, image in zip((before, after), images, strict=True)
    ]
    if frames[0] is None or frames[1] is None:
        video, image = (after, before) if frames[0] is None else (before, after)
        raise BadInput(f"{image.name} is an image, {video.name} a video", hint="give two images, or two videos")
    return frames[0], frames[1]


def image_in(path: Path) -> Image | None:
    """The image in RGB, as people see it; None where the file is something else, such as a video.

    Raises:
        BadInput: an image that cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    from sr_core.errors import BadInput
    from sr_train.decoding import seen_rgb

    try:
        with Image.open(path) as image:
            return seen_rgb(image)
    except UnidentifiedImageError:
        return None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path.name} does not decode: {error}", hint="was its copying cut short?") from error


def frame_at(path: Path, seconds: float) -> Image:
    """The frame of a video that is shown at `seconds` after its start.

    Raises:
        BadInput: not a video, or a shorter one.
    """
    import av
    from PIL import Image

    from sr_core.errors import BadInput
    from sr_core.media.native import last_words

    hint = "give two images, or two videos"
    try:
        with av.open(str(path.absolute())) as container:
            start, shown, at = None, None, 0.0
            for frame in container.decode(video=0):
                start = frame.time if start is None else start
                at = (frame.time or 0.0) - (start or 0.0)
                if shown is not None and at > seconds:
                    break
                shown = frame
            if shown is None:
                raise BadInput(f"{path.name} has no picture", hint=hint)
            ends = at + float((shown.duration or 0) * (shown.time_base or 0))
            if seconds > ends:
                raise BadInput(
                    f"--at {seconds:g}, but {path.name} ends at {ends:.2f} s", hint="choose an earlier moment"
                )
            return Image.fromarray(shown.to_ndarray(format="rgb24"))
    except (av.FFmpegError, IndexError) as error:
        reason = last_words(error) if isinstance(error, av.FFmpegError) else "it holds no video"
        raise BadInput(f"{path.name} is neither an image nor a video: {reason}", hint=hint) from error
