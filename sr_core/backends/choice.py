"""Which of several ways to compute the same thing is taken: tried once here, kept, and explained.

    question ──► kept verdict? ── yes ──────────────────────────► way
                      └ no ─► try each way ─► choose ─► keep ──────┘

A question names everything the answer depends on: model, kind of frames, device, runtime and its version.
Ways are tried in the order of preference; a later one is taken only where it is clearly faster, so that
noise does not change what comes out of the next run. `srkit doctor` shows every verdict that is kept.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sr_core.errors import BadInput, EngineError
from sr_core.records import record_from_json
from sr_core.storage import cache_path, drop_from_cache, find_in_cache, keep_in_cache

CLEARLY = 1.15  # times as fast as a preferred way; minima of interleaved rounds repeat within 5 to 10 %
ROUNDS = 6  # of each way, interleaved; the first warms up
ENOUGH_SECONDS = 1.0  # no further round then: ways of large networks differ by more than noise anyway
_FOLDER = "choices"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was found of one way.

    Attributes:
        seconds: for the same work as the others'; None where it never ran.
        note: what else was found, e.g. '59.4 dB against f32'.
        refusal: why it is out of the question; empty where it is not.
    """

    way: str
    seconds: float | None = None
    note: str = ""
    refusal: str = ""

    def __str__(self) -> str:
        facts = [f"{self.seconds * 1000:.2f} ms"] if self.seconds is not None else []
        facts += [fact for fact in (self.note, f"refused: {self.refusal}" if self.refusal else "") if fact]
        return f"{self.way} ({', '.join(facts)})" if facts else self.way


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The way that is taken, and why."""

    question: Mapping[str, str]
    way: str
    trials: tuple[Trial, ...]

    def __str__(self) -> str:
        others = "; ".join(str(trial) for trial in self.trials if trial.way != self.way)
        chosen = next((str(trial) for trial in self.trials if trial.way == self.way), self.way)
        return chosen + (f" rather than {others}" if others else "")


def decide(question: Mapping[str, str], try_all: Callable[[], Iterable[Trial]]) -> Verdict:
    """The kept verdict on `question`, or a new one.

    Args:
        try_all: tries every way, the preferred one first.

    Raises:
        EngineError: no way can be taken.
    """
    path = _path(question)
    known = _read_verdict(path)
    if known is not None:
        return known
    trials = tuple(try_all())
    verdict = Verdict(question=dict(question), way=choose(trials), trials=trials)
    if (earlier := _read_verdict(path)) is not None:
        return earlier  # another process was faster: both take the same way
    keep_in_cache(path, json.dumps(asdict(verdict), indent=1).encode())
    return verdict


def choose(trials: Sequence[Trial]) -> str:
    """The first way that no other beats clearly.

    Raises:
        EngineError: every way was refused.
    """
    seconds = {trial.way: trial.seconds for trial in trials if trial.seconds is not None and not trial.refusal}
    if not seconds:
        raise EngineError("; ".join(str(trial) for trial in trials) or "there is no way to compute this")
    return next(way for way, cost in seconds.items() if cost <= min(seconds.values()) * CLEARLY)


def cpu_clock() -> Callable[[], float]:
    """Seconds of this process's own CPU; of the wall on Windows, whose count of the former steps by 15.6 ms.

    One run of a way takes less than such a step: all would cost 0, or one 15.6 ms by chance.
    """
    return time.perf_counter if sys.platform == "win32" else time.process_time


def interleaved_seconds(
    work: Mapping[str, Callable[[], object]],
    *,
    rounds: int = ROUNDS,
    tell: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Least seconds of each, in turns, so that what else the machine does falls on all alike.

    Args:
        clock: `cpu_clock()` where all the work is this process's own CPU's: on a machine with five times more to
            do than CPUs, wall seconds of one graph spread from 11 to 137 ms, and a verdict made of them is kept.
        tell: gets the share done before each run; what it raises ends the trial.
    """
    runs: dict[str, list[float]] = {way: [] for way in work}
    began = clock()
    for number in range(rounds):
        for place, (way, run) in enumerate(work.items()):
            if tell is not None:
                tell((number + place / len(work)) / rounds)
            start = clock()
            run()
            runs[way].append(clock() - start)
        if clock() - began > ENOUGH_SECONDS:
            break
    return {way: min(seconds[1:] or seconds) for way, seconds in runs.items()}


def read_verdicts() -> list[Verdict]:
    """Every verdict in the cache, by its question."""
    found = [_read_verdict(path) for path in sorted(cache_path(_FOLDER).glob("*.json"))]
    return sorted((verdict for verdict in found if verdict), key=lambda verdict: sorted(verdict.question.items()))


def _path(question: Mapping[str, str]) -> Path:
    digest = hashlib.sha256(json.dumps(dict(question), sort_keys=True).encode()).hexdigest()
    return cache_path(_FOLDER) / f"{digest[:32]}.json"


def _read_verdict(path: Path) -> Verdict | None:
    content = find_in_cache(path)
    if content is None:
        return None
    with suppress(BadInput):
        return record_from_json(content, Verdict)
    drop_from_cache(path)  # written by something else
    return None
