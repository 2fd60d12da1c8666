"""`uvx srvid` and `pipx run srvid` as the documents show them, against an index made from dist/.

What srvid requires comes from where the two programs always look. Both start empty: neither a wheel of the
same version nor an environment that an earlier release left behind is taken.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from run import PROJECT, run

PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
LINES = (
    "uvx --from srvid srvid --version",
    "uvx srvid in.mp4 out.mp4 --scale 2 --end 0.2",
    "uvx --from srvid srkit doctor",
    "pipx run srvid --version",
    "pipx run srvid in.mp4 out.mp4 --scale 2 --end 0.2 --overwrite",
    "pipx run --spec srvid srkit doctor",
)


def try_runners(wheels: list[Path], folder: Path) -> None:
    """Run every line in `folder`; ends the release where one fails."""
    index = write_index(wheels, folder / "index")
    shutil.copy(PROJECT / "examples" / "flower.mp4", folder / "in.mp4")
    for line in LINES:
        program, *words = line.split()
        said = run(find(program), *words, cwd=folder, **environment_of(index, folder)).strip()
        print(f"{line}: {said.splitlines()[0] if said else 'done'}", flush=True)


def write_index(wheels: list[Path], folder: Path) -> str:
    """An index of the one project that is not published yet (PEP 503); returns its URL."""
    page = folder / "srvid" / "index.html"
    page.parent.mkdir(parents=True)
    links = "".join(f'<a href="{wheel.resolve().as_uri()}">{wheel.name}</a>\n' for wheel in wheels)
    page.write_text(f"<!DOCTYPE html>\n{links}", encoding="utf-8")
    return folder.resolve().as_uri()


def find(program: str) -> str:
    """Where a program of the extra `release` is; ends the release where it is not."""
    return shutil.which(program, path=PATH) or sys.exit(f"{program} is not here: pip install '.[release]'")


def environment_of(index: str, folder: Path) -> dict[str, str]:
    """What makes the two programs start empty, look into `index` too, and take this Python.

    This Python, since neither looks at what srvid requires before it has chosen one.
    """
    return {
        "UV_INDEX": index,
        "UV_CACHE_DIR": str(folder / "uv"),
        "UV_PYTHON": sys.executable,
        "PIP_EXTRA_INDEX_URL": " ".join([*_pips_indexes(), index]),
        "PIPX_HOME": str(folder / "pipx"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
        "PYTHONPATH": "",
        "SRVID_CACHE": str(folder / "cache"),
    }


def _pips_indexes() -> list[str]:
    """The further indexes that pip is set to: the variable would hide those of its files."""
    said = run(sys.executable, "-m", "pip", "config", "list")
    lines = [line.partition("=") for line in said.splitlines() if "extra-index-url" in line]
    return [word for _, _, value in lines for word in value.strip("'\"").replace("\\n", " ").split()]
