"""`srkit plug`: put our files into a host, take exactly those out, and say what is wrong.

The manifest beside the plug-in lists every file written and its SHA-256. A file that is not in
it, or has changed since, is somebody else's: it is never overwritten and never removed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_core.children import python_command
from sr_core.errors import OutputExists, StorageError
from sr_core.records import check, parse_json
from sr_core.storage import storage_error, write_atomically
from sr_plugins import client
from sr_plugins.places import EXECUTABLE, NAME, Place, contents_of
from sr_zoo.models import library_dir

KRITA_SWITCH = f"enable_{NAME}"


def launch_content(models: tuple[str, ...]) -> bytes:
    """launch.json: how to start this srvid's worker, where it says its port, which models there are."""
    command = python_command("-c", "from srvid_cli.srkit import main; main()", "serve")
    facts = {"command": command, "worker_file": client.default_worker_file(), "models": list(models)}
    facts["library"] = str(library_dir())
    return json.dumps(facts, indent=1).encode()


def install(place: Place, models: tuple[str, ...]) -> list[Path]:
    """Write the plug-in into `place`; return the files. The second time changes nothing.

    Raises:
        OutputExists: a file is in the way that srvid did not write, or that was changed since.
        StorageError: a folder is not writable.
    """
    contents = contents_of(place.host)
    contents[place.launch_file.relative_to(place.root).as_posix()] = launch_content(models)
    ours = _manifest(place)
    for relative in contents:
        path = place.root / relative
        if path.exists() and _digest(path) != ours.get(relative) and path.read_bytes() != contents[relative]:
            raise OutputExists(
                f"{path} is in the way: srvid did not write it, or it was changed since",
                hint="move it away, then run this again",
            )
    surplus = set(ours) - set(contents)  # files of an older version
    _remove(place, surplus, ours)
    digests = {relative: hashlib.sha256(content).hexdigest() for relative, content in contents.items()}
    # the manifest first: a crash leaves files that uninstall knows
    write_atomically(place.manifest, json.dumps({"files": ours | digests}, indent=1).encode())
    for relative, content in contents.items():
        path = place.root / relative
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)
        path.chmod(0o755 if relative in EXECUTABLE else 0o644)
    write_atomically(place.manifest, json.dumps({"files": digests}, indent=1).encode())
    if place.kritarc is not None:
        _switch_on(place.kritarc)
    return [place.root / relative for relative in contents]


def uninstall(place: Place) -> list[Path]:
    """Remove what `install` wrote, and only that; return the files removed."""
    ours = _manifest(place)
    if not ours:
        return []
    removed = _remove(place, set(ours), ours)
    place.manifest.unlink()
    for cache in place.ours.glob("__pycache__/*.pyc"):
        cache.unlink()
    for folder in (place.ours / "__pycache__", place.ours):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    if place.kritarc is not None:
        _switch_off(place.kritarc)
    return removed


@dataclass(frozen=True)
class Finding:
    """One thing `srkit plug doctor` looked at; `hint` is empty where all is well."""

    is_fine: bool
    text: str
    hint: str = ""


def examine(place: Place) -> list[Finding]:
    """Everything that can keep the plug-in of `place` out of the menu, or from working there."""
    ours = _manifest(place)
    if not ours:
        return [Finding(False, f"not installed in {place.root}", f"srkit plug install {place.host}")]
    again = f"srkit plug install {place.host}"
    findings = [Finding(True, f"installed in {place.ours}")]
    current = contents_of(place.host)
    for relative, digest in ours.items():
        path = place.root / relative
        if not path.exists():
            findings.append(Finding(False, f"{path} is missing", again))
        elif _digest(path) != digest:
            findings.append(Finding(False, f"{path} was changed", f"move it away, then: {again}"))
        elif relative in current and path.read_bytes() != current[relative]:
            findings.append(Finding(False, f"{path} is of another version of srvid", again))
        elif relative in EXECUTABLE and sys.platform != "win32" and not path.stat().st_mode & 0o100:
            findings.append(Finding(False, f"{path} is not executable: GIMP passes over it", again))
    if place.kritarc is not None and not _is_on(place.kritarc):
        findings.append(
            Finding(
                False,
                f"Krita has the plug-in switched off ({place.kritarc})",
                "Settings > Configure Krita > Python Plugin Manager, or: " + again,
            )
        )
    if place.is_flatpak:
        findings.append(Finding(True, "a flatpak cannot start the worker: run `srkit serve` before using the plug-in"))
    else:
        findings.append(_launches(place))
    return findings


def _launches(place: Place) -> Finding:
    """Whether the command in launch.json runs at all."""
    try:
        launch = check(parse_json(place.launch_file.read_bytes()), dict[str, Any])
        command = check(launch.get("command"), tuple[str, ...], "command")
        done = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        return Finding(False, f"the worker cannot be started: {error}", f"srkit plug install {place.host}")
    if done.returncode:
        return Finding(
            False,
            f"the worker cannot be started: {done.stderr.strip()[-300:]}",
            f"srkit plug install {place.host}",
        )
    return Finding(True, f"the worker starts by: {' '.join(command)}")


def _manifest(place: Place) -> dict[str, str]:
    """What srvid wrote here: file -> SHA-256; empty if nothing."""
    try:
        listed = check(parse_json(place.manifest.read_bytes()), dict[str, dict[str, str]]).get("files", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{place.manifest} is damaged: {error}", hint=f"remove {place.ours} by hand, then install again"
        ) from error
    foreign = [name for name in listed if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts]
    if foreign:  # only files below the plug-in's folder are ever removed
        raise StorageError(f"{place.manifest} names {foreign[0]!r}", hint=f"remove {place.ours} by hand")
    return dict(listed)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _remove(place: Place, relatives: set[str], ours: dict[str, str]) -> list[Path]:
    removed = []
    for relative in sorted(relatives):
        path = place.root / relative
        if path.exists() and _digest(path) == ours[relative]:
            try:
                path.unlink()
            except OSError as error:
                raise storage_error(error, path, "cannot remove") from error
            removed.append(path)
    return removed


# ---- kritarc: `enable_NAME=true` in its section [python]; every other line stays as it is


def _switch_on(kritarc: Path) -> None:
    if _is_on(kritarc):
        return
    lines = _drop_switch(kritarc)
    if "[python]" not in lines:
        lines += ["", "[python]"] if lines else ["[python]"]
    lines.insert(lines.index("[python]") + 1, f"{KRITA_SWITCH}=true")
    write_atomically(kritarc, ("\n".join(lines) + "\n").encode())


def _switch_off(kritarc: Path) -> None:
    if kritarc.exists():
        write_atomically(kritarc, ("\n".join(_drop_switch(kritarc)) + "\n").encode())


def _is_on(kritarc: Path) -> bool:
    return kritarc.exists() and f"{KRITA_SWITCH}=true" in kritarc.read_text().splitlines()


def _drop_switch(kritarc: Path) -> list[str]:
    lines = kritarc.read_text().splitlines() if kritarc.exists() else []
    return [line for line in lines if not line.startswith(f"{KRITA_SWITCH}=")]
