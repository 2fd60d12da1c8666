"""A Containerfile built, run and weighed by buildah, where no registry of images can be reached.

    python release/build_image.py release/Containerfile.cpu [--tree DIR] [--most-megabytes 400]

The base image that the file names is made here under the same name, of Debian's packages (trixie, whose Python is
3.13); all else is buildah's: the file's own steps, its layers, its user. Then `srvid` upscales a clip in a container of
it, from /data, and the image is written as a registry would keep it, layers packed by gzip: that is its size.

Needs root, buildah, mmdebstrap, `make dist` before, and about 5 GB. No other isolation than chroot's is asked of the
machine. Not shown by it: the real base image, and anything on a graphics card.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from try_containerfile import CERTIFICATES, PROJECT, make_tree, read_instructions

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SCRIPT = "srvid --version && srvid flower.mp4 large.mp4 --scale 2 --end 0.2"


class Buildah:
    """buildah with a storage of its own in `folder`, and Debian's certificates where a step needs the network."""

    def __init__(self, folder: Path) -> None:
        self._words = [
            "buildah",
            "--storage-driver",
            "vfs",
            "--root",
            str(folder / "root"),
            "--runroot",
            str(folder / "run"),
        ]
        self.trust = ["--volume", f"{CERTIFICATES.resolve()}:{CERTIFICATES}:ro"]

    def __call__(self, *words: object) -> str:
        """Run a command of it; ends the trial where it fails."""
        command = [*self._words, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"$ buildah {' '.join(map(str, words))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done.stdout.strip()


def base_of(containerfile: Path) -> str:
    """The image that every stage of the file begins with."""
    names = {rest.split()[0] for word, rest in read_instructions(containerfile.read_text("utf-8")) if word == "FROM"}
    (name,) = names
    return name


def import_base(buildah: Buildah, name: str, tree: Path, folder: Path) -> None:
    """Make the image `name` of a Debian tree."""
    packed = folder / "base.tar"
    left_out = [f"--exclude=./{part}/*" for part in ("dev", "proc", "sys", "tmp", "var/cache", "var/lib/apt")]
    subprocess.run(["tar", "--one-file-system", "-C", tree, *left_out, "-cf", packed, "."], check=True)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, packed, "/")
    packed.unlink()
    buildah("config", "--env", f"PATH={PATH}", "--cmd", "python3", container)
    buildah("commit", "--quiet", "--rm", container, name)


def run_image(buildah: Buildah, name: str, data: Path) -> str:
    """What `SCRIPT` says in a container of the image, as its own user, from its own folder."""
    shutil.copy(PROJECT / "examples" / "flower.mp4", data)
    os.chown(data, 1000, 1000)
    container = buildah("from", "--pull-never", name)
    said = buildah(
        "run", "--isolation", "chroot", "--volume", f"{data}:/data", container, "--", "sh", "-c", f"id -u && {SCRIPT}"
    )
    if not (data / "large.mp4").stat().st_size:
        sys.exit("the container wrote nothing")
    return said


def main() -> None:
    """Make the base, build, run, weigh."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("containerfile", type=Path)
    parser.add_argument("--tree", type=Path, help="A Debian tree with Python that is there; else one is made.")
    parser.add_argument("--most-megabytes", type=int, default=400)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tree = asked.tree or folder / "tree"
        if asked.tree is None:
            make_tree(tree)
        buildah = Buildah(folder)
        import_base(buildah, base_of(asked.containerfile), tree, folder)
        buildah(
            "build",
            "--isolation",
            "chroot",
            "--pull-never",
            *buildah.trust,
            "--file",
            asked.containerfile,
            "--tag",
            "srvid",
            PROJECT,
        )
        print(f"buildah built {asked.containerfile}")
        (folder / "data").mkdir()
        print(run_image(buildah, "srvid", folder / "data"))
        buildah("push", "--quiet", "srvid", f"oci-archive:{folder / 'image.tar'}")
        megabytes = (folder / "image.tar").stat().st_size / 1e6
        print(f"{asked.containerfile}: {megabytes:.0f} MB as a registry keeps it")
        if megabytes > asked.most_megabytes:
            sys.exit(f"more than {asked.most_megabytes} MB")


if __name__ == "__main__":
    main()
