"""A bill of materials of an installation, as CycloneDX 1.6 JSON, from what its packages say of themselves."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

# Inside PyAV's wheels; PyAV's metadata says nothing of them. Versions: `python -m av --version` prints them.
BUNDLED = (
    ("FFmpeg", "LGPL-3.0-or-later", "av"),
    ("x264", "GPL-2.0-or-later", "av"),
    ("x265", "GPL-2.0-or-later", "av"),
    ("SVT-AV1", "BSD-3-Clause-Clear", "av"),
    ("dav1d", "BSD-2-Clause", "av"),
)
_ASK = """
import json
from importlib.metadata import distributions
def licences(m):
    return [c.rpartition(" :: ")[2] for c in m.get_all("Classifier") or [] if c.startswith("License ::")]
print(json.dumps([{"name": d.name, "version": d.version, "classifiers": licences(d.metadata),
    "licence": d.metadata.get("License-Expression") or d.metadata.get("License") or "",
    "summary": d.metadata.get("Summary") or ""} for d in distributions()]))
"""


def write_sbom(python: Path, target: Path) -> Path:
    """Describe every package of the environment of `python`, pip and setuptools left out."""
    found = json.loads(subprocess.run([str(python), "-c", _ASK], capture_output=True, text=True, check=True).stdout)
    packages = sorted((p for p in found if p["name"] not in ("pip", "setuptools")), key=lambda p: p["name"].lower())
    own = next(package for package in packages if package["name"] == "srvid")
    components = [_component(package) for package in packages if package is not own]
    components += [
        {"type": "library", "name": name, "bom-ref": f"bundled:{name}", "licenses": [{"license": {"id": licence}}],
         "description": f"bundled in the wheels of {inside}"}
        for name, licence, inside in BUNDLED
    ]  # fmt: skip
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components, sort_keys=True))}",
        "version": 1,
        "metadata": {"component": {**_component(own), "type": "application"}},
        "components": components,
    }
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return target


def _component(package: dict[str, Any]) -> dict[str, Any]:
    name, version = package["name"], package["version"]
    reference = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    licence = package["licence"] if len(package["licence"]) < 80 else ""  # some put the whole text there
    licence = licence or ", ".join(package["classifiers"]) or "unknown"
    return {
        "type": "library", "name": name, "version": version, "purl": reference, "bom-ref": reference,
        "description": package["summary"], "licenses": [{"license": {"name": licence}}],
    }  # fmt: skip
