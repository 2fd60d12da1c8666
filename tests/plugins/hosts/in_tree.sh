#!/usr/bin/env bash
# in_tree.sh DIR [NAME=VALUE...] COMMAND...: run inside the tree with mounts of its own; 127.0.0.1 is shared.
# $BIND: folders of this machine that are seen at the same place inside.
export tree=$1 BIND=${BIND:-}
shift
exec unshare --mount --fork --pid --kill-child bash -c 'set -e
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
for folder in $BIND; do mkdir -p "$tree$folder"; mount --rbind "$folder" "$tree$folder"; done
# not as the last command, which bash would exec: Xvfb does not tell a process 1 that it is ready
chroot "$tree" /usr/bin/env -i PATH=/usr/bin:/bin LANG=C.UTF-8 XDG_RUNTIME_DIR=/tmp "$@" || exit $?' _ "$@"
