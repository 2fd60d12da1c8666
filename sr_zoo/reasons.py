"""A runtime's complaint about a model, as one line in the user's words.

Check 'node_context.size() > 2' failed at src/frontends/…   ─►   what cannot be done, and what to do
"""

from __future__ import annotations

import re

from sr_core.errors import BadModel
from sr_core.wording import option

_UNKNOWN = (
    re.compile(r"No conversion rule found for operations?: ([\w. ,:-]+)"),
    re.compile(
        r"(?:is not a registered function/op|No Op registered for|Could not find an implementation for) ?([\w.:]*)"
    ),
    re.compile(r"Fatal error: ([\w.:]+) is not a registered"),
)
_WIDE_REFLECTION = re.compile(r"(?i)reflect")  # OpenVINO's and ONNX Runtime's words for a pad wider than the picture


def unknown_operators(failure: Exception) -> str:
    """The operators a runtime does not know, as it lists them; '' where that is not its complaint."""
    text = " ".join(str(failure).split())
    for pattern in _UNKNOWN:
        if found := pattern.search(text):
            return found.group(1).strip(" .,:-")
    return ""


def reflects_too_far(failure: Exception) -> bool:
    """Whether the picture was too small for a border that repeats it mirrored."""
    return bool(_WIDE_REFLECTION.search(str(failure)))


def reason_of(failure: Exception) -> str:
    """The line of a complaint that says what is wrong, without its paths, addresses and line numbers."""
    lines = [line.strip("- ") for line in str(failure).splitlines() if line.strip(" -")]
    useful = [line for line in lines if not line.startswith(("Exception from ", "Check '", "While validating", "["))]
    reason = (useful or lines or [type(failure).__name__])[-1]
    reason = re.sub(r"\(?/?[\w./-]+\.(?:cpp|hpp|h|py|cc):\d+\)?:?", "", reason)
    reason = re.sub(r"0x[0-9a-f]+", "", reason)
    return " ".join(reason.split())[:200] or type(failure).__name__


def unreadable(name: str, failure: Exception, *, runtime: str = "OpenVINO", other_runs_it: bool = False) -> BadModel:
    """The error for a model that `runtime` refuses."""
    unknown = unknown_operators(failure)
    hint = f"{option('backend', 'onnxruntime')} runs it" if other_runs_it else ""
    if unknown:
        return BadModel(
            f"{name} uses operators that {runtime} does not know: {unknown}",
            hint=hint or "export it with standard ONNX operators",
        )
    return BadModel(f"{runtime} cannot read {name}: {reason_of(failure)}", hint=hint)
