"""Where a host looks for plug-ins, and which files go there.

host      root                                      our folder in it
gimp      each GIMP 3.x configuration folder        plug-ins/srvid_upscale/
krita     Krita's resource folder                   pykrita/srvid_upscale/ (+ .desktop, .action, kritarc)
comfyui   a ComfyUI folder                          custom_nodes/srvid_upscale/
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

HOSTS = ("gimp", "krita", "comfyui")
NAME = "srvid_upscale"  # of the plug-in, in every host
MANIFEST = "srvid-installed.json"
OURS = {"gimp": f"plug-ins/{NAME}", "krita": f"pykrita/{NAME}", "comfyui": f"custom_nodes/{NAME}"}
FLATPAKS = {"gimp": "org.gimp.GIMP", "krita": "org.kde.krita"}
# file in sr_plugins/ -> file in the host's root
FILES: dict[str, dict[str, str]] = {
    "gimp": {
        "hosts/gimp/srvid_upscale.py": f"plug-ins/{NAME}/{NAME}.py",
        "client.py": f"plug-ins/{NAME}/srvid_client.py",
    },
    "krita": {
        "hosts/krita/srvid_upscale.desktop": f"pykrita/{NAME}.desktop",
        "hosts/krita/srvid_upscale.action": f"actions/{NAME}.action",
        "hosts/krita/plugin.py": f"pykrita/{NAME}/__init__.py",
        "hosts/krita/document.py": f"pykrita/{NAME}/document.py",
        "hosts/krita/window.py": f"pykrita/{NAME}/window.py",
        "client.py": f"pykrita/{NAME}/srvid_client.py",
    },
    "comfyui": {
        "hosts/comfyui/__init__.py": f"custom_nodes/{NAME}/__init__.py",
        "hosts/comfyui/nodes.py": f"custom_nodes/{NAME}/nodes.py",
        "hosts/comfyui/pyproject.toml": f"custom_nodes/{NAME}/pyproject.toml",
        "client.py": f"custom_nodes/{NAME}/srvid_client.py",
    },
}
EXECUTABLE = frozenset({f"plug-ins/{NAME}/{NAME}.py"})  # GIMP passes over a plug-in that is not


@dataclass(frozen=True, kw_only=True)
class System:
    """The user's folders, as the platform names them."""

    home: Path
    platform: str = sys.platform
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def folder(self, variable: str, *default: str) -> Path:
        """The folder an environment variable names, or one under the home folder."""
        named = self.environ.get(variable)
        return Path(named) if named else self.home.joinpath(*default)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One copy of a host on this machine."""

    host: str
    root: Path
    is_flatpak: bool = False
    kritarc: Path | None = None

    @property
    def ours(self) -> Path:
        """The folder that is only ours."""
        return self.root / OURS[self.host]

    @property
    def launch_file(self) -> Path:
        return self.ours / "launch.json"

    @property
    def manifest(self) -> Path:
        return self.ours / MANIFEST


def places_of(host: str, system: System, *, into: Path | None = None) -> list[Place]:
    """Every place of `host` that exists here; `into` names one that is elsewhere."""
    if into is not None:
        kritarc = into.parent / "kritarc" if host == "krita" else None
        return [Place(host=host, root=into, kritarc=kritarc)]
    if host == "gimp":
        return _gimp(system)
    if host == "krita":
        return _krita(system)
    candidates = [Path(system.environ["COMFYUI_DIR"])] if "COMFYUI_DIR" in system.environ else []
    candidates += [system.home / "ComfyUI", system.home / "Documents" / "ComfyUI"]
    return [Place(host=host, root=root) for root in candidates if (root / "custom_nodes").is_dir()]


def _gimp(system: System) -> list[Place]:
    flatpak = system.home / ".var/app" / FLATPAKS["gimp"] / "config/GIMP"
    if system.platform == "win32":
        base = system.folder("APPDATA", "AppData", "Roaming") / "GIMP"
    elif system.platform == "darwin":
        base = system.home / "Library/Application Support/GIMP"
    else:
        base = system.folder("XDG_CONFIG_HOME", ".config") / "GIMP"
    found = [Place(host="gimp", root=root) for root in sorted(base.glob("3.*")) if root.is_dir()]
    if named := system.environ.get("GIMP3_DIRECTORY"):
        found.insert(0, Place(host="gimp", root=Path(named)))
    return found + [
        Place(host="gimp", root=root, is_flatpak=True) for root in sorted(flatpak.glob("3.*")) if root.is_dir()
    ]


def _krita(system: System) -> list[Place]:
    if system.platform == "win32":
        root = system.folder("APPDATA", "AppData", "Roaming") / "krita"
        kritarc = system.folder("LOCALAPPDATA", "AppData", "Local") / "kritarc"
    elif system.platform == "darwin":
        root = system.home / "Library/Application Support/krita"
        kritarc = system.home / "Library/Preferences/kritarc"
    else:
        root = system.folder("XDG_DATA_HOME", ".local", "share") / "krita"
        kritarc = system.folder("XDG_CONFIG_HOME", ".config") / "kritarc"
    flatpak = system.home / ".var/app" / FLATPAKS["krita"]
    both = [
        Place(host="krita", root=root, kritarc=kritarc),
        Place(host="krita", root=flatpak / "data/krita", kritarc=flatpak / "config/kritarc", is_flatpak=True),
    ]
    return [place for place in both if place.root.is_dir() or (place.kritarc and place.kritarc.exists())]


def contents_of(host: str) -> dict[str, bytes]:
    """File in the host's root -> its content, without launch.json."""
    package = files("sr_plugins")
    return {target: package.joinpath(source).read_bytes() for source, target in FILES[host].items()}
