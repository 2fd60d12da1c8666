"""srkit compare: before and after, as a picture or as a page."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from srvid_cli.grain import GRAIN_METAVAR, grain_from

if TYPE_CHECKING:
    from PIL.Image import Image

    from sr_ui.tried import Way

_FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP",
}  # fmt: skip
_PAGES = (".html", ".htm")
_SHARE = click.FloatRange(0, 1)
_ROUNDED = Fraction(1, 500)  # containers round times, Matroska to 1 ms: the same frame of all files is found


def _several[Command: Callable[..., object]](
    name: str, usual: float, text: str, *, kind: Any = _SHARE, metavar: str = "0..1"
) -> Callable[[Command], Command]:
    """An option of --model that may be given several times."""
    text = f"For --model: {text}; several are compared."
    return click.option(f"--{name}", f"{name}s", type=kind, metavar=metavar, multiple=True, default=(usual,), help=text)


@click.command("compare")
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("rest", metavar="[AFTER]... LOOK", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model", "models", multiple=True, help="Of a page: try this model on BEFORE, here and now; several are compared."
)
@_several("strength", 1.0, "of each, so much")
@_several("sharpen", 0.0, "each so much sharpened")
@_several("grain", 0.0, "so much film grain over each, or what BEFORE had", kind=grain_from, metavar=GRAIN_METAVAR)
@click.option("--scale", type=click.FloatRange(1, 16), help="For --model. Default: that of AFTER, or the model's own.")
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
    rest: tuple[Path, ...],
    models: tuple[str, ...],
    strengths: tuple[float, ...],
    sharpens: tuple[float, ...],
    grains: tuple[float | Literal["keep"], ...],
    scale: float | None,
    moments: tuple[float, ...],
    frames: int,
    zoom: float,
    overwrite: bool,
) -> None:
    """Write LOOK (its ending is the format): BEFORE enlarged by bicubic beside what became of it.

    A page (.html) is one file to send or to keep: several frames under a slider, side by side and zoomed, without
    loss, with what each file is, and of each --model its measured speed, time and bytes. A picture has one frame,
    whole and as a detail. All are images, or all are videos.

    \b
    srkit compare in.mp4 out.mp4 look.png --at 12.5
    srkit compare in.mp4 clear.mp4 swift.mp4 look.html --frames 5
    srkit compare in.mp4 look.html --model clear --model swift --scale 2
    srkit compare in.mp4 look.html --model restore --strength 0.3 --strength 0.6 --strength 1
    srkit compare in.mp4 look.html --model restore --grain 0 --grain keep
    """
    from sr_core.errors import BadInput
    from sr_core.storage import write_atomically
    from srvid_cli.outputs import check_output

    ways = _ways(models, strengths, sharpens, grains)
    look, afters = rest[-1], rest[:-1]
    is_page = look.suffix.lower() in _PAGES
    if not afters and not models:
        raise click.UsageError("nothing to compare: give AFTER, then LOOK; or a page and --model")
    if models and not is_page:
        raise BadInput("a picture compares files; models are tried for a page", hint="write a page: look.html")
    check_output(look, inputs=(before, *afters), overwrite=overwrite, endings=(*_FORMATS, *_PAGES))
    for path in afters:
        if not path.exists() or path.is_dir():  # what else is no file is told where it is read
            raise BadInput(f"no file {path}", hint="LOOK, the file to write, comes last")
    if not look.absolute().parent.is_dir():
        raise BadInput(f"no folder {look.absolute().parent}", hint="create it, or choose another LOOK")
    if is_page:
        content = _page(before, afters, moments or _moments_of(before, frames), ways, scale)
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


def _ways(
    models: tuple[str, ...],
    strengths: tuple[float, ...],
    sharpens: tuple[float, ...],
    grains: tuple[float | Literal["keep"], ...],
) -> list[Way]:
    """Each model at each strength and sharpening, with each grain."""
    from sr_ui.tried import Way

    if not models and (strengths, sharpens, grains) != ((1.0,), (0.0,), (0.0,)):
        raise click.UsageError("--strength, --sharpen and --grain are for --model")
    return [
        Way(model=model, strength=strength, sharpen=sharpen, grain=grain)
        for model, strength, sharpen, grain in product(models, strengths, sharpens, grains)
    ]


def _moments_of(before: Path, frames: int) -> tuple[float, ...]:
    """So many, evenly spread; none of an image."""
    if image_in(before) is not None:
        return ()
    seconds = length_of(before)
    return tuple(round(seconds * (number + 0.5) / frames, 3) for number in range(frames))


def _page(
    before: Path, afters: tuple[Path, ...], moments: tuple[float, ...], ways: list[Way], scale: float | None
) -> bytes:
    from PIL import Image

    from sr_ui.sent import Moment, page_of
    from sr_ui.tried import check_sizes, try_ways
    from srvid.advice import facts_in_words

    paths, times = (before, *afters), moments or (None,)
    found = [pictures_at(paths, at) for at in times]
    if afters and scale is None:
        scale = found[0][1].width / found[0][0].width
    tried = try_ways(before, ways, times, scale) if ways else []
    size = found[0][1].size if afters else tried[0].pictures[0].size
    check_sizes(tried, size)
    shown = [
        Moment(
            seconds=at,
            pictures=(
                small.resize(size, Image.Resampling.BICUBIC), *larger, *(column.pictures[number] for column in tried)
            ),
        )
        for number, (at, (small, *larger)) in enumerate(zip(times, found, strict=True))
    ]  # fmt: skip
    return page_of(
        title=f"{before.name}: before and after",
        names=("bicubic", *(path.name for path in afters), *(column.name for column in tried)),
        facts=(
            *((path.name, facts_in_words(path)) for path in paths), *((column.name, column.words) for column in tried)
        ),
        moments=shown,
    )  # fmt: skip


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

    if len(pictures) < 2:
        return
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

    if not path.is_file():  # a pipe would be waited on for ever
        raise BadInput(f"{path} is not a regular file", hint="copy it to a file first")
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
