"""`srbatch IN… OUT`: folders of images, enlarged without losing what they mean."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srvid_cli.engine_options import engine_options
from srvid_cli.errors import run_command

if TYPE_CHECKING:
    from sr_core.backend import Progress
    from sr_core.image.enlarge import EnlargeOptions
    from srvid.engine_choice import EngineChoice
    from srvid_cli.batch.manifest import Manifest
    from srvid_cli.batch.plan import BatchPlan, Naming
    from srvid_cli.batch.report import Reporter
    from srvid_cli.batch.run import Result, RunOptions

_EXAMPLES = """\b
Examples:
  srbatch photos/ upscaled/                     four times the size, folders kept
  srbatch photo.jpg large.png --scale 2         one file; OUT's ending is the format
  srbatch photos/ web/ --max-size 3840 --format webp --quality 85
  srbatch 'scans/**/*.tif' out/ --dpi scale     16 bits, profiles, pages: as they were
  srbatch photos/ out/ --dry-run                what would happen, with sizes
  srbatch photos/ out/ --compare sheet.png      a before/after sheet as well
  find . -name '*.png' | srbatch - out/
  srbatch a/ b/ out/ --name '{stem}-{scale}x'
  srbatch photos/ upscaled/ --ray auto          on all machines of a Ray cluster

