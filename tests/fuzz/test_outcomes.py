"""The fuzzer can tell every way to fail from every other."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.fuzz.outcomes import outcome_of
from tests.fuzz.sandbox import Ended, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


def ended(**given: object) -> Ended:
    facts = {"code": 0, "signal": 0, "timed_out": False, "peak_bytes": 1, "seconds": 0.1, "said": b"", "judged": ""}
    return Ended(**{**facts, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ({}, "kept"),
        ({"code": 1, "said": b"srvid: in.mkv is damaged\n"}, "refused"),
        ({"code": None, "signal": 11}, "signal"),
        ({"code": None, "signal": 9, "timed_out": True}, "hang"),
        ({"peak_bytes": 2 << 30}, "memory"),
        ({"code": 1, "said": b"Traceback (most recent call last):\n"}, "traceback"),
        ({"code": 1, "said": b"hint: please report this file\n"}, "please report"),
        ({"code": 1, "said": b"srvid: the output is not what it must be: x\n"}, "rejected by the verifier"),
        ({"said": b"note: \x1b[2J\n"}, "raw control character"),
        ({"said": "note: \x9b31m\n".encode()}, "raw control character"),
        ({"code": 1, "said": b""}, "unclear message"),
        ({"code": 1, "said": b"[Errno 22] Invalid argument\n"}, "unclear message"),
        ({"judged": "3 frames of 4"}, "kept but wrong"),
    ],
)
def test_every_way_to_fail_is_told_from_every_other(given: dict[str, object], outcome: str) -> None:
    assert outcome_of(ended(**given), []) == outcome


def test_a_file_that_nobody_named_is_a_stray() -> None:
    assert outcome_of(ended(code=1, said=b"stopped\n"), ["o.mkv.part"]) == "stray file"
    assert outcome_of(ended(code=1, said=b"o.mkv.part is kept\n"), ["o.mkv.part"]) == "refused"


def _crash() -> None:
    faulthandler.disable()  # pytest's own would print the child's stack as if the suite had crashed
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # pytest's own threads are none of the child's
def test_a_crash_is_seen_from_outside(tmp_path: Path) -> None:
    child = start(_crash, lambda code, said: "", folder=tmp_path, notes=tmp_path)
    _, status, _ = os.wait4(child.pid, 0)
    assert outcome_of(child.ended(status), []) == "signal"
