"""What a job is bound to: what decides the bytes of its segments, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import pytest

from sr_video.decide.encoding import EncoderSettings
from sr_video.decide.plan import Plan, Request, plan_output
from sr_video.read.source import Source
from sr_video.segments.job import WorkFolder
from sr_video.segments.terms import Segmenting, Terms
from sr_work.scheduler import Workers
from srvid.recipe import EngineRecipe
from tests.video.segments.conftest import Quiet


@pytest.fixture
def terms(clip: Callable[[str], Path], tmp_path: Path) -> Callable[[Callable[[Plan], Plan]], dict[str, str]]:
    """The settings that a manifest would hold for a plan that was changed."""
    target = tmp_path / "out.mp4"
    request = Request(source=str(clip("plain.mp4")), target=str(target), scale=2, preset="ultrafast")

    def settings(change: Callable[[Plan], Plan]) -> dict[str, str]:
        with Source(request.source) as source:
            return Terms(
                request=request, recipe=EngineRecipe(model="nearest"), listener=Quiet(), segmenting=Segmenting(),
                folder=WorkFolder.of(target), source=source, plan=change(plan_output(source, request)),
                workers=cast(Workers, None),
            )._settings()  # fmt: skip

    return settings


Settings = Callable[[Callable[[Plan], Plan]], dict[str, str]]


def test_what_another_srvid_thinks_of_streams_tags_and_words_is_no_other_job(terms: Settings) -> None:
    def other(plan: Plan) -> Plan:
        streams = tuple(replace(entry, lost_tags=("ARTIST",), language="deu") for entry in plan.streams)
        return replace(plan, streams=streams, tags={"title": "x"}, chapters=(), notes=("said otherwise",))

    assert terms(other) == terms(lambda plan: plan)


@dataclass(frozen=True, kw_only=True)
class _Later(EncoderSettings):
    """As a later version may have it."""

    grain: int = 0


def _as_later(plan: Plan, **more: int) -> Plan:
    old = {field.name: getattr(plan.encoder, field.name) for field in fields(EncoderSettings)}
    return replace(plan, encoder=_Later(**old, **more))


def test_a_setting_that_a_later_version_adds_counts_only_where_it_is_used(terms: Settings) -> None:
    assert terms(_as_later) == terms(lambda plan: plan)
    assert terms(lambda plan: _as_later(plan, grain=3)) != terms(lambda plan: plan)


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: replace(plan, encoder=replace(plan.encoder, sample_aspect=Fraction(4, 3))),
        lambda plan: replace(plan, encoder=replace(plan.encoder, color=replace(plan.encoder.color, full_range=True))),
        lambda plan: replace(plan, encoder=replace(plan.encoder, time_base=Fraction(1, 1000))),
        lambda plan: replace(plan, shift_seconds=Fraction(1)),
    ],
)
def test_what_decides_the_bytes_of_a_segment_is_another_job(terms: Settings, change: Callable[[Plan], Plan]) -> None:
    assert terms(change)["other details"] != terms(lambda plan: plan)["other details"]