Run the same command again to finish what was interrupted: done files are known by
their content and are skipped.
"""


@click.command("srbatch", context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.argument("inputs", metavar="IN...", nargs=-1, required=True)
@click.argument("out", metavar="OUT")
@click.option("--scale", type=click.Choice(["2", "3", "4"]), default="4", show_default=True)
@click.option("--width", type=click.IntRange(1), help="Exact output width; the height follows.")
@click.option("--height", type=click.IntRange(1), help="Exact output height; with --width: fit inside both.")
@click.option("--max-size", type=click.IntRange(1), help="Length of the output's longer side.")
@click.option("--megapixels", type=float, help="Area of the output.")
@click.option("--format", "format_name", help="png, jpeg, webp, tiff, bmp, gif, avif, heic, exr, jxl. Default: as IN.")
@click.option("--quality", type=click.IntRange(1, 100), help="Of lossy formats; 100 is lossless WebP.")
@click.option("--suffix", default="", help="Put after each name: _4x.")
@click.option(
    "--name",
    "template",
    default="{stem}",
    show_default=True,
    help="Fields: {stem} {scale} {model} {width} {height} {format}.",
)
@click.option(
    "--profile",
    type=click.Choice(["keep", "srgb"]),
    default="keep",
    show_default=True,
    help="Embed the ICC profile again, or convert to sRGB.",
)
@click.option(
    "--dpi",
    type=click.Choice(["keep", "scale"]),
    default="keep",
    show_default=True,
    help="scale keeps the size of the print.",
)
@click.option("--background", help="Colour under transparency where the format has none: white, '#202020'.")
@engine_options
@click.option("--jobs", type=click.IntRange(1), help="Images under way at once. Default: 2 to 4.")
@click.option("--ray", metavar="ADDRESS", help="Share the images on a Ray cluster: auto, or HOST:PORT.")
@click.option("--memory", help="Budget of the images, such as 800M. Default: half of what is free.")
@click.option(
    "--max-input-megapixels",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Refuse inputs that state more: decompression bombs.",
)
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
@click.option("--compare", metavar="PATH", help="Before/after pictures: a folder, or one sheet.png.")
@click.option("--dry-run", is_flag=True, help="List what would happen; do nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Only errors.")
@click.version_option(package_name="srvid")
def srbatch_command(inputs: tuple[str, ...], out: str, **options: Any) -> int:  # fmt: skip
    """Upscale images with a neural network: files, folders, globs, or '-' for a list on stdin.

    Depth, gray, alpha, ICC profile, EXIF, XMP, IPTC, resolution, pages and animations are kept;
    what an output format cannot hold is said. An output gets its name when it is complete. One bad
    file never stops the rest: it is listed at the end, and the exit code is 1.
    """
    return _Batch(inputs, Path(out), options).run()


class _Batch:
    """One run of the command."""

    def __init__(self, inputs: tuple[str, ...], out: Path, options: dict[str, Any]) -> None:
        self._inputs, self._out, self._options = inputs, out, options
        self._as_json, self._is_quiet = bool(options["as_json"]), bool(options["quiet"])

    def run(self) -> int:
        """Plan, then do; returns the exit code."""
        from srvid_cli.batch.collect import collect
        from srvid_cli.batch.manifest import Manifest
        from srvid_cli.batch.plan import plan_batch

        for stream in (sys.stdin, sys.stdout):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="surrogateescape")  # file names are any bytes, in and out unchanged
        enlarge_options, naming = self._enlarge_options(), self._naming()
        target = self._single_target()
        folder = target.parent if target is not None else self._out
        made = Manifest(self._out).made() if target is None else frozenset[Path]()
        collection = collect(self._inputs, self._out, listed=sys.stdin, made=made)
        plan = plan_batch(collection, folder, enlarge_options, naming, target=target)
        if self._options["dry_run"]:
            from srvid_cli.batch.report import show_plan

            if plan.jobs and not self._options["ray"]:  # the nodes may have what is missing here
                with self._choice()(int(self._options["scale"])):
                    pass  # a model or a backend that cannot work fails here, as it would without --dry-run
            show_plan(plan, as_json=self._as_json)
            return 1 if plan.refused else 0
        return self._do(plan, folder, enlarge_options, target)

    def _do(self, plan: BatchPlan, folder: Path, enlarge_options: EnlargeOptions, target: Path | None) -> int:
        from sr_core.storage import file_lock
        from srvid_cli.batch.manifest import LOCK_NAME, Manifest, remove_leftovers
        from srvid_cli.batch.report import Reporter, show_summary
        from srvid_cli.batch.run import RunOptions

        started = time.monotonic()
        reporter = Reporter(plan, as_json=self._as_json, is_quiet=self._is_quiet)
        for refused in plan.refused:
            reporter.refused(refused.source, refused.error)
        with ExitStack() as stack:
            manifest = None
            if target is None and plan.jobs:
                stack.enter_context(file_lock(folder / LOCK_NAME, timeout_seconds=0))
                remove_leftovers(folder)
                manifest = Manifest(folder)
            run_options = RunOptions(
                enlarge=enlarge_options,
                settings=self._settings_hash(enlarge_options) if manifest is not None else "",
                workers=self._options["jobs"] or min(4, max(2, os.cpu_count() or 2)),
                memory_bytes=enlarge_options.memory_bytes,
                overwrite=self._options["overwrite"],
            )
            try:
                results = self._results(plan, run_options, manifest, reporter, stack)
            finally:
                reporter.line.clear()
            uncompared = self._compare(results, folder, reporter) if self._options["compare"] else 0
        seconds = time.monotonic() - started
        show_summary(results, plan, as_json=self._as_json, is_quiet=self._is_quiet, seconds=seconds)
        return 1 if plan.refused or uncompared or any(result.state == "failed" for result in results) else 0

    def _compare(self, results: list[Result], folder: Path, reporter: Reporter) -> int:
        """Write what --compare asks for; returns how many pictures could not be."""
        from srvid_cli.batch.compare import write_comparisons

        failed = 0
        for made in write_comparisons(results, Path(self._options["compare"]), folder):
            if isinstance(made, Path):
                reporter.line.say(f"wrote {made}")
            else:
                failed += 1
                click.echo(f"srbatch: no comparison: {made}", err=True)
        return failed

    def _results(
        self, plan: BatchPlan, options: RunOptions, manifest: Manifest | None, reporter: Reporter, stack: ExitStack
    ) -> list[Result]:
        choice, scale = self._choice(reporter.line.phase), int(self._options["scale"])
        if self._options["ray"]:
            from srvid_cli.batch.cluster import run_on_cluster

            address = self._options["ray"]
            return run_on_cluster(plan.jobs, address, choice, scale, options, manifest=manifest, listener=reporter)
        from srvid_cli.batch.run import run_batch

        return run_batch(
            plan.jobs, lambda: stack.enter_context(choice(scale)), options, manifest=manifest, listener=reporter
        )

    def _choice(self, progress: Progress | None = None) -> EngineChoice:
        from srvid.engine_choice import EngineChoice

        names = ("model", "backend", "precision", "tile", "threads", "self_ensemble", "device")
        return EngineChoice(**{name: self._options[name] for name in names}, shared_tiles=True, progress=progress)

    def _single_target(self) -> Path | None:
        """OUT as a file: one input file, and OUT ends like an image."""
        from sr_core.image.formats import ALL_SUFFIXES

        is_file = len(self._inputs) == 1 and Path(self._inputs[0]).is_file()
        is_name = self._out.suffix.lower() in ALL_SUFFIXES and not self._out.is_dir()
        return self._out if is_file and is_name else None

    def _enlarge_options(self) -> EnlargeOptions:
        from sr_core.errors import BadInput
        from sr_core.image.enlarge import EnlargeOptions
        from sr_core.image.formats import format_named
        from sr_core.image.sizing import SizeTarget
        from srvid_cli.batch.memory import bytes_from_text, default_memory

        options = self._options
        name, target = options["format_name"], self._single_target()
        if target is not None:
            if name is not None and format_named(name) != format_named(target.suffix):
                raise BadInput(
                    f"{target} would not be {format_named(name).name}, as --format says",
                    hint="leave --format out, or give OUT its ending",
                )
            name = target.suffix
        return EnlargeOptions(
            format=format_named(name).name if name else None,
            quality=options["quality"],
            profile=options["profile"],
            dpi=options["dpi"],
            background=_color(options["background"]),
            target=SizeTarget(
                width=options["width"],
                height=options["height"],
                max_side=options["max_size"],
                megapixels=options["megapixels"],
            ),
            memory_bytes=bytes_from_text(options["memory"]) if options["memory"] else default_memory(),
            max_pixels=options["max_input_megapixels"] * 1_000_000,
        )

    def _naming(self) -> Naming:
        from srvid_cli.batch.plan import Naming

        return Naming(
            template=self._options["template"],
            suffix=self._options["suffix"],
            model=self._options["model"],
            scale=int(self._options["scale"]),
        )

    def _settings_hash(self, enlarge_options: EnlargeOptions) -> str:
        """Everything that decides the bytes of an output, the model's content included."""
        from srvid import __version__
        from srvid_cli.batch.manifest import hash_of_settings

        target = enlarge_options.target
        return hash_of_settings(
            {
                "model": self._model_hash(),
                "scale": self._options["scale"],
                "backend": self._options["backend"],
                "precision": self._options["precision"],
                "format": enlarge_options.format,
                "quality": enlarge_options.quality,
                "profile": enlarge_options.profile,
                "dpi": enlarge_options.dpi,
                "background": enlarge_options.background,
                "target": [target.width, target.height, target.max_side, target.megapixels],
                "version": __version__,
            }
        )

    def _model_hash(self) -> str:
        import hashlib

        from srvid import resolve_model
        from srvid.engine_choice import NEAREST

        if self._options["model"] == NEAREST:
            return NEAREST

        proto, _ = resolve_model(
            self._options["model"], scale=int(self._options["scale"]), self_ensemble=self._options["self_ensemble"]
        )
        return hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()


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


def main() -> None:
    """Entry point of the `srbatch` command."""
    run_command(srbatch_command, "srbatch")


if __name__ == "__main__":
    main()
