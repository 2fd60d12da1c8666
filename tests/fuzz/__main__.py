"""`python -m tests.fuzz`: run cases, go on where a journal ends, print its table."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.cases import KINDS, Case, case_of, kind_of
from tests.fuzz.model_seeds import TORCH_SEEDS
from tests.fuzz.outcomes import FAILURES, OUTCOMES, outcome_of, place_of
from tests.fuzz.sandbox import Child, Ended, start
from tests.fuzz.states import STATES

SEED = 23
SAMPLE = {"video": 200, "image": 225, "record": 50, "request": 10, "model": 15}  # models start processes
_POLL_SECONDS = 0.002


@dataclass(frozen=True)
class Finding:
    """How one case ended, as a line of the journal."""

    case: int
    kind: str
    seed: str
    outcome: str
    place: str
    words: str
    seconds: float

    def line(self) -> str:
        return json.dumps(self.__dict__)


@dataclass
class _Open:
    number: int
    case: Case
    child: Child
    folder: Path


class Fuzzer:
    """Runs cases in forked children, `jobs` at a time.

    Args:
        work: seeds and states are made and kept here; case folders come and go.
        keep: case folders stay where the outcome is a failure.
    """

    def __init__(
        self, work: Path, *, seed: int = SEED, jobs: int = 1, keep: bool = False, with_torch: bool = True
    ) -> None:
        self._work, self._seed, self._jobs, self._keep = work, seed, jobs, keep
        _make_all(work, with_torch=with_torch)
        import_everything()

    def run(self, numbers: Iterable[int]) -> Iterator[Finding]:
        """Yield each case's finding as it ends."""
        waiting, running = iter(numbers), dict[int, _Open]()
        more = True
        while more or running:
            while more and len(running) < self._jobs:
                number = next(waiting, None)
                if number is not None and not self._has_seed(number):
                    continue
                if number is None:
                    more = False
                else:
                    entry = self._begin(number)
                    running[entry.child.pid] = entry
            for pid, entry in list(running.items()):
                done, status, _ = os.wait4(pid, os.WNOHANG)
                if done:
                    del running[pid]
                    yield self._finish(entry, entry.child.ended(status))
                else:
                    entry.child.kill_if_late()
            time.sleep(_POLL_SECONDS)

    def _has_seed(self, number: int) -> bool:
        kind, name = kind_of(number, self._seed)
        return not name or (self._work / "seeds" / kind / name).exists()

    def _begin(self, number: int) -> _Open:
        place = self._work / "cases" / str(number)
        shutil.rmtree(place, ignore_errors=True)
        folder, notes = place / "at", place / "notes"
        folder.mkdir(parents=True)
        notes.mkdir()
        case = case_of(number, self._seed, self._work / "seeds", self._work / "states", folder)

        def command() -> object:
            os.environ.update({"SRVID_CACHE": str(place / "cache"), "HOME": str(place / "home"), **case.environment})
            return case.command()

        return _Open(number, case, start(command, case.judge, folder=folder, notes=notes), place)

    def _finish(self, entry: _Open, ended: Ended) -> Finding:
        strays = entry.case.strays(entry.folder / "at") if ended.code != 0 or entry.case.kind != "record" else []
        outcome = outcome_of(ended, strays)
        finding = Finding(
            case=entry.number, kind=entry.case.kind, seed=entry.case.seed, outcome=outcome, place=place_of(ended),
            words=" ".join(entry.case.words), seconds=round(ended.seconds, 3),
        )  # fmt: skip
        if not self._keep or outcome not in FAILURES:
            shutil.rmtree(entry.folder, ignore_errors=True)
        return finding


def _make_all(work: Path, *, with_torch: bool) -> None:
    """Seeds and states, each made in a process of its own: no codec's thread is in the one that forks the cases."""
    for what in (("torch" if with_torch else "seeds"), *(state.name for state in STATES)):
        done = work / f"made-{what}"
        if done.exists() and what in ("seeds", "torch"):
            continue  # states are as this very version leaves them
        work.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.fuzz", "--work", str(work), "--make", what]
        made = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", timeout=300)
        if made.returncode:
            raise SystemExit(f"cannot make {what}: {made.stderr[-2000:]}")
        done.touch()


