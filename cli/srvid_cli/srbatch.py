"""`srbatch IN… OUT`: folders of images, enlarged without losing what they mean."""

from __future__ import annotations

import os
import shlex
import sys
import time
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from srvid_cli.batch.options import BatchOptions, batch_options
from srvid_cli.command import LongCommand
from srvid_cli.errors import run_command
from srvid_cli.version import version_option

if TYPE_CHECKING:
    from sr_image.enlarge import EnlargeOptions
    from srvid_cli.batch.manifest import Manifest
    from srvid_cli.batch.plan import BatchPlan
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


@click.command("srbatch", cls=LongCommand, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.argument("inputs", metavar="IN...", nargs=-1, type=click.Path())
@click.argument("out", metavar="OUT", type=click.Path())
@batch_options
@version_option
def srbatch_command(inputs: tuple[str, ...], out: str, **given: Any) -> int:
    """Upscale images with a neural network: files, folders, globs, or '-' for a list on stdin.

    Depth, gray, alpha, ICC profile, EXIF, XMP, IPTC, resolution, pages and animations are kept;
    what an output format cannot hold is said. An output gets its name when it is complete. One bad
    file never stops the rest: it is listed at the end, and the exit code is 1.
    """
    if not inputs:  # click gives the one argument to OUT, and would say that IN is missing
        raise click.UsageError(f"OUT is missing: srbatch {shlex.quote(out)} upscaled/")
    return _Batch(inputs, Path(out), BatchOptions.of(given)).run()


class _Batch:
    """One run of the command."""

    def __init__(self, inputs: tuple[str, ...], out: Path, options: BatchOptions) -> None:
        self._inputs, self._out, self._options = inputs, out, options
        self._as_json, self._is_quiet = options.as_json, options.quiet

    def run(self) -> int:
        """Plan, then do; returns the exit code."""
        from srvid_cli.batch.collect import check_out, collect
        from srvid_cli.batch.manifest import Manifest
        from srvid_cli.batch.plan import plan_batch

        for stream in (sys.stdin, sys.stdout):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="surrogateescape")  # file names are any bytes, in and out unchanged
        check_out(self._inputs, self._out)
        target = self._single_target()
        enlarge_options, naming = self._options.enlarge_options(target), self._options.naming()
        folder = target.parent if target is not None else self._out
        made = Manifest(self._out).made() if target is None else frozenset[Path]()
        collection = collect(self._inputs, self._out, listed=sys.stdin, made=made)
        plan = plan_batch(collection, folder, enlarge_options, naming, target=target)
        if self._options.compare:
            from srvid_cli.batch.compare import check_comparisons

            check_comparisons(plan.jobs, Path(self._options.compare), folder, overwrite=self._options.overwrite)
        self._say_unused_scale()
        if self._options.dry_run:
            from srvid_cli.batch.report import show_plan

            if plan.jobs and not self._options.pool.ray:  # the nodes may have what is missing here
                with self._options.recipe().open(self._options.times):
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
                settings=self._options.settings_hash(enlarge_options) if manifest is not None else "",
                jobs=self._options.images_at_once,
                memory_bytes=enlarge_options.memory_bytes // self._options.pool.processes,
                pool=self._options.pool.pool(),
                overwrite=self._options.overwrite,
            )
            try:
                results = self._results(plan, run_options, manifest, reporter)
            finally:
                reporter.line.clear()
            uncompared = self._compare(results, folder, reporter) if self._options.compare else 0
        seconds = time.monotonic() - started
        show_summary(results, plan, as_json=self._as_json, is_quiet=self._is_quiet, seconds=seconds)
        return 1 if plan.refused or uncompared or any(result.state == "failed" for result in results) else 0

    def _compare(self, results: list[Result], folder: Path, reporter: Reporter) -> int:
        """Write what --compare asks for; returns how many pictures could not be."""
        from srvid_cli.batch.compare import write_comparisons

        compare, failed = self._options.compare, 0
        assert compare is not None
        for made in write_comparisons(results, Path(compare), folder):
            if isinstance(made, Path):
                reporter.line.say(f"wrote {made}")
            else:
                failed += 1
                click.echo(f"srbatch: no comparison: {made}", err=True)
        return failed

    def _results(
        self, plan: BatchPlan, options: RunOptions, manifest: Manifest | None, reporter: Reporter
    ) -> list[Result]:
        from srvid_cli.batch.run import run_batch

        recipe, scale = self._options.recipe(reporter.line.phase), self._options.times
        return run_batch(plan.jobs, recipe, scale, options, manifest=manifest, listener=reporter)

    def _say_unused_scale(self) -> None:
        """--scale beside an exact size is no size: it only chooses the network."""
        asked = click.get_current_context().get_parameter_source("scale")
        sizes = ("width", "height", "max_size", "megapixels")
        size = next((name for name in sizes if getattr(self._options, name) is not None), None)
        if size is not None and asked is ParameterSource.COMMANDLINE and not self._is_quiet:
            flag = size.replace("_", "-")
            click.echo(f"note: --{flag} decides the size; --scale only chooses the network that is used", err=True)

    def _single_target(self) -> Path | None:
        """OUT as a file: one input file, and OUT ends like an image."""
        from sr_image.formats.capabilities import ALL_SUFFIXES

        is_file = len(self._inputs) == 1 and os.path.isfile(self._inputs[0])
        is_name = self._out.suffix.lower() in ALL_SUFFIXES and not self._out.is_dir()
        return self._out if is_file and is_name else None


def main() -> None:
    """Entry point of the `srbatch` command."""
    run_command(srbatch_command, "srbatch")


if __name__ == "__main__":
    main()
