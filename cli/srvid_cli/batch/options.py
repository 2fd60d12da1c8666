"""What `srbatch` can be asked for: its options, and the values they become."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import click

from srvid_cli.command import EVERYDAY, MACHINES, OUTPUT, group_options
from srvid_cli.engine_options import EngineOptions, engine_options
from srvid_cli.grain import grain_option
from srvid_cli.pool_options import PoolOptions, pool_options
from srvid_cli.scale import scale_option

if TYPE_CHECKING:
    from sr_core.backend import Progress
    from sr_image.enlarge import EnlargeOptions
    from srvid.recipe import EngineRecipe
    from srvid_cli.batch.plan import Naming

_OPTIONS = (
    scale_option,
    group_options(EVERYDAY, "--width", type=click.IntRange(1), help="Exact output width; the height follows."),
    group_options(
        EVERYDAY, "--height", type=click.IntRange(1), help="Exact output height; with --width: fit inside both."
    ),
    group_options(EVERYDAY, "--max-size", type=click.IntRange(1), help="Length of the output's longer side."),
    group_options(EVERYDAY, "--megapixels", type=float, help="Area of the output."),
    engine_options,
    grain_option,
    group_options(EVERYDAY, "--overwrite", is_flag=True, help="Replace outputs that are there."),
    group_options(EVERYDAY, "--dry-run", is_flag=True, help="List what would happen; do nothing."),
    group_options(EVERYDAY, "--compare", metavar="PATH", help="Before/after pictures: a folder, or one sheet.png."),
    group_options(EVERYDAY, "--json", "as_json", is_flag=True, help="One JSON event a line on stdout."),
    group_options(EVERYDAY, "-q", "--quiet", is_flag=True, help="Only errors."),
    group_options(
        OUTPUT,
        "--format",
        "format_name",
        help="png, jpeg, webp, tiff, bmp, gif, avif, heic, exr, jxl. Default: as IN.",
    ),
    group_options(OUTPUT, "--quality", type=click.IntRange(1, 100), help="Of lossy formats; 100 is lossless WebP."),
    group_options(OUTPUT, "--suffix", default="", help="Put after each name: _4x."),
    group_options(
        OUTPUT,
        "--name",
        "template",
        default="{stem}",
        show_default=True,
        help="Fields: {stem} {scale} {model} {width} {height} {format}.",
    ),
    group_options(
        OUTPUT,
        "--profile",
        type=click.Choice(["keep", "srgb"]),
        default="keep",
        show_default=True,
        help="Embed the ICC profile again, or convert to sRGB.",
    ),
    group_options(
        OUTPUT,
        "--dpi",
        type=click.Choice(["keep", "scale"]),
        default="keep",
        show_default=True,
        help="scale keeps the size of the print.",
    ),
    group_options(
        OUTPUT, "--background", help="Colour under transparency where the format has none: white, '#202020'."
    ),
    group_options(MACHINES, "--jobs", type=click.IntRange(1), help="Images under way at once. Default: 2 to 4."),
    pool_options,
    group_options(MACHINES, "--memory", help="Budget of the images, such as 800M. Default: half of what is free."),
    group_options(
        MACHINES,
        "--max-input-megapixels",
        type=click.IntRange(1),
        default=1000,
        show_default=True,
        help="Refuse inputs that state more: decompression bombs.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """What the user said, as click read it; the field names are click's."""

    engine: EngineOptions
    pool: PoolOptions
    scale: Fraction | None
    width: int | None
    height: int | None
    max_size: int | None
    megapixels: float | None
    grain: float | Literal["keep"]
    overwrite: bool
    dry_run: bool
    compare: str | None
    as_json: bool
    quiet: bool
    format_name: str | None
    quality: int | None
    suffix: str
    template: str
    profile: Literal["keep", "srgb"]
    dpi: Literal["keep", "scale"]
    background: str | None
    jobs: int | None
    memory: str | None
    max_input_megapixels: int

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """The values of one command line."""
        given = dict(given)
        return cls(engine=EngineOptions.taken_from(given), pool=PoolOptions.taken_from(given), **given)

    @cached_property
    def factor(self) -> Fraction:
        """Output over input, where no size is asked for."""
        return self._scales[0]

    @cached_property
    def times(self) -> int:
        """What the engine multiplies by: the least of what the model gives that reaches the factor."""
        factor, given = self._scales
        enough = next((scale for scale in given if scale >= factor), None)
        if enough is None:
            from sr_core.errors import BadInput
            from sr_core.wording import option

            raise BadInput(
                f"model {self.engine.model!r} enlarges {given[-1]} times at most, not {float(factor):g}",
                hint=f"put another network behind it: {option('model', f'{self.engine.model},clear')}",
            )
        return enough

    @cached_property
    def _scales(self) -> tuple[Fraction, tuple[int, ...]]:
        return self.engine.scales(self.scale, is_remote=bool(self.pool.ray))

    @property
    def images_at_once(self) -> int:
        """In one worker."""
        return self.jobs or min(4, max(2, os.cpu_count() or 2))

    def recipe(self, progress: Progress | None = None) -> EngineRecipe:
        """Which engine."""
        from srvid.recipe import EngineRecipe

        engine = asdict(self.engine) | {"threads": self.engine.threads or self.pool.threads_each()}
        return EngineRecipe(**engine, shared_tiles=True, progress=progress)

    def enlarge_options(self, target: Path | None) -> EnlargeOptions:
        """What happens to each file.

        Args:
            target: the output's own path, for a single file.

        Raises:
            SrError: an unknown format, or one that `target` denies; a colour or an amount of memory that is none.
        """
        from sr_core.errors import BadInput
        from sr_core.wording import option
        from sr_image.enlarge import EnlargeOptions
        from sr_image.formats.capabilities import format_named
        from sr_image.sizing import SizeTarget
        from srvid_cli.batch.memory import bytes_from_text, default_memory

        name = self.format_name
        if target is not None:
            if name is not None and format_named(name) != format_named(target.suffix):
                raise BadInput(
                    f"{target} would not be {format_named(name).name}, as {option('format')} says",
                    hint=f"leave {option('format')} out, or give OUT its ending",
                )
            name = target.suffix
        return EnlargeOptions(
            format=format_named(name).name if name else None,
            quality=self.quality,
            profile=self.profile,
            dpi=self.dpi,
            background=_color(self.background),
            grain=self.grain,
            target=SizeTarget(
                width=self.width,
                height=self.height,
                max_side=self.max_size,
                megapixels=self.megapixels,
                factor=None if self.factor == self.times else self.factor,
            ),
            memory_bytes=bytes_from_text(self.memory) if self.memory else default_memory(),
            max_pixels=self.max_input_megapixels * 1_000_000,
        )

    def naming(self) -> Naming:
        """How outputs are called."""
        from srvid_cli.batch.plan import Naming

        return Naming(
            template=self.template, suffix=self.suffix, model=self.engine.model, scale=self.times, factor=self.factor
        )

    def settings_hash(self, enlarge_options: EnlargeOptions) -> str:
        """Everything that decides the bytes of an output, the model's content included."""
        from srvid import __version__
        from srvid_cli.batch.manifest import hash_of_settings

        target = enlarge_options.target
        return hash_of_settings(
            {
                "model": self._model_hash(),
                "scale": str(self.factor),
                "backend": self.engine.backend,
                "precision": self.engine.precision,
                "format": enlarge_options.format,
                "quality": enlarge_options.quality,
                "profile": enlarge_options.profile,
                "dpi": enlarge_options.dpi,
                "background": enlarge_options.background,
                "grain": enlarge_options.grain,
                "target": [target.width, target.height, target.max_side, target.megapixels],
                "version": __version__,
            }
        )

    def _model_hash(self) -> str:
        import hashlib

        from srvid import resolve_model
        from srvid.recipe import NEAREST

        engine = self.engine
        if engine.model == NEAREST:
            return NEAREST
        proto, _ = resolve_model(
            engine.model,
            scale=self.times,
            strength=engine.strength,
            sharpen=engine.sharpen,
            self_ensemble=engine.self_ensemble,
        )
        return hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()


def batch_options[Command: Callable[..., object]](command: Command) -> Command:
    """Decorate `command` with every option of `BatchOptions`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _color(text: str | None) -> tuple[int, int, int] | None:
    """A CSS colour name or #rrggbb."""
    if text is None:
        return None
    from PIL import ImageColor

    from sr_core.errors import BadInput

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise BadInput(f"{text!r} is not a colour", hint="write white, black or '#rrggbb'") from error
    return red, green, blue