def _make(work: Path, what: str) -> None:
    """What `--make` does: all seeds, or one state."""
    if what in ("seeds", "torch"):
        from tests.fuzz.seeds import make_seeds

        make_seeds(work / "seeds", with_torch=what == "torch")
        return
    state = next(state for state in STATES if state.name == what)
    folder = work / "states" / state.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    os.environ.update({name: str(folder / value) for name, value in state.variables.items()})
    state.make()
    if not any(any(folder.glob(pattern)) for pattern in state.records):
        raise SystemExit(f"the state {state.name!r} has no record to damage")


def import_everything() -> None:
    """What the commands import late, once, before the forks; nothing here starts a thread."""
    import av
    import onnx
    import OpenImageIO
    import openvino
    import PIL.AvifImagePlugin
    import PIL.WebPImagePlugin
    import pillow_heif
    import tifffile

    import sr_image.enlarge
    import sr_plugins.testing
    import sr_video.segments.run
    import srvid.recipe
    import srvid_cli.batch.run
    import srvid_cli.srbatch
    import srvid_cli.srkit
    import srvid_cli.srvid

    assert all(
        (av, onnx, OpenImageIO, openvino, PIL, pillow_heif, tifffile, sr_image, sr_plugins, sr_video, srvid, srvid_cli)
    )


def sampled(seed: int) -> list[int]:
    """The cases of every submission: the first numbers of each kind, up to its quota; none of torch's."""
    left, numbers = dict(SAMPLE), list[int]()
    for number in itertools.count():
        kind, name = kind_of(number, seed)
        if left[kind] and name not in TORCH_SEEDS:
            left[kind] -= 1
            numbers.append(number)
        if not any(left.values()):
            break
    return numbers


def table_of(findings: Iterable[dict[str, Any]]) -> str:
    """Markdown: outcomes by kind."""
    counts = {kind: Counter[str]() for kind in KINDS}
    for finding in findings:
        counts[finding["kind"]][finding["outcome"]] += 1
    lines = ["| outcome | " + " | ".join(KINDS) + " | all |", "|---" * (len(KINDS) + 2) + "|"]
    for outcome in OUTCOMES:
        row = [counts[kind][outcome] for kind in KINDS]
        lines.append(f"| {outcome} | " + " | ".join(map(str, row)) + f" | {sum(row)} |")
    row = [counts[kind].total() for kind in KINDS]
    lines.append("| inputs | " + " | ".join(map(str, row)) + f" | {sum(row)} |")
    return "\n".join(lines)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Every whole line; of a case that ran twice, the later."""
    found: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.endswith("}"):
            entry = json.loads(line)
            found[entry["case"]] = entry
    return [found[number] for number in sorted(found)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="run cases 0 to COUNT-1")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--journal", type=Path, help="append findings here; cases in it are done")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), f"srvid-fuzz-{os.getuid()}"))
    parser.add_argument("--keep", action="store_true", help="keep the folders of failures")
    parser.add_argument("--table", action="store_true", help="print the journal's table and end")
    parser.add_argument(
        "--sample", action="store_true", help="the 500 cases of every submission; fails by its exit code"
    )
    parser.add_argument("--case", type=int, action="append", help="run just this case, kept, and print what it said")
    parser.add_argument("--make", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        _make(options.work.absolute(), options.make)
        return
    if options.table:
        print(table_of(read_journal(options.journal)))
        return
    done = {entry["case"] for entry in read_journal(options.journal)} if options.journal else set()
    numbers = options.case or [n for n in range(options.first, options.first + options.count) if n not in done]
    if options.sample:
        numbers = sampled(options.seed)
    fuzzer = Fuzzer(
        options.work.absolute(), seed=options.seed, jobs=options.jobs, keep=options.keep or bool(options.case),
        with_torch=not options.sample,
    )  # fmt: skip
    findings = []
    for finding in fuzzer.run(numbers):
        findings.append(finding.__dict__)
        if options.journal:
            with options.journal.open("a") as journal:
                journal.write(finding.line() + "\n")
        if finding.outcome in FAILURES or options.case:
            found = f"{finding.case} {finding.kind} {finding.seed}: {finding.outcome}: {finding.place}"
            print(f"{found}\n    {finding.words}", flush=True)
    print(table_of(findings))
    if options.sample and any(finding["outcome"] in FAILURES for finding in findings):
        sys.exit(1)


if __name__ == "__main__":
    main()
