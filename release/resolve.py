"""What pip would install: on another platform by its tags alone, and here for every extra. Nothing is installed.

An extra ends the release where pip finds no answer, with one exception: a package that is only a placeholder,
which fetches the real one from its maker's own index, when that index is out of reach. Then nobody knows here
whether the extra installs. It is printed as `not checked here`, with the reason, and again at the end.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from run import PROJECT, attempt, fail, run

PIP = (sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--report", "-")
# as wheel_stub says it, the build backend of NVIDIA's placeholders; its lines are broken anywhere
_PLACEHOLDER = re.compile(
    r"installation of (?P<package>\S+) for version .*?special\s+placeholder\s+package\s+which\s+downloads\s+a\s+real"
    r"\s+wheel\s+package\s+from\s+(?P<index>https?://[^\s/]+)",
    re.DOTALL,
)


def resolve(wheel: Path, *, pip_tags: Iterable[str]) -> int:
    """How many packages pip would install on the platform that takes `pip_tags`."""
    tags = [word for tag in pip_tags for word in ("--platform", tag)]
    report = run(
        *PIP, "--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp", "--abi", "cp312",
        "--abi", "abi3", "--abi", "none", "--target", wheel.with_name("none"), *tags, wheel,
    )  # fmt: skip
    return _count(report)


def resolve_extras(wheel: Path) -> list[str]:
    """Every `pip install 'srvid[…]'` that a hint can name finds all it needs, for this machine.

    Returns what could not be checked, in words; ends the release where an extra cannot be installed.
    """
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    unknown = []
    for extra, requirements in extras.items():
        done = attempt(*PIP, f"{wheel}[{extra}]")
        said = f"{_count(done.stdout)} packages" if not done.returncode else _not_checked(done, requirements)
        print(f"srvid[{extra}]: {said}", flush=True)
        if done.returncode:
            unknown.append(f"srvid[{extra}]: {said}")
    return unknown


def _not_checked(done: subprocess.CompletedProcess[str], requirements: Iterable[str]) -> str:
    """Why pip's failure says nothing of the extra; ends the release where it does say something."""
    found = _PLACEHOLDER.search(done.stdout + done.stderr)
    if found is None or can_reach(found["index"]):
        fail(done)
    assert found is not None
    for requirement in requirements:  # a version that is asked for is at least published
        run(*PIP, "--no-deps", requirement)
    real = f"a wheel at {found['index']}, which cannot be reached"
    return f"not checked here: {found['package']} is a placeholder for {real}"


def can_reach(index: str) -> bool:
    """The index answers, whatever it says."""
    try:
        urllib.request.urlopen(index, timeout=30).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _count(report: str) -> int:
    return len(json.loads(report)["install"])
