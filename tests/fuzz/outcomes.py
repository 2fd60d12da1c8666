"""What became of a case: one word for each way it can end, worst first."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.fuzz.sandbox import Ended

KEPT, REFUSED = "kept", "refused"
FAILURES = (
    "signal", "hang", "memory", "traceback", "please report", "rejected by the verifier", "stray file",
    "raw control character", "unclear message", "kept but wrong",
)  # fmt: skip
OUTCOMES = (KEPT, REFUSED, *FAILURES)
MEMORY_BYTES = 1 << 30  # what a small input may take at its peak
_TRACEBACK = b"Traceback (most recent call last)"
_RAW_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")
_OWN_CONTROL = re.compile(rb"\r|\x1b\[K")  # of the progress line, which is only drawn on a terminal
_UNCLEAR = re.compile(rb"unexpected [A-Z]\w*(Error|Exception)|\[Errno \d+\]|0x[0-9a-f]{8,}|object at ")
_VERIFIER = re.compile(rb"the output is not what it must be|the finished .* (cannot be read|does not decode)")


def outcome_of(ended: Ended, strays: Iterable[str]) -> str:
    """The outcome of a case, given the files left that nobody asked for."""
    said = ended.said
    if ended.code is None and ended.timed_out:
        return "hang"
    if ended.code is None:
        return "memory" if b"MemoryError" in said or b"bad_alloc" in said else "signal"
    if ended.peak_bytes > MEMORY_BYTES or b"MemoryError" in said:
        return "memory"
    if _TRACEBACK in said:
        return "traceback"
    if _VERIFIER.search(said):
        return "rejected by the verifier"
    if b"please report" in said:
        return "please report"
    if any(name.encode("utf-8", "surrogateescape") not in said for name in strays):
        return "stray file"
    if _RAW_CONTROL.search(_OWN_CONTROL.sub(b"", said)):
        return "raw control character"
    if _UNCLEAR.search(said) or (ended.code not in (0, 1, 2)) or (ended.code and not said.strip()):
        return "unclear message"
    if ended.judged:
        return "kept but wrong"
    return KEPT if ended.code == 0 else REFUSED


def place_of(ended: Ended) -> str:
    """Where it went wrong, in one line, so that equal findings have equal text."""
    text = ended.said.decode("utf-8", "replace")
    if "Traceback" in text:
        own = re.findall(r'File "[^"]*?((?:sr_\w+|srvid\w*|trt_build|cli)/[^"]*)", line (\d+)', text)
        last = [line for line in text.splitlines() if re.match(r"[\w.]+(Error|Exception|Interrupt)", line)]
        return f"{':'.join(own[-1]) if own else '?'} {last[-1][:120] if last else ''}"
    if ended.judged:
        return ended.judged[:160]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("hint")]
    return re.sub(r"\d+", "N", lines[-1])[:160] if lines else ""
