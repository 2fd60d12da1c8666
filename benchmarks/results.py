"""Results as files: benchmarks/results/NAME.json holds the rows and all that they depend on.

`--json NAME.json` of a benchmark writes one; docs/site/hooks.py makes the page of benchmarks from them, so no figure
there is typed by hand. A page that shows one holds

    <!-- result NAME.json: its machine, table and command are put between these two lines -->
    <!-- end result -->

    python benchmarks/results.py docs/vapoursynth.md [...]        writes them anew; a test compares
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "results"
INSTRUCTIONS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
Cell = str | float | None
PLACE = re.compile(r"(<!-- result (\S+\.json)\b[^\n]*-->\n).*?(<!-- end result -->)", re.DOTALL)


def this_machine() -> str:
    """CPUs that may be used, their name, and the instruction sets that decide which kernels run."""
    from sr_core.backend import usable_cpus

    facts: dict[str, str] = {}
    if (path := Path("/proc/cpuinfo")).exists():
        pairs = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        facts = {key.strip(): value.strip() for key, value in pairs}
    flags = [name for name in INSTRUCTIONS if name in facts.get("flags", "").split()]
    name = facts.get("model name", platform.processor())
    return f"{usable_cpus()} CPUs, {name}, {' '.join(flags) or 'flags unknown'}"


def write_result(
    path: Path,
    *,
    title: str,
    command: str,
    about: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    packages: Iterable[str],
    peers: Mapping[str, str],
) -> None:
    """Write a table with its circumstances.

    Args:
        path: a bare name goes into benchmarks/results/.
        about: what was done, for a reader who compares.
        packages: installed distributions whose versions matter.
        peers: other programs, with their versions.
    """
    target = path if path.parent != Path() else FOLDER / path
    target.parent.mkdir(parents=True, exist_ok=True)
    found = {
        "title": title,
        "command": command,
        "about": about,
        "machine": this_machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {name: version(name) for name in ("srvid", *packages)} | {"Python": platform.python_version()},
        "peers": dict(peers),
        "columns": list(columns),
        "rows": [[round(cell, 3) if isinstance(cell, float) else cell for cell in row] for row in rows],
    }
    target.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def table_of(result: Mapping[str, Any]) -> str:
    """Its rows as Markdown."""
    rows = [result["columns"], ["---"] * len(result["columns"]), *result["rows"]]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in rows)


def circumstances_of(result: Mapping[str, Any]) -> str:
    """Machine, date, versions and command: what its figures depend on, as Markdown."""
    versions, peers = (", ".join(f"{k} {v}" for k, v in result[key].items()) for key in ("versions", "peers"))
    return (
        f"Machine: {result['machine']}; shared with other work. {result['date']}. Versions: {versions}. "
        f"Peers: {peers}.\nAgain: `{result['command']}`"
    )


def with_results(page: str) -> str:
    """`page`, every result between its two lines as it is now."""

    def section(found: re.Match[str]) -> str:
        result = json.loads((FOLDER / found[2]).read_text(encoding="utf-8"))
        return f"{found[1]}{result['about']}\n\n{table_of(result)}\n\n{circumstances_of(result)}\n{found[3]}"

    return PLACE.sub(section, page)


def _cell(value: Cell) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE.md")
    for page in parser.parse_args().pages:
        page.write_text(with_results(page.read_text(encoding="utf-8")), encoding="utf-8")
