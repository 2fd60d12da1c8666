"""What the trial of the other streams found is kept with the job, as long as its input is the same file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sr_core.errors import Cancelled
from sr_core.records import record_from_json
from sr_video.decide.plan import Request, plan_output
from sr_video.read.source import Source
from sr_video.segments import run
from sr_video.segments.job import WorkFolder
from sr_video.segments.verdict import Verdict, verdict_on
from tests.video.segments.conftest import Quiet

Clip = Callable[[str], Path]


@pytest.mark.parametrize("is_touched", [False, True])
def test_a_job_that_goes_on_reads_its_input_for_the_trial_only_where_it_changed(
    is_touched: bool, clip: Clip, upscale_here: Callable[..., Quiet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target, undisturbed = tmp_path / "in.mp4", tmp_path / "out.mkv", tmp_path / "undisturbed.mkv"
    shutil.copy(clip("plain.mp4"), source)
    upscale_here(source, undisturbed, segment=1)
    with monkeypatch.context() as paused:
        paused.setattr(WorkFolder, "take_pause", lambda folder: bool(list(folder.path.glob("0*.json"))))
        with pytest.raises(Cancelled):
            upscale_here(source, target, segment=1)
    if is_touched:
        os.utime(source, (1, 1))
    rehearsed, rehearse = list[object](), run.rehearse

    def counted(*given: Any, **more: Any) -> Any:
        rehearsed.append(given)
        return rehearse(*given, **more)

    monkeypatch.setattr(run, "rehearse", counted)
    assert upscale_here(source, target, segment=1).resumed == [1]
    assert len(rehearsed) == is_touched
    assert target.read_bytes() == undisturbed.read_bytes()


def test_a_verdict_survives_the_manifest_and_gives_the_plan_it_was_made_of(clip: Clip, tmp_path: Path) -> None:
    path = clip("plain.mp4")
    with Source(str(path)) as source:
        plan = plan_output(source, Request(source=str(path), target=str(tmp_path / "out.mkv"), scale=2))
    plan = replace(plan, encoder=replace(plan.encoder, sample_aspect=Fraction(4, 3)), tags={"a": "b", "c": "d"})
    kept = replace(
        plan,
        encoder=replace(plan.encoder, sample_aspect=Fraction(0)),
        tags={"a": "b"},
        streams=tuple(replace(entry, lost_tags=("title",)) for entry in plan.streams[:1]),
        notes=(*plan.notes, "the aspect ratio of the samples is lost"),
        chapters=(),
    )
    verdict = record_from_json(json.dumps(asdict(verdict_on(plan, kept))), Verdict)
    assert verdict.is_on(plan)
    assert verdict.applied_to(plan) == kept
    assert not verdict.is_on(kept)
