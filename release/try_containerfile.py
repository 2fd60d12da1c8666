"""A Containerfile's steps, run without a container engine or a registry of images.

    python release/try_containerfile.py release/Containerfile.cpu [--tree DIR] [--most-megabytes 400]

The base image is replaced by a Debian tree that `mmdebstrap` makes (trixie, whose Python is 3.13). In it, as root:
COPY, RUN, ENV and USER of the file are done as they stand; then `srvid` upscales a clip as the user that the file
names, from /data. Printed is what the tree takes as gzip packs it, which is what a registry stores.

Not shown by it: that the base image named in the file exists, that an engine accepts the file (hadolint reads it),
and anything on a graphics card. Needs root, mmdebstrap, `make dist` before, and about 2 GB.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = "ca-certificates,passwd,python3,python3-venv"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as the base image has it
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_IN_TREE = """set -e
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount --bind /etc/resolv.conf "$tree/etc/resolv.conf"
mount --bind "$certificates" "$tree$certificates"
exec chroot $user "$tree" /usr/bin/env -i HOME=/tmp PATH="$path" "$@" """


def read_instructions(text: str) -> list[tuple[str, str]]:
    """(RUN, words) and so on, continued lines joined, comments left out."""
    joined = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    pairs = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name.upper(), rest.strip()) for name, _, rest in pairs]


def environment_of(instructions: list[tuple[str, str]]) -> list[str]:
    """What ENV sets, as NAME=VALUE; $PATH is the tree's."""
    words = [word for name, rest in instructions if name == "ENV" for word in shlex.split(rest)]
    return [word.replace("$PATH", _PATH) for word in words]


def make_tree(tree: Path) -> None:
    """A Debian with Python where the file expects one."""
    options = ["--quiet", "--variant=minbase", "--mode=root", f"--include={PACKAGES}"]
    subprocess.run(["mmdebstrap", *options, *_leaving_out(), "trixie", str(tree)], check=True)
    (tree / "usr/local/bin/python").symlink_to("/usr/bin/python3")


def _leaving_out() -> list[str]:
    """As the slim images do."""
    return [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")]


def run_in(tree: Path, words: list[str], *, user: str = "", environment: list[str]) -> str:
    """Run in the tree with mounts of its own; ends the trial where it fails."""
    pip = [f"{name}={text}" for name, text in os.environ.items() if name.startswith(("PIP_", "http", "no_proxy"))]
    settings = {
        "tree": str(tree), "certificates": str(CERTIFICATES.resolve()), "path": _PATH,
        "user": f"--userspec={user}:{user}" if user else "",
    }  # fmt: skip
    done = subprocess.run(
        ["unshare", "--mount", "--fork", "bash", "-c", _IN_TREE, "_", *pip, *environment, *words],
        env={**os.environ, **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"$ {shlex.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def follow(instructions: list[tuple[str, str]], tree: Path) -> str:
    """COPY and RUN into the tree; the user that the file ends with. Both of its stages are this one tree."""
    user = ""
    for name, rest in instructions:
        if name == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            (tree / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
            for path in (path for source in sources for path in PROJECT.glob(source)):
                shutil.copy(path, tree / target.lstrip("/"))
        elif name == "RUN":
            run_in(tree, ["sh", "-c", rest], environment=[])
        elif name == "USER":
            user = rest
    shutil.rmtree(tree / "wheels")  # of the first stage: the second copies /opt/srvid alone
    return user


def packed_bytes(tree: Path) -> int:
    """What the tree takes in a registry."""
    left_out = [f"--exclude=./{name}" for name in ("proc", "dev", "sys", "tmp", "var/lib/apt", "var/cache")]
    packer = subprocess.Popen(["tar", "-C", tree, *left_out, "-c", "."], stdout=subprocess.PIPE)
    gzip = subprocess.run(["gzip", "-6"], stdin=packer.stdout, capture_output=True, check=True)
    if packer.wait():
        sys.exit("tar failed")
    return len(gzip.stdout)


def main() -> None:
    """Make, follow, use, weigh."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("containerfile", type=Path)
    parser.add_argument("--tree", type=Path, help="A Debian tree that is there and may be changed; else one is made.")
    parser.add_argument("--most-megabytes", type=int, default=400)
    asked = parser.parse_args()
    instructions = read_instructions(asked.containerfile.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as place:
        tree = (asked.tree or Path(place) / "tree").resolve()
        if asked.tree is None:
            make_tree(tree)
        user = follow(instructions, tree)
        data = tree / "data"
        data.mkdir(exist_ok=True)
        shutil.copy(PROJECT / "examples" / "flower.mp4", data)
        os.chown(data, int(user), int(user))
        environment = environment_of(instructions)
        script = "cd /data && srvid --version && srvid flower.mp4 large.mp4 --scale 2 --end 0.2 --overwrite"
        print(run_in(tree, ["sh", "-c", script], user=user, environment=environment).strip())
        (data / "large.mp4").unlink()
        megabytes = packed_bytes(tree) / 1e6
        print(f"{asked.containerfile}: {megabytes:.0f} MB compressed, as user {user}")
        if megabytes > asked.most_megabytes:
            sys.exit(f"more than {asked.most_megabytes} MB")


if __name__ == "__main__":
    main()
