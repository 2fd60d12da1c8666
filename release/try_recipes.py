"""What `release/recipes.py` writes, tried as far as a machine without those package managers can.

conda      rendered by rattler-build itself
AUR        package() is run, into an empty folder; what it installs answers, with manual pages and completions
Homebrew   read by Ruby
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from run import run

SHELLS = {  # → where each looks for `srvid`
    "bash": "usr/share/bash-completion/completions/srvid",
    "zsh": "usr/share/zsh/site-functions/_srvid",
    "fish": "usr/share/fish/vendor_completions.d/srvid.fish",
}
_INSTALL = """set -e
srcdir={srcdir} pkgdir={pkgdir}
source {recipe}
package"""


def try_recipe(recipe: Path, sdist: Path, *, skips: bool) -> str:
    """What was tried of it, in words; `skips`: nothing is installed. Ends the release where it fails."""
    return TRIALS[recipe.name](recipe, sdist, skips)


def _conda(recipe: Path, sdist: Path, skips: bool) -> str:
    from rattler_build import Stage0Recipe, VariantConfig

    (rendered,) = Stage0Recipe.from_file(recipe).render(VariantConfig())
    return f"rattler-build renders {rendered.recipe.package.name} {rendered.recipe.package.version}"


def _aur(recipe: Path, sdist: Path, skips: bool) -> str:
    if skips or sys.platform != "linux":
        return "not tried"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder / "src", filter="data")
        (folder / "bin").mkdir()
        (folder / "bin" / "python").symlink_to(sys.executable)  # Arch's own is called so
        script = _INSTALL.format(**{name: shlex.quote(str(path)) for name, path in (
            ("srcdir", folder / "src"), ("pkgdir", folder / "pkg"), ("recipe", recipe)
        )})  # fmt: skip
        run("bash", "-c", f"PATH={shlex.quote(str(folder / 'bin'))}:$PATH\n{script}")
        return check_tree(folder / "pkg")


def check_tree(tree: Path) -> str:
    """What package() has installed into `tree` answers, and all is where Arch looks for it."""
    first = (tree / "opt/srvid/bin/srvid").read_text(encoding="utf-8").splitlines()[0]
    if first != "#!/opt/srvid/bin/python":
        sys.exit(f"the program would be run by {first}")
    for path in (*SHELLS.values(), "usr/share/man/man1/srvid.1", "usr/share/licenses/srvid/LICENSE"):
        if not (tree / path).stat().st_size:
            sys.exit(f"{path} is empty")
    call = "from srvid_cli.srvid import main; main()"
    return "package() installs " + run(tree / "opt/srvid/bin/python", "-c", call, "--version").split(";")[0].strip()


def _homebrew(recipe: Path, sdist: Path, skips: bool) -> str:
    if shutil.which("ruby") is None:
        return "not tried: no ruby"
    return f"Ruby says: {run('ruby', '-c', recipe).strip()}"


TRIALS: dict[str, Callable[[Path, Path, bool], str]] = {
    "recipe.yaml": _conda, "PKGBUILD": _aur, "srvid.rb": _homebrew,
}  # fmt: skip
