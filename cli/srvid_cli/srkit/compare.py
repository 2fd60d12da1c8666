"""srkit compare: before and after, as a picture or as a page."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP",
}  # fmt: skip
_PAGES = (".html", ".htm")
_ROUNDED = Fraction(1, 500)  # containers round times, Matroska to 1 ms: the same frame of all files is found


@click.command("compare")
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("more", metavar="[MORE]... LOOK", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--at", "moments", type=click.FloatRange(0), multiple=True,
    help="Which moment of the videos; several for a page. Default: the first frame; for a page, as --frames says.",
)  # fmt: skip
@click.option(
    "--frames", type=click.IntRange(1, 20), default=3, show_default=True, help="Of a page: so many, evenly spread."
)
@click.option("--zoom", type=click.FloatRange(1), default=3.0, show_default=True, help="Of the detail in a picture.")
@click.option("--overwrite", is_flag=True, help="Replace LOOK if it is there.")
def command(
    before: Path,
    after: Path,
    more: tuple[Path, ...],
    moments: tuple[float, ...],
    frames: int,
    zoom: float,
    overwrite: bool,
) -> None:
    """Write LOOK (its ending is the format): BEFORE enlarged by bicubic beside AFTER and MORE.

    A page (.html) is one file to send or to keep: several frames under a slider, side by side and zoomed, without
    loss, with what each file is. A picture has one frame, whole and as a detail. All are images, or all are videos.

    \b
    srkit compare in.mp4 out.mp4 look.png --at 12.5
    srkit compare in.mp4 clear.mp4 swift.mp4 look.html --frames 5
    """
    from sr_core.errors import BadInput
    from sr_core.storage import write_atomically
    from srvid_cli.outputs import check_output

    look, afters = more[-1], (after, *more[:-1])
    check_output(look, inputs=(before, *afters), overwrite=overwrite, endings=(*_FORMATS, *_PAGES))
    for path in afters[1:]:
        if not path.is_file():
            raise BadInput(f"no file {path}", hint="LOOK, the file to write, comes last")
    if not look.absolute().parent.is_dir():
        raise BadInput(f"no folder {look.absolute().parent}", hint="create it, or choose another LOOK")
    if look.suffix.lower() in _PAGES:
        content = _page(before, afters, moments, frames)
    elif len(moments) > 1:
        raise BadInput("a picture has one --at", hint="write a page: look.html")
    else:
        content = _picture(before, afters, moments[0] if moments else None, zoom, _FORMATS[look.suffix.lower()])
    write_atomically(look, content)
    click.echo(f"wrote {look}")


def _picture(before: Path, afters: tuple[Path, ...], seconds: float | None, zoom: float, kind: str) -> bytes:
    import io

    from PIL import Image

    from srvid.sheet import Cell, sheet_of

    rows: tuple[list[Cell], list[Cell]] = ([], [])
    pictures = pictures_at((before, *afters), seconds)
    small, size = pictures[0], pictures[1].size
    enlarged = small.resize(size, Image.Resampling.BICUBIC)
    width, height = (max(round(side / zoom), 1) for side in size)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    names = ("srvid",) if len(afters) == 1 else tuple(path.name for path in afters)
    labels = (f"bicubic x{size[0] / small.width:g}", *names)
    for label, whole in zip(labels, (enlarged, *pictures[1:]), strict=True):
        part = whole.crop((left, top, left + width, top + height)).resize(size, Image.Resampling.NEAREST)
        rows[0].append(Cell(label=label, picture=whole))
        rows[1].append(Cell(label=f"{label}, detail", picture=part))
    content = io.BytesIO()
    sheet_of(rows).save(content, format=kind)
    return content.getvalue()


def _page(before: Path, afters: tuple[Path, ...], moments: tuple[float, ...], frames: int) -> bytes:
    from PIL import Image

    from sr_ui.sent import Moment, page_of
    from srvid.advice import facts_in_words

    paths = (before, *afters)
    if image_in(before) is None and not moments:
        seconds = length_of(before)
        moments = tuple(round(seconds * (number + 0.5) / frames, 3) for number in range(frames))
    shown = []
    for at in moments or (None,):
        small, *larger = pictures_at(paths, at)
        enlarged = small.resize(larger[0].size, Image.Resampling.BICUBIC)
        shown.append(Moment(seconds=at, pictures=(enlarged, *larger)))
    return page_of(
        title=f"{before.name}: before and after",
        names=("bicubic", *(path.name for path in afters)),
        facts=tuple((path.name, facts_in_words(path)) for path in paths),
        moments=shown,
    )


def length_of(path: Path) -> float:
    """Seconds of a video; 0 where its container does not say.

    Raises:
        BadInput, DamagedMedia: it is none.
    """
    from sr_video.read.source import Source

    with Source(str(path)) as source:
        return float(source.facts.duration_seconds or 0)


def pictures_at(paths: tuple[Path, ...], seconds: float | None) -> tuple[Image, ...]:
    """All images, or the frames of all videos at `seconds` after their starts; the first is the smallest.

    Raises:
        BadInput: one is neither, only some are videos, one ends before that moment, or two results differ in size.
    """
    from sr_core.errors import BadInput

    images = [image_in(path) for path in paths]
    if all(image is not None for image in images):
        if seconds is not None:
            raise BadInput(f"--at {seconds:g} is a moment of videos; these are images", hint="leave --at out")
        pictures = tuple(image for image in images if image is not None)
    else:
        pictures = tuple(
            frame_at(path, seconds or 0.0) for path, image in zip(paths, images, strict=True) if image is None
        )
        if len(pictures) < len(paths):
            image = next(path for path, found in zip(paths, images, strict=True) if found is not None)
            video = next(path for path, found in zip(paths, images, strict=True) if found is None)
            raise BadInput(f"{image.name} is an image, {video.name} a video", hint="give only images, or only videos")
    _check_sizes(paths, pictures)
    return pictures


def _check_sizes(paths: tuple[Path, ...], pictures: tuple[Image, ...]) -> None:
    from sr_core.errors import BadInput

    before, after = pictures[:2]
    if after.width < before.width:
        raise BadInput(
            f"{paths[1]} ({after.width} wide) is smaller than {paths[0]} ({before.width} wide)",
            hint="give BEFORE first",
        )
    for path, picture in zip(paths[2:], pictures[2:], strict=True):
        if picture.size != after.size:
            raise BadInput(
                f"{path} is {picture.width}x{picture.height}, {paths[1]} is {after.width}x{after.height}",
                hint="compare results of one size",
            )


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
    """The first frame of a video that is shown at `seconds` after its start or later; else its last one.

    Raises:
        BadInput: not a video, or a shorter one.
    """
    from PIL import Image

    from sr_core.errors import BadInput, DamagedMedia
    from sr_video.still import still_at, to_rgb8

    begin = max(Fraction(0), Fraction(seconds).limit_denominator(1000) - _ROUNDED)
    try:
        still = still_at(str(path.absolute()), begin)
    except DamagedMedia as error:
        reason = error.message.partition(": ")[2] or error.message
        raise BadInput(
            f"{path.name} is neither an image nor a video: {reason}", hint="give only images, or only videos"
        ) from error
    ends = still.facts.duration_seconds
    if ends is not None and seconds > ends:
        raise BadInput(
            f"--at {seconds:g}, but {path.name} ends at {float(ends):.2f} s", hint="choose an earlier moment"
        )
    return Image.fromarray(to_rgb8(still.planes, still.facts.format, still.facts.color, still.facts.display_matrix))
