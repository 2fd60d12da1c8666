"""What a rehearsal found, kept in the manifest: a job that goes on does not read its whole input for it again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from sr_video.decide.plan import Plan
from sr_video.decide.streams import StreamPlan

_GIVEN_UP: dict[str, Any] = {"display_matrix": None, "sample_aspect": Fraction(0), "crop": (0, 0, 0, 0)}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the output's container keeps; see `sr_video.write.rehearsal`.

    Attributes:
        plan: digest of the plan that was rehearsed.
        streams, tags, notes: of the plan that came out.
        keeps_chapters: or has none.
        given_up: what the video's own description loses, by the names of `EncoderSettings`.
    """

    plan: str
    streams: tuple[StreamPlan, ...]
    tags: dict[str, str]
    notes: tuple[str, ...]
    keeps_chapters: bool
    given_up: tuple[str, ...]

    def is_on(self, plan: Plan) -> bool:
        """`plan` is the one that was rehearsed."""
        return self.plan == _digest_of(plan)

    def applied_to(self, plan: Plan) -> Plan:
        """`plan` as its container keeps it."""
        given_up = {name: nothing for name, nothing in _GIVEN_UP.items() if name in self.given_up}
        return replace(
            plan,
            streams=self.streams,
            tags=self.tags,
            notes=self.notes,
            chapters=plan.chapters if self.keeps_chapters else (),
            encoder=replace(plan.encoder, **given_up),
        )


def verdict_on(plan: Plan, kept: Plan) -> Verdict:
    """What the rehearsal made of `plan`."""
    given_up = tuple(name for name in _GIVEN_UP if getattr(plan.encoder, name) != getattr(kept.encoder, name))
    return Verdict(
        plan=_digest_of(plan),
        streams=kept.streams,
        tags=kept.tags,
        notes=kept.notes,
        keeps_chapters=kept.chapters == plan.chapters,
        given_up=given_up,
    )


def _digest_of(plan: Plan) -> str:
    return hashlib.blake2b(repr(plan).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
