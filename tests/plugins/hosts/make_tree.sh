#!/usr/bin/env bash
# make_tree.sh DIR: a Debian trixie tree with GIMP 3, Krita 5.2 and an X server, for the host tests.
# Needs root and 1.3 GB; changes nothing outside DIR but may install mmdebstrap. About 65 s from nothing.
set -euo pipefail
tree=$1
[ -e "$tree/.complete" ] && exit 0
[ "$(id -u)" = 0 ] || { echo "make_tree.sh needs root (chroot, mount)"; exit 1; }
mirror=${DEBIAN_MIRROR:-$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -1)}
command -v mmdebstrap >/dev/null || { apt-get update -qq; apt-get install -y -qq --no-install-recommends mmdebstrap; }
rm -rf "$tree"
mkdir -p "$(dirname "$tree")"
without=()
for part in doc man locale help; do without+=(--dpkgopt="path-exclude=/usr/share/$part/*"); done
mmdebstrap --quiet --variant=apt --mode=root --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' "${without[@]}" \
  --include=gimp,krita,python3-pyqt5,xvfb,xauth,xdotool,fonts-dejavu-core trixie "$tree" "$mirror"
touch "$tree/.complete"
