"""What each input becomes: decided from headers, before any work."""

from __future__ import annotations

import os
import string
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from sr_core.errors import BadInput, SrError
from sr_image.enlarge import EnlargeOptions, EnlargePlan, plan_enlarging
from sr_image.formats.capabilities import FORMATS
from sr_image.formats.reader import open_image
from sr_zoo.models import DEFAULT_MODEL
from srvid_cli.batch.collect import Collection, Found

_FIELDS = ("stem", "model", "scale", "width", "height", "format")


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How outputs are called.

    Attributes:
        template: the name without its ending; fields in braces, see `_FIELDS`.
        suffix: put after it.
        model: value of that field.
        scale: what the engine multiplies by.
        factor: output over input, the value of the field 'scale'; None: `scale`.
    """

    template: str = "{stem}"
    suffix: str = ""
    model: str = DEFAULT_MODEL
    scale: int = 4
    factor: Fraction | None = None

    def __post_init__(self) -> None:
        try:
            names = [name for _, name, _, _ in string.Formatter().parse(self.template) if name is not None]
        except ValueError as error:
            raise BadInput(f"name template {self.template!r}: {error}") from error
        unknown = sorted(set(names) - set(_FIELDS))
        if unknown:
            raise BadInput(
                f"name template {self.template!r} has unknown fields {', '.join(unknown)}",
                hint=f"fields: {', '.join('{' + name + '}' for name in _FIELDS)}",
            )
        try:
            tried = self._named("stem", width=1, height=1, ending="png")
        except (ValueError, KeyError, IndexError) as error:  # a conversion or a format that its field has not
            raise BadInput(f"name template {self.template!r}: {error}", hint="such as '{stem}-{scale}x'") from error
        if tried.endswith("/") or not tried:
            raise BadInput(f"name template {self.template!r} gives an empty name", hint="such as '{stem}-{scale}x'")

    def place_for(self, place: Path, plan: EnlargePlan) -> Path:
        """The path below OUT for an input at `place`, with the ending its format has."""
        output = plan.output
        name = self._named(place.stem, width=output.width, height=output.height, ending=output.format)
        known = FORMATS[plan.output.format].suffixes
        ending = place.suffix if place.suffix.lower() in known else known[0]
        return place.parent / f"{name}{ending}"

    def _named(self, stem: str, *, width: int, height: int, ending: str) -> str:
        model = "+".join(Path(part).stem for part in self.model.split(","))
        factor: float = self.scale if self.factor is None else float(self.factor)
        scale = int(factor) if factor == int(factor) else factor
        name = self.template.format(stem=stem, model=model, scale=scale, width=width, height=height, format=ending)
        return f"{name}{self.suffix}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to enlarge."""

    source: Path
    target: Path
    plan: EnlargePlan


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One input that cannot be done, and why."""

    source: Path
    error: SrError


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Everything that will be done; `ignored` counts files that are no images."""

    jobs: tuple[Job, ...]
    refused: tuple[Refused, ...] = field(default_factory=tuple)
    ignored: int = 0

    @property
    def pixels(self) -> int:
        """Input pixels of all jobs."""
        return sum(job.plan.source.pixels for job in self.jobs)


def plan_batch(
    collection: Collection, out: Path, options: EnlargeOptions, naming: Naming, *, target: Path | None = None
) -> BatchPlan:
    """Read every header and give every output its place.

    Args:
        out: the folder outputs go to.
        target: the output's own path, for a single file.

    Raises:
        BadInput: two inputs would have the same output, an output would replace an input or leave
            `out`. Nothing was done then.
    """
    jobs: list[Job] = []
    refused = [Refused(source=closed.path, error=closed.error) for closed in collection.unreadable]
    for found in collection.found:
        try:
            with open_image(found.path, max_pixels=options.max_pixels) as image:
                plan = plan_enlarging(image, naming.scale, options)
        except Exception as error:
            refused.append(Refused(source=found.path, error=failure_of(error)))
            continue
        place = target if target is not None else out / naming.place_for(found.place, plan)
        jobs.append(Job(source=found.path, target=place, plan=plan))
    _refuse_collisions(jobs)
    _refuse_inputs(jobs, collection.found)
    for job in jobs:
        refuse_outside(job.target, out)
    return BatchPlan(jobs=tuple(jobs), refused=tuple(refused), ignored=collection.ignored)


def failure_of(error: Exception) -> SrError:
    """What is said of one file: a bug of ours or of a codec must cost that file, not the batch."""
    if isinstance(error, SrError):
        return error
    if isinstance(error, OSError):
        failure = SrError(f"{error.strerror or error}")
    else:
        failure = SrError(f"unexpected {type(error).__name__}: {error}", hint="please report this file")
    failure.__cause__ = error
    return failure


def refuse_outside(target: Path, out: Path) -> None:
    """Raise BadInput where `target` is not inside `out` once every link is followed."""
    folder = Path(os.path.realpath(target.parent))
    if not folder.is_relative_to(os.path.realpath(out)):
        raise BadInput(
            f"{target} would be written outside of {out}, to {folder}",
            hint="remove the link, or the '..' in the name template",
        )


def _refuse_collisions(jobs: Iterable[Job]) -> None:
    by_name: dict[str, list[Job]] = {}
    for job in jobs:
        # one name on every file system: some fold case, some fold composed characters
        key = unicodedata.normalize("NFC", str(job.target)).casefold()
        by_name.setdefault(key, []).append(job)
    clashes = [clash for clash in by_name.values() if len(clash) > 1]
    if clashes:
        lines = [f"{' and '.join(str(job.source) for job in clash)} → {clash[0].target}" for clash in clashes[:5]]
        more = f" (and {len(clashes) - 5} more)" if len(clashes) > 5 else ""
        same_folder = all(len({job.source.parent for job in clash}) == 1 for clash in clashes)
        apart = "leave out --format, or do them" if same_folder else "give the folder they are in, or do them"
        raise BadInput(
            "several inputs would have the same output: " + "; ".join(lines) + more,
            hint=f"{apart} in two runs with different --suffix",
        )


def _refuse_inputs(jobs: Iterable[Job], inputs: Iterable[Found]) -> None:
    sources = {os.path.realpath(found.path) for found in inputs}
    for job in jobs:
        if os.path.realpath(job.target) in sources:
            raise BadInput(f"{job.target} is an input, it would be replaced", hint="give another OUT, or a --suffix")
