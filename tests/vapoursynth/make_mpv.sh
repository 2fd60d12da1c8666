#!/usr/bin/env bash
# make_mpv.sh TREE [PYTHON]: mpv 0.40 with its VapourSynth filter, for test_mpv.py, as TREE/usr/local/bin/mpv.
# No package of Debian, PyPI or npm has that filter. Built from Debian trixie's source against the VapourSynth of
# PYTHON's wheel, with little else. Needs root, mmdebstrap, 1.5 GB; minutes.
set -euo pipefail
tree=$1 python=${2:-python3}
[ -e "$tree/usr/local/bin/mpv" ] && exit 0
mirror=${DEBIAN_MIRROR:-$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -1)}
headers=$("$python" -c 'import vapoursynth; print(vapoursynth.get_include())')
if [ ! -e "$tree/.complete" ]; then
  mmdebstrap --quiet --variant=apt --mode=root --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    --aptopt='APT::Install-Recommends "false"' \
    --include=ca-certificates,dpkg-dev,gcc,libc6-dev,meson,ninja-build,pkgconf,zlib1g-dev \
    --include=libass-dev,libplacebo-dev,libavcodec-dev,libavdevice-dev,libavfilter-dev,libavformat-dev \
    --include=libavutil-dev,libswresample-dev,libswscale-dev \
    trixie "$tree" "deb $mirror trixie main" "deb-src $mirror trixie main"
  touch "$tree/.complete"
fi
for library in vapoursynth:libvapoursynth.so.4 vapoursynth-script:libvsscript.so; do
  printf 'Name: %s\nDescription: of a wheel\nVersion: 81\nCflags: -I%s\nLibs: %s -Wl,-rpath,%s\n' "${library%:*}" \
    "$headers" "${headers%/include}/${library#*:}" "${headers%/include}" \
    > "$tree/usr/share/pkgconfig/${library%:*}.pc"
done
here=$(cd "$(dirname "$0")" && pwd)
BIND="${headers%/include}" bash "$here/../plugins/hosts/in_tree.sh" "$tree" HOME=/root bash -euc '
  cd /root && rm -rf mpv && mkdir mpv
  [ -e mpv_*.orig.tar.gz ] || apt-get source -qq --download-only mpv
  tar -C mpv --strip-components=1 -xf mpv_*.orig.tar.gz && cd mpv
  meson setup build -Dauto_features=disabled -Dvapoursynth=enabled -Dlibmpv=false -Dgl=disabled -Dbuildtype=plain
  ninja -C build mpv && cp build/mpv /usr/local/bin/mpv'
